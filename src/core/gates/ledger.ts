/**
 * Which admissions of a gate were counted. A call is settled if and only if it was counted, whatever `update({ mode })`
 * does between its admission and its end.
 */

/** Counted in full; what an admission is unless the ledger says otherwise. */
export const COUNTED = 0;
/** Let through without being counted: the mode was off, or a call over the limit in shadow mode. */
export const UNCOUNTED = 1;
/** Counted as a call, although shadow mode let it through against the gate's decision. */
export const OVERRULED = 2;

/** How a call was admitted. */
export type Admission = typeof COUNTED | typeof UNCOUNTED | typeof OVERRULED;

/** A mark is the kind of the admission in its low bits, and how many there are above. */
const KIND = 3;
const ONE = 4;

/** So many runs of admissions without a context are kept apart; then they are added up by kind. */
const MAX_RUNS = 512;

/**
 * Admissions that have not ended. With a context it is exact while the context has one admission at a time. Without one
 * nothing tells them apart: the oldest is taken to end first, and as many are settled as were counted.
 *
 * Only admissions that are not `COUNTED` are stored, so the usual call costs one addition and one comparison each way.
 */
export class Ledger {
  /** Counted, with a context. */
  #known = 0;
  /** Counted, without one, while `#runs` is empty. */
  #unknown = 0;
  /** By context: those that are not `COUNTED`. */
  #marks: WeakMap<object, number> | undefined;
  /** How many `#marks` stands for; more where such a call never ends. */
  #marked = 0;
  /** Without a context, oldest first: kind, number, kind, number, … Empty while all are `COUNTED`. */
  #runs: number[] = [];

  /** Notes an admission that was counted. */
  count(ctx: object | undefined): void {
    // Apart from the rest, so that the compiler takes it into the gates.
    if (ctx !== undefined && this.#marked === 0) this.#known++;
    else this.#count(ctx);
  }

  #count(ctx: object | undefined): void {
    if (ctx === undefined) {
      if (this.#runs.length === 0) this.#unknown++;
      else this.#append(COUNTED);
    } else {
      this.#known++;
      // A call of the same context that never ended: its mark is not about this one.
      this.#unmark(ctx);
    }
  }

  /** Notes an admission of another kind. */
  note(kind: typeof UNCOUNTED | typeof OVERRULED, ctx: object | undefined): void {
    if (ctx === undefined) {
      if (this.#runs.length === 0 && this.#unknown > 0) this.#runs.push(COUNTED, this.#unknown);
      this.#unknown = 0;
      this.#append(kind);
    } else {
      this.#marks ??= new WeakMap();
      const mark = this.#marks.get(ctx) ?? 0;
      if ((mark & KIND) !== kind) this.#unmark(ctx);
      this.#marks.set(ctx, (this.#marks.get(ctx) ?? kind) + ONE);
      this.#marked++;
    }
  }

  /** Takes out an admission that ends, and returns of which kind it was; one that never was is `UNCOUNTED`. */
  end(ctx: object | undefined): Admission {
    if (ctx === undefined || this.#marked > 0 || this.#known === 0) return this.#end(ctx);
    this.#known--;
    return COUNTED;
  }

  #end(ctx: object | undefined): Admission {
    if (ctx !== undefined) {
      const mark = this.#marked > 0 ? this.#marks?.get(ctx) : undefined;
      if (mark !== undefined) {
        this.#marked--;
        if (mark < 2 * ONE) this.#marks?.delete(ctx);
        else this.#marks?.set(ctx, mark - ONE);
        return (mark & KIND) as Admission;
      }
      if (this.#known > 0) {
        this.#known--;
        return COUNTED;
      }
    }
    if (this.#runs.length > 0) return this.#shift();
    if (this.#unknown > 0) {
      this.#unknown--;
      return COUNTED;
    }
    if (this.#known > 0) {
      this.#known--;
      return COUNTED;
    }
    return UNCOUNTED;
  }

  #unmark(ctx: object): void {
    const mark = this.#marks?.get(ctx);
    if (mark === undefined) return;
    this.#marks?.delete(ctx);
    this.#marked -= mark >> 2;
  }

  #append(kind: Admission): void {
    const runs = this.#runs;
    const last = runs.length - 2;
    if (runs[last] === kind) (runs[last + 1] as number)++;
    else if (runs.push(kind, 1) > 2 * MAX_RUNS) this.#merge();
  }

  /** Where calls never end: keeps the numbers and gives up their order. */
  #merge(): void {
    const sums = [0, 0, 0];
    for (let i = 0; i < this.#runs.length; i += 2) {
      (sums[this.#runs[i] as number] as number) += this.#runs[i + 1] as number;
    }
    this.#runs = sums.flatMap((sum, kind) => (sum > 0 ? [kind, sum] : []));
  }

  #shift(): Admission {
    const runs = this.#runs;
    const kind = runs[0] as Admission;
    (runs[1] as number)--;
    if (runs[1] === 0) runs.splice(0, 2);
    if (runs.length === 2 && runs[0] === COUNTED) {
      this.#unknown = runs[1] as number;
      runs.length = 0;
    }
    return kind;
  }
}
