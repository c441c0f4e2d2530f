/**
 * Refuses what is too late to be worth starting:
 *
 *     age  > maxAgeMs − margin          age = now − receivedAt, not below 0
 *     left < margin                     left = deadline − now
 *
 * The margin is the time that the work itself takes. Without it, a first-in-first-out queue in overload serves only
 * requests that are lost already: each starts at the age limit and ends beyond it. With `marginMs: 'auto'` it comes
 * from the latest 64 service times:
 *
 *     margin = max(median, min(95 % quantile, half of the whole time))
 *
 * Source: MSEC's early reject (T2 − T0 > timeout), with the margin that it leaves to its users.
 */
import type { Context } from '../../core/call/context.js';
import { GateBase, readMode } from '../../core/gates/gate-base.js';
import { COUNTED, UNCOUNTED } from '../../core/gates/ledger.js';
import { OptionReader } from '../../core/options/validate.js';
import type { Gate, GateOptions, Verdict } from '../../core/policy.js';
import { ServiceTimes } from './service-times.js';

/** Options of {@link deadline}. */
export interface DeadlineOptions extends GateOptions {
  /** The time from `receivedAt` to the answer for calls without a deadline of their own, ms, > 0. @default Infinity */
  budgetMs?: number | undefined;
  /**
   * How old a call may be when its answer is ready, whatever its deadline, ms, > 0: the timeout of the clients, less
   * the way to them. @default Infinity
   */
  maxAgeMs?: number | undefined;
  /**
   * The time to leave for the work, ms, ≥ 0, less than `budgetMs` and `maxAgeMs`; 'auto' = as measured. @default 'auto'
   */
  marginMs?: number | 'auto' | undefined;
}

/** What {@link DeadlineGate.update} can change. */
export type DeadlineUpdate = Pick<DeadlineOptions, 'budgetMs' | 'maxAgeMs' | 'marginMs' | 'mode'>;

/** Plain data on a deadline gate. */
export interface DeadlineSnapshot {
  /** How many service times are known, up to 64. */
  samples: number;
  /** Their middle, ms; 0 while there are none. */
  medianMs: number;
  /** What calls with time enough have to leave for the work, ms. */
  marginMs: number;
}

/** A {@link deadline}. */
export interface DeadlineGate extends Gate {
  /** Changes settings at once and keeps what was measured; all or nothing. */
  update(options: DeadlineUpdate): void;
  snapshot(): DeadlineSnapshot;
}

/** With nothing admitted for so long, a call is let through to measure again if at least half of its time is left … */
const PROBE_MS = 1_000;
/** … and after so long also one that is older. */
const LATE_PROBE_MS = 10_000;

interface Settings {
  budgetMs: number;
  maxAgeMs: number;
  marginMs: number | 'auto';
}

function readSettings(read: OptionReader): Settings {
  const positive = { above: 0, infinite: true };
  const budgetMs = read.number('budgetMs', Infinity, positive);
  const maxAgeMs = read.number('maxAgeMs', Infinity, positive);
  // A margin that is the whole time would refuse everything.
  const whole = Math.min(budgetMs, maxAgeMs);
  const below = whole < Infinity ? { below: whole } : {};
  return { budgetMs, maxAgeMs, marginMs: read.numberOr('marginMs', 'auto', { min: 0, ...below }, 'auto') };
}

class AgeGate extends GateBase implements DeadlineGate {
  reason: 'too_old' | 'deadline_exceeded' = 'too_old';
  readonly #times = new ServiceTimes();
  #settings: Settings;
  #admittedAt = -Infinity;
  /** The time that the latest probe had left; 0 once one has ended within it. */
  #probeLeftMs = 0;

  constructor(options: DeadlineOptions | undefined) {
    const read = new OptionReader('deadline', options);
    super(read, 'deadline');
    this.#settings = readSettings(read);
    read.done();
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.mode === 'off') {
      this.ledger.note(UNCOUNTED, ctx);
      return true;
    }
    const now = ctx?.startedAt ?? this.clock.now();
    const ageMs = Math.max(0, now - (ctx?.receivedAt ?? now));
    const { maxAgeMs } = this.#settings;
    const budgetMs = this.#budgetOf(ctx, now);
    if (!this.#fits(maxAgeMs, ageMs)) this.reason = 'too_old';
    else if (!this.#fits(budgetMs, ageMs) || ageMs >= budgetMs) this.reason = 'deadline_exceeded';
    else return this.#admit(now, ctx);
    const wholeMs = Math.min(maxAgeMs, budgetMs);
    if (this.#mayProbe(now, wholeMs, ageMs)) return this.#admit(now, ctx);
    if (!this.refuse(now, ctx)) return false;
    this.ledger.count(ctx);
    return true;
  }

  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>): void {
    if (this.ledger.end(ctx) !== COUNTED) return;
    // A broken clock must not poison what is measured.
    if (!(elapsedMs >= 0 && elapsedMs < Infinity)) return;
    const times = this.#times;
    if (verdict === 'success') {
      if (elapsedMs < this.#probeLeftMs) {
        // What made it impossible is over.
        times.clear();
        this.#probeLeftMs = 0;
      }
      times.add(elapsedMs);
    } else if (verdict !== 'failure' && elapsedMs > 0 && elapsedMs >= times.highMs) {
      // Given up, so it would have taken longer, how much is not known: twice, as TCP does (Karn's algorithm). Callers
      // who disconnect would otherwise hide that the work has become slower than the margin.
      const startedAt = ctx?.startedAt ?? this.clock.now() - elapsedMs;
      const wholeMs = Math.min(this.#settings.maxAgeMs, this.#budgetOf(ctx, startedAt));
      times.add(Math.max(elapsedMs, Math.min(2 * elapsedMs, wholeMs)));
    }
  }

  /** From the reception to the deadline. */
  #budgetOf(ctx: Partial<Context> | undefined, now: number): number {
    const { deadline = Infinity, receivedAt = now } = ctx ?? {};
    return deadline === Infinity ? this.#settings.budgetMs : deadline - Math.min(receivedAt, now);
  }

  #fits(wholeMs: number, ageMs: number): boolean {
    return ageMs <= wholeMs - this.#marginOf(wholeMs);
  }

  #marginOf(wholeMs: number): number {
    const { marginMs } = this.#settings;
    if (marginMs !== 'auto') return marginMs;
    // More than half of the time for caution's sake would refuse calls of which most get done.
    return Math.max(this.#times.medianMs, Math.min(this.#times.highMs, wholeMs / 2));
  }

  #admit(now: number, ctx: Partial<Context> | undefined): true {
    this.#admittedAt = now;
    this.ledger.count(ctx);
    return true;
  }

  /** Or a margin beyond all deadlines, measured once, would refuse every call and never be measured again. */
  #mayProbe(now: number, wholeMs: number, ageMs: number): boolean {
    const leftMs = wholeMs - ageMs;
    if (this.#settings.marginMs !== 'auto' || leftMs <= 0) return false;
    this.#admittedAt = Math.min(this.#admittedAt, now);
    if (now - this.#admittedAt < (2 * leftMs >= wholeMs ? PROBE_MS : LATE_PROBE_MS)) return false;
    this.#probeLeftMs = leftMs;
    return true;
  }

  /** No advice: the request itself is lost, however soon it is sent again. */
  retryAfterMs(): number {
    return 0;
  }

  update(options: DeadlineUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#settings);
    const settings = readSettings(read);
    const mode = readMode(read, this.mode);
    read.done();
    this.#settings = settings;
    this.mode = mode;
  }

  snapshot(): DeadlineSnapshot {
    return { samples: this.#times.count, medianMs: this.#times.medianMs, marginMs: this.#marginOf(Infinity) };
  }
}

/**
 * Refuses calls that are too old to be answered in time, before any work is done on them. It belongs where work is
 * taken off a queue: there it can measure how long a request has waited.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function deadline(options?: DeadlineOptions): DeadlineGate {
  return new AgeGate(options);
}
