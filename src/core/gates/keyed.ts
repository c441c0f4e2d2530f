import type { Context } from '../call/context.js';
import type { Reason } from '../errors.js';
import { OptionReader } from '../options/validate.js';
import { GateStep } from '../pipeline/gate-step.js';
import type { Classify, Gate, Next, ReleaseDetails, Verdict, WorkPermits } from '../policy.js';
import type { Clock } from '../time/clock.js';
import { judge } from '../verdict.js';

/** Options of {@link keyed}. */
export interface KeyedOptions {
  /** How many keys may have a gate at once, 1 to 10,000,000. @default 10_000 */
  maxKeys?: number | undefined;
  /** @default 'keyed' */
  name?: string | undefined;
}

/** One inner gate a key. */
export interface KeyedGate<G extends Gate> extends Gate {
  /** The gate of `key` if it has one now, without counting as use. No key: the gate of the calls that have none. */
  peek(key?: string): G | undefined;
  /**
   * The keys that have a gate now and their gates, the least recently used first; without that of calls with no key.
   */
  entries(): IterableIterator<[key: string, gate: G]>;
  /** How many keys have a gate now. */
  snapshot(): { keys: number };
}

/** A key's gate and its calls in flight, which it has to outlive: their permits are its own. */
class Entry<G extends Gate> {
  inFlight = 0;
  constructor(readonly gate: G) {}
}

/** How many of the oldest keys one call looks at to make room, so that no call pays for many. */
const EVICTION_LOOKS = 8;

class Keyed<G extends Gate> implements KeyedGate<G> {
  readonly name: string;
  readonly #make: (key: string | undefined) => G;
  readonly #maxKeys: number;
  /** Least recently used first: a Map is walked in the order of insertion. */
  readonly #entries = new Map<string, Entry<G>>();
  readonly #step: GateStep;
  #keyless: Entry<G> | undefined;
  #newest: Entry<G> | undefined;
  #refused: G | undefined;
  /** Whether a gate that was asked so far does. */
  #usesElapsed = false;

  constructor(make: (key: string | undefined) => G, options: KeyedOptions | undefined) {
    if (typeof make !== 'function') throw new TypeError(`keyed: make must be a function, got ${typeof make}`);
    const read = new OptionReader('keyed', options);
    this.name = read.name('keyed');
    this.#maxKeys = read.number('maxKeys', 10_000, { min: 1, max: 10_000_000, integer: true });
    read.done();
    this.#make = make;
    this.#step = new GateStep([this], [this.name]);
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    const entry = this.#use(ctx?.key);
    if (entry.gate.tryAcquire(ctx)) {
      entry.inFlight++;
      // An update may make a gate use it.
      this.#usesElapsed ||= entry.gate.usesElapsed !== false;
      return true;
    }
    this.#refused = entry.gate;
    return false;
  }

  answered(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>): void {
    const entry = this.#find(ctx?.key);
    if (entry !== undefined && entry.inFlight > 0) entry.gate.answered?.(verdict, elapsedMs, ctx);
  }

  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>, details?: ReleaseDetails): void {
    const entry = this.#find(ctx?.key);
    // A release without an acquire has no gate to go to.
    if (entry === undefined || entry.inFlight === 0) return;
    entry.inFlight--;
    entry.gate.release(verdict, elapsedMs, ctx, details);
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return this.#step.run(ctx, next);
  }

  retryAfterMs(ctx?: Partial<Context>): number {
    return this.#find(ctx?.key)?.gate.retryAfterMs(ctx) ?? 0;
  }

  get reason(): Reason {
    return (this.#refused ?? this.#keylessEntry().gate).reason;
  }

  get captureStack(): boolean {
    return this.#refused?.captureStack ?? false;
  }

  /** The inner gates', whose clock must be the same for all keys. */
  get clock(): Clock | undefined {
    return this.#keylessEntry().gate.clock;
  }

  get usesElapsed(): boolean {
    return this.#usesElapsed;
  }

  /** Whether the gates hold work, and for how long, is asked of the gate of the calls without a key. */
  get holds(): WorkPermits | undefined {
    return this.#keylessEntry().gate.holds;
  }

  peek(key?: string): G | undefined {
    return this.#find(key)?.gate;
  }

  *entries(): IterableIterator<[key: string, gate: G]> {
    for (const [key, { gate }] of this.#entries) yield [key, gate];
  }

  snapshot(): { keys: number } {
    return { keys: this.#entries.size };
  }

  /** Always there: the gate of a key that comes later may have one. */
  readonly classify: Classify = (outcome, ctx) => {
    const result = outcome.ok ? outcome.value : outcome.error;
    return judge(this.#find(ctx.key)?.gate.classify, outcome.ok, result, ctx);
  };

  #find(key: string | undefined): Entry<G> | undefined {
    return key === undefined ? this.#keyless : this.#entries.get(key);
  }

  #use(key: string | undefined): Entry<G> {
    if (key === undefined) return this.#keylessEntry();
    const known = this.#entries.get(key);
    if (known !== undefined && known === this.#newest) return known;
    const entry = known ?? this.#create(key);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#newest = entry;
    if (this.#entries.size > this.#maxKeys) this.#evict(entry);
    return entry;
  }

  #keylessEntry(): Entry<G> {
    this.#keyless ??= this.#create(undefined);
    return this.#keyless;
  }

  #create(key: string | undefined): Entry<G> {
    const gate = this.#make(key);
    if (typeof gate?.tryAcquire !== 'function') throw new TypeError('keyed: make must return a gate');
    const clock = key === undefined ? gate.clock : this.clock;
    if (gate.clock !== clock) throw new TypeError('keyed: make must give all gates one clock, got another');
    return new Entry(gate);
  }

  #evict(keep: Entry<G>): void {
    let looks = EVICTION_LOOKS;
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key);
      if (entry.inFlight > 0 || entry === keep) this.#entries.set(key, entry);
      if (this.#entries.size <= this.#maxKeys || --looks === 0) return;
    }
  }
}

/**
 * One gate a `ctx.key`, as in one circuit breaker a host; calls without a key share one more. Beyond `maxKeys` the
 * least recently used key loses its gate and all that it had counted; a key with calls in flight keeps it, so there may
 * be as many more as there are such keys.
 *
 * @param make makes the gate of a key; all must have the same clock. Called with `undefined` for calls without a key.
 * @throws TypeError or RangeError for a bad option.
 */
export function keyed<G extends Gate>(make: (key: string | undefined) => G, options?: KeyedOptions): KeyedGate<G> {
  return new Keyed(make, options);
}
