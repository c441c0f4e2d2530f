import type * as FastCheck from 'fast-check';
import type { Complete } from '../../core/options/common.js';
import { invalid, OptionReader } from '../../core/options/validate.js';
import {
  type CallEvent,
  type CallOutcome,
  type ClockStep,
  clockSteps,
  type EventTraceOptions,
  type FastCheckModule,
  readTrace,
  readWith,
  TIME,
  tracesOf,
} from './arbitraries.js';
import { runTrace, type TraceRun, type VirtualPipelineMaker } from './trace-run.js';

/** Options of every ready-made property. */
export interface PropertyOptions {
  /**
   * Made again for each run. Give its policies the clock and the random source: with another clock the property fails.
   */
  pipeline: VirtualPipelineMaker;
  /** What the calls are like. */
  trace?: EventTraceOptions | undefined;
  /** How long to wait at the end for what is under way, ms, ≥ 0. @default 120_000 */
  settleMs?: number | undefined;
}

type Property<T> = FastCheck.IAsyncPropertyWithHooks<T>;

const SEEDS = { min: 0, max: 2 ** 31 };
/** More calls than this a run are a mistake in the options, and would not fit into memory. */
const MAX_CALLS = 1_000_000;

function readRun(read: OptionReader): { make: VirtualPipelineMaker; settleMs: number } {
  const make = read.fn<VirtualPipelineMaker>('pipeline');
  if (make === undefined) invalid(read.owner, 'pipeline', 'a function', make, true);
  return { make, settleMs: read.number('settleMs', 120_000, TIME) };
}

function readTraceOf(read: OptionReader, byDefault: EventTraceOptions = {}): Complete<EventTraceOptions> {
  const trace = new OptionReader(`${read.owner}: trace`, read.whatever('trace'), byDefault);
  const given = readTrace(trace);
  trace.done();
  return given;
}

/**
 * No more than `limit` permits reach the downstream in any `windowMs`, (t − windowMs, t], whatever calls come. Check it
 * with `await fc.assert(neverMoreThan(fc, …))`, as each of these. No caller gives up unless `trace` says so.
 *
 * @throws TypeError or RangeError for a bad option, as each of these; `limit` and `windowMs` are > 0.
 */
export function neverMoreThan(
  fc: FastCheckModule,
  options: PropertyOptions & { limit: number; windowMs: number },
): Property<[number, CallEvent[]]> {
  const read = readWith(fc, 'neverMoreThan', options);
  const { make, settleMs } = readRun(read);
  const limit = read.number('limit', undefined, { above: 0 });
  const windowMs = read.number('windowMs', undefined, { above: 0, max: TIME.max });
  const given = readTraceOf(read, { maxGapMs: windowMs, hangs: false, aborts: false });
  read.done();
  const gapsMs = [windowMs, windowMs / 2, windowMs / Math.max(1, limit), ...given.gapsMs];
  return fc.asyncProperty(fc.integer(SEEDS), tracesOf(fc, { ...given, gapsMs }), async (seed, trace) => {
    const { tries } = await runTrace(read.owner, make, seed, trace, [], settleMs);
    const tryAt = (i: number) => tries[i] as (typeof tries)[number];
    let first = 0;
    let used = 0;
    for (const { atMs, cost } of tries) {
      used += cost;
      while (atMs - tryAt(first).atMs >= windowMs) used -= tryAt(first++).cost;
      if (used > limit) throw new Error(`${used} permits in the ${windowMs} ms up to ${atMs}, more than ${limit}`);
    }
  });
}

/** Fields of snapshots that tell of calls under way. */
const IN_USE = ['inflight', 'inFlight', 'queued', 'held'];

/**
 * Once all is over nothing is left of any call: each has ended, nothing is in flight or queued by the policies'
 * snapshots, no timer waits, no listener is on a caller's signal; whatever fails, hangs or is aborted, and however the
 * clock steps. The pipeline needs a time limit, or `trace: { hangs: false }`. `inUse` counts what snapshots do not
 * show.
 */
export function permitsConserved(
  fc: FastCheckModule,
  options: PropertyOptions & { inUse?: () => number; steps?: boolean },
): Property<[number, CallEvent[], ClockStep[]]> {
  const read = readWith(fc, 'permitsConserved', options);
  const { make, settleMs } = readRun(read);
  const given = readTraceOf(read);
  const inUse = read.fn<() => number>('inUse');
  const steps = read.boolean('steps', true) ? clockSteps(fc) : fc.constant<ClockStep[]>([]);
  read.done();
  return fc.asyncProperty(fc.integer(SEEDS), tracesOf(fc, given), steps, async (seed, trace, stepped) => {
    // A timer set before a step back is due that much later.
    const backMs = stepped.reduce((sum, { byMs }) => sum + Math.max(0, -byMs), 0);
    const run = await runTrace(read.owner, make, seed, trace, stepped, settleMs + backMs);
    const left = leftOver(run, trace.length);
    const used = inUse === undefined ? 0 : inUse();
    if (used !== 0) left.push(`inUse() is ${used}`);
    if (left.length > 0) throw new Error(`left of ${trace.length} calls: ${left.join('; ')}`);
  });
}

function leftOver({ ends, clock, listenersLeft, pipeline }: TraceRun, calls: number): string[] {
  const left: string[] = [];
  const ended = ends.filter(() => true).length;
  if (ended < calls) left.push(`${calls - ended} have not ended`);
  if (clock.waiting > 0) left.push(`${clock.waiting} timers wait`);
  if (listenersLeft > 0) left.push(`${listenersLeft} listeners on the callers' signals`);
  for (const policy of pipeline.policies) {
    const { snapshot } = policy as { snapshot?: () => object };
    const fields = snapshot === undefined ? [] : Object.entries(snapshot.call(policy));
    for (const [field, value] of fields) {
      if (IN_USE.includes(field) && value !== 0) left.push(`${policy.name} has ${field} ${value}`);
    }
  }
  return left;
}

/**
 * Within `withinMs` of the end of an outage, however long it was (up to `maxOutageMs`) and whether its calls failed or
 * hung, at least `minGoodRatio` of the calls are answered again.
 */
export function recoversWithin(
  fc: FastCheckModule,
  options: Omit<PropertyOptions, 'trace'> & {
    /** ≥ 0 */
    withinMs: number;
    /** > 0 and ≤ 1. @default 0.95 */
    minGoodRatio?: number;
    /** ≥ 0. @default 30_000 */
    maxOutageMs?: number;
    /** Calls per second, ≥ 0.001. @default 20 */
    ratePerSecond?: number;
    /** Of a good call, ms, ≥ 0. @default 20 */
    tookMs?: number;
  },
): Property<[number, number, CallOutcome['kind']]> {
  const read = readWith(fc, 'recoversWithin', options);
  const { make, settleMs } = readRun(read);
  const withinMs = read.number('withinMs', undefined, TIME);
  const minGoodRatio = read.number('minGoodRatio', 0.95, { above: 0, max: 1 });
  const maxOutageMs = read.number('maxOutageMs', 30_000, TIME);
  const ratePerSecond = read.number('ratePerSecond', 20, { min: 0.001 });
  const tookMs = read.number('tookMs', 20, TIME);
  read.done();
  const beforeMs = 5_000;
  const watchedMs = Math.max(2_000, 100_000 / ratePerSecond);
  const longestMs = beforeMs + maxOutageMs + withinMs + watchedMs;
  if ((longestMs * ratePerSecond) / 1_000 > MAX_CALLS) {
    const allowed = `so low that a run of ${longestMs} ms makes at most ${MAX_CALLS} calls`;
    invalid('recoversWithin', 'ratePerSecond', allowed, ratePerSecond);
  }
  return fc.asyncProperty(
    fc.integer(SEEDS),
    fc.integer({ min: 0, max: Math.floor(maxOutageMs) }),
    fc.constantFrom<CallOutcome['kind']>('failure', 'hang'),
    async (seed, outageMs, kind) => {
      const overMs = beforeMs + outageMs;
      const trace: CallEvent[] = [];
      for (let atMs = 0; atMs < overMs + withinMs + watchedMs; atMs += 1_000 / ratePerSecond) {
        const isFailing = atMs >= beforeMs && atMs < overMs;
        const outcome: CallOutcome = { kind: isFailing ? kind : 'success', tookMs };
        trace.push({ atMs, outcome, key: undefined, tier: 3, cost: 1, abortAfterMs: undefined });
      }
      const { ends } = await runTrace(read.owner, make, seed, trace, [], settleMs);
      const watched = trace.flatMap(({ atMs }, call) => (atMs >= overMs + withinMs ? [ends[call]] : []));
      const good = watched.filter((end) => end?.how === 'value').length;
      if (good < minGoodRatio * watched.length) {
        throw new Error(`${good} of ${watched.length} calls answered from ${withinMs} ms after the outage on`);
      }
    },
  );
}

/** The downstream gets at most `maxRatio` tries for each call, and `allowance` more in all, however it fails. */
export function boundedAmplification(
  fc: FastCheckModule,
  options: PropertyOptions & {
    /** ≥ 0 */
    maxRatio: number;
    /** ≥ 0. @default 0 */
    allowance?: number;
  },
): Property<[number, CallEvent[]]> {
  const read = readWith(fc, 'boundedAmplification', options);
  const { make, settleMs } = readRun(read);
  const given = readTraceOf(read);
  const maxRatio = read.number('maxRatio', undefined, { min: 0 });
  const allowance = read.number('allowance', 0, { min: 0 });
  read.done();
  return fc.asyncProperty(fc.integer(SEEDS), tracesOf(fc, given), async (seed, trace) => {
    const { tries } = await runTrace(read.owner, make, seed, trace, [], settleMs);
    const most = maxRatio * trace.length + allowance;
    if (tries.length > most) throw new Error(`${tries.length} tries of ${trace.length} calls, more than ${most}`);
  });
}
