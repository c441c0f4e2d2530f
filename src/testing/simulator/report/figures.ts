import type { Tier } from '../../../core/call/context.js';
import { type Counted, ServerTally, Tally } from '../run/meter.js';

/**
 * Figures on calls: each call counts where it was offered, whenever its end was known. A figure that nothing tells is
 * NaN.
 */
export interface Figures {
  /** Calls that users made, without retries. */
  offered: number;
  /** Those of which at least one try was sent to a back-end. */
  admitted: number;
  /** Those that were answered well before the caller gave up. */
  goodput: number;
  /** Those that failed, in the end. */
  errors: number;
  /** Those that were given up, in the end. */
  timeouts: number;
  /** Those that were refused, in the end, by the client's pipeline or the back-end. */
  refused: number;
  /** By reason; `backend:` in front of what a back-end refused, as `backend:queue_full`. */
  refusedBy: Record<string, number>;
  /** Those whose end was not known when the simulation ended. */
  unfinished: number;
  /** goodput / offered. */
  goodputRatio: number;
  /** refused / offered. */
  refusedRatio: number;
  /** goodput, by seconds of the time it is about. */
  goodputPerSecond: number;
  /** Tries sent to the back-ends, retries and hedges included. */
  tries: number;
  /** tries / offered: what the back-ends get for each call of a user. */
  amplification: number;
  /** Time from the call to its answer, of the goodput; within 2.2 %, for bounded memory. */
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  /** Exact. */
  meanMs: number;
  /** Exact. */
  maxMs: number;
}

/** Figures on a back-end, by the time at which things happened there. */
export interface BackendFigures {
  /** Calls that reached it. */
  received: number;
  /** Calls that it answered well, also those whose caller had gone. */
  answered: number;
  failed: number;
  /** By its pipeline, or because the queue was full. */
  refused: number;
  /** In an outage of the kind `hang`, or their answers. */
  lost: number;
  /** Calls that it worked on though their callers had given up. */
  wasted: number;
  /** Share of the workers that were busy, on average; NaN where there are none, or no end of them. */
  busyRatio: number;
  /** Calls that it worked on at a time, on average. */
  inFlight: number;
  /** Calls that waited, on average. */
  queueLength: number;
  /** Calls that waited, at most. */
  maxQueueLength: number;
  /** received / calls that users made: load amplification down to here. */
  callsPerOffered: number;
}

/** Everything about a stretch of time. */
export interface Stretch extends Figures {
  fromMs: number;
  toMs: number;
  tiers: Partial<Record<Tier, Figures>>;
  /** By `ctx.key`, for the first 32 keys; all others together are `others`. */
  keys: Record<string, Figures>;
  backends: Record<string, BackendFigures>;
}

/** One step of the time series. */
export interface Interval extends Stretch {
  /** What of each policy's `snapshot()` is a number, a text or a truth value, at the end of the interval. */
  policies: Record<string, Readonly<Record<string, number | string | boolean>>>;
}

function figuresOf(tally: Tally, seconds: number): Figures {
  const { offered, admitted, goodput, errors, timeouts, refused, tries, latency } = tally;
  return {
    offered,
    admitted,
    goodput,
    errors,
    timeouts,
    refused,
    refusedBy: Object.fromEntries([...tally.refusedBy].sort(([a], [b]) => (a < b ? -1 : 1))),
    unfinished: offered - goodput - errors - timeouts - refused,
    goodputRatio: goodput / offered,
    refusedRatio: refused / offered,
    goodputPerSecond: goodput / seconds,
    tries,
    amplification: tries / offered,
    p50Ms: latency.quantile(0.5),
    p90Ms: latency.quantile(0.9),
    p99Ms: latency.quantile(0.99),
    meanMs: latency.mean,
    maxMs: latency.max,
  };
}

function backendFiguresOf(tally: ServerTally, offered: number): BackendFigures {
  const { received, answered, failed, refused, lost, wasted, busyMs, workerMs, queuedMs, spanMs } = tally;
  return {
    received,
    answered,
    failed,
    refused,
    lost,
    wasted,
    busyRatio: workerMs > 0 && workerMs < Infinity ? busyMs / workerMs : NaN,
    inFlight: busyMs / spanMs,
    queueLength: queuedMs / spanMs,
    maxQueueLength: tally.mostQueued,
    callsPerOffered: received / offered,
  };
}

/** A report does not depend on which came first. */
const byName = ([a]: [string | number, Tally], [b]: [string | number, Tally]): number => (a < b ? -1 : 1);

const groups = (tallies: ReadonlyMap<string | number, Tally>, seconds: number): Record<string, Figures> =>
  Object.fromEntries([...tallies].sort(byName).map(([name, tally]) => [name, figuresOf(tally, seconds)]));

/** The figures of all `intervals` together, of which there is at least one. */
export function stretchOf(intervals: readonly Counted[], backends: readonly string[]): Stretch {
  const all = new Tally();
  const tiers = new Map<Tier, Tally>();
  const keys = new Map<string, Tally>();
  const servers = backends.map(() => new ServerTally());
  for (const one of intervals) {
    all.addAll(one.all);
    addGroups(tiers, one.tiers);
    addGroups(keys, one.keys);
    one.servers.forEach((server, i) => {
      servers[i]?.addAll(server);
    });
  }
  const { fromMs } = intervals[0] as Counted;
  const { toMs } = intervals.at(-1) as Counted;
  const seconds = (toMs - fromMs) / 1_000;
  return {
    fromMs,
    toMs,
    ...figuresOf(all, seconds),
    tiers: groups(tiers, seconds),
    keys: groups(keys, seconds),
    backends: Object.fromEntries(
      backends.map((name, i) => [name, backendFiguresOf(servers[i] as ServerTally, all.offered)]),
    ),
  };
}

function addGroups<K>(into: Map<K, Tally>, from: ReadonlyMap<K, Tally>): void {
  for (const [key, tally] of from) {
    let sum = into.get(key);
    if (sum === undefined) {
      sum = new Tally();
      into.set(key, sum);
    }
    sum.addAll(tally);
  }
}
