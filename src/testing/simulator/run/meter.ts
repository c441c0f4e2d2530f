import type { Tier } from '../../../core/call/context.js';
import { isRejected, isTimeout } from '../../../core/errors.js';
import type { CallInfo } from '../scenario/scenario.js';
import { isBackendError } from './backend-error.js';
import { Histogram } from './histogram.js';

/** Keys that are counted apart; the calls of all later ones are counted under {@link OTHER_KEYS}. */
const MAX_KEYS = 32;
export const OTHER_KEYS = 'others';

/** What became of the calls that were offered in one interval. */
export class Tally {
  offered = 0;
  admitted = 0;
  goodput = 0;
  errors = 0;
  timeouts = 0;
  refused = 0;
  tries = 0;
  readonly refusedBy = new Map<string, number>();
  readonly latency = new Histogram();

  refuse(reason: string, count = 1): void {
    this.refused += count;
    this.refusedBy.set(reason, (this.refusedBy.get(reason) ?? 0) + count);
  }

  addAll(other: Tally): void {
    this.offered += other.offered;
    this.admitted += other.admitted;
    this.goodput += other.goodput;
    this.errors += other.errors;
    this.timeouts += other.timeouts;
    this.tries += other.tries;
    for (const [reason, count] of other.refusedBy) this.refuse(reason, count);
    this.latency.addAll(other.latency);
  }
}

/** What a back-end did in one interval. */
export class ServerTally {
  received = 0;
  answered = 0;
  failed = 0;
  refused = 0;
  lost = 0;
  wasted = 0;
  mostQueued = 0;
  /**
   * Integrals over time: of the busy workers, of all workers (once there is no end of them, Infinity), of the calls
   * that wait.
   */
  busyMs = 0;
  workerMs = 0;
  queuedMs = 0;
  spanMs = 0;

  addAll(other: ServerTally): void {
    this.received += other.received;
    this.answered += other.answered;
    this.failed += other.failed;
    this.refused += other.refused;
    this.lost += other.lost;
    this.wasted += other.wasted;
    this.mostQueued = Math.max(this.mostQueued, other.mostQueued);
    this.busyMs += other.busyMs;
    this.workerMs += other.workerMs;
    this.queuedMs += other.queuedMs;
    this.spanMs += other.spanMs;
  }
}

/** A policy's state at the end of an interval: what of its snapshot is a number, a text or a truth value. */
export type PolicyState = Readonly<Record<string, number | string | boolean>>;

/** One interval as it is counted. */
export class Counted {
  readonly all = new Tally();
  readonly tiers = new Map<Tier, Tally>();
  readonly keys = new Map<string, Tally>();
  servers: readonly ServerTally[] = [];
  policies: readonly PolicyState[] = [];

  constructor(
    readonly fromMs: number,
    readonly toMs: number,
  ) {}
}

/** One offered call, until its end is known. */
export class OfferedCall {
  readonly #tallies: readonly Tally[];
  #tries = 0;

  constructor(
    tallies: readonly Tally[],
    readonly startedMs: number,
  ) {
    this.#tallies = tallies;
    for (const tally of tallies) tally.offered++;
  }

  /** A try goes out to a back-end. */
  readonly onTry = (): void => {
    const first = this.#tries++ === 0;
    for (const tally of this.#tallies) {
      tally.tries++;
      if (first) tally.admitted++;
    }
  };

  succeeded(nowMs: number): void {
    for (const tally of this.#tallies) {
      tally.goodput++;
      tally.latency.add(nowMs - this.startedMs);
    }
  }

  /** Returns whether it is a mistake in the scenario's own code. */
  failed(error: unknown): boolean {
    const reason = refusalOf(error);
    for (const tally of this.#tallies) {
      if (reason !== undefined) tally.refuse(reason);
      else if (isTimeout(error)) tally.timeouts++;
      else tally.errors++;
    }
    return isMistake(error);
  }
}

/** What code throws that is wrong in itself. */
export const isMistake = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;

/** `circuit_open` by the client's own pipeline, `backend:too_old` by the back-end's; undefined = no refusal. */
function refusalOf(error: unknown): string | undefined {
  if (isRejected(error)) return error.reason;
  if (!isBackendError(error)) return undefined;
  if (error.kind === 'queue_full') return 'backend:queue_full';
  return error.kind === 'refused' ? `backend:${error.reason}` : undefined;
}

/** Counts the offered calls, by the interval in which they were offered. */
export class Meter {
  readonly intervals: Counted[] = [];
  current = new Counted(0, 0);
  readonly #keys = new Set<string>();
  #offered = 0;

  get offered(): number {
    return this.#offered;
  }

  begin(fromMs: number, toMs: number): Counted {
    this.current = new Counted(fromMs, toMs);
    this.intervals.push(this.current);
    return this.current;
  }

  offer(call: CallInfo): OfferedCall {
    this.#offered++;
    const { all, tiers, keys } = this.current;
    const tallies = [all, tallyOf(tiers, call.tier)];
    if (call.key !== undefined) tallies.push(tallyOf(keys, this.#counted(call.key)));
    return new OfferedCall(tallies, call.atMs);
  }

  #counted(key: string): string {
    if (this.#keys.has(key)) return key;
    if (this.#keys.size >= MAX_KEYS) return OTHER_KEYS;
    this.#keys.add(key);
    return key;
  }
}

function tallyOf<K>(tallies: Map<K, Tally>, key: K): Tally {
  let tally = tallies.get(key);
  if (tally === undefined) {
    tally = new Tally();
    tallies.set(key, tally);
  }
  return tally;
}
