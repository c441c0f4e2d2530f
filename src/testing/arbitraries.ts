import type * as FastCheck from 'fast-check';
import type { Tier } from '../core/context.js';
import type { BurstLoad, OpenLoad } from './scenario.js';

/** fast-check itself, which you pass in: `import fc from 'fast-check'`. */
export type FastCheckModule = Pick<
  typeof FastCheck,
  'array' | 'asyncProperty' | 'boolean' | 'constant' | 'constantFrom' | 'double' | 'integer' | 'oneof' | 'record'
>;

/** What a call's callee does. */
export interface CallOutcome {
  /** `hang`: no answer until the call is aborted. */
  kind: 'success' | 'failure' | 'hang';
  /** Until the answer, ms. */
  tookMs: number;
}

/** One call of a trace. */
export interface CallEvent {
  /** Clock ms at which it begins; those of a trace are in order, and many may begin at once. */
  atMs: number;
  key: string | undefined;
  tier: Tier;
  cost: number;
  outcome: CallOutcome;
  /** Its caller gives up after so long, ms; undefined = never. */
  abortAfterMs: number | undefined;
}

/** The clock steps by `byMs` at `atMs`, also backwards. */
export interface ClockStep {
  atMs: number;
  byMs: number;
}

/** Options of {@link outcomeStreams}. */
export interface OutcomeStreamOptions {
  /** How many at most, ≥ 1. @default 100 */
  maxLength?: number;
  /** Longest time to an answer, ms, ≥ 0. @default 1_000 */
  maxTookMs?: number;
  /** Whether some never answer. @default true */
  hangs?: boolean;
}

/** Options of {@link eventTraces}. */
export interface EventTraceOptions extends OutcomeStreamOptions {
  /** Longest time between two calls, ms, ≥ 0. @default 1_000 */
  maxGapMs?: number;
  /** Times between two calls at which something may go wrong, ms: the length of a window, of a bucket. @default none */
  gapsMs?: readonly number[];
  /** What `ctx.key` may be. @default 'a', 'b', 'c' and none */
  keys?: readonly (string | undefined)[];
  /** What `ctx.cost` may be. @default 1 */
  costs?: readonly number[];
  /** Whether some callers give up. @default true */
  aborts?: boolean;
}

/** Times up to `maxMs`, in eighths: exact as sums, and readable in a counterexample. */
const times = (fc: FastCheckModule, maxMs: number, minMs = 0): FastCheck.Arbitrary<number> =>
  fc.integer({ min: Math.ceil(minMs * 8), max: Math.floor(maxMs * 8) }).map((eighths) => eighths / 8);

/**
 * Streams of outcomes in runs of one kind, as callees fail and recover: each is as likely to be a long outage as a
 * flapping of single calls.
 */
export function outcomeStreams(
  fc: FastCheckModule,
  options: OutcomeStreamOptions = {},
): FastCheck.Arbitrary<CallOutcome[]> {
  const { maxLength = 100, maxTookMs = 1_000, hangs = true } = options;
  const kinds: CallOutcome['kind'][] = hangs ? ['success', 'failure', 'hang'] : ['success', 'failure'];
  const run = fc.record({
    kind: fc.constantFrom(...kinds),
    length: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: maxLength })),
    tookMs: fc.oneof(fc.constant(0), times(fc, maxTookMs)),
  });
  return fc
    .array(run, { minLength: 1 })
    .map((runs) =>
      runs
        .flatMap(({ length, kind, tookMs }) => Array.from({ length }, (): CallOutcome => ({ kind, tookMs })))
        .slice(0, maxLength),
    );
}

/** Traces of calls: bursts in one instant, calls at even distances, long silences. */
export function eventTraces(fc: FastCheckModule, options: EventTraceOptions = {}): FastCheck.Arbitrary<CallEvent[]> {
  const { maxGapMs = 1_000, gapsMs = [], keys = ['a', 'b', 'c', undefined], costs = [1], aborts = true } = options;
  const { maxLength = 100, maxTookMs = 1_000 } = options;
  const never = fc.constant(undefined);
  const call = fc.record({
    gapMs: fc.oneof(fc.constantFrom(0, ...gapsMs), times(fc, maxGapMs)),
    key: fc.constantFrom(...keys),
    tier: fc.constantFrom<Tier>(1, 2, 3, 4),
    cost: fc.constantFrom(...costs),
    abortAfterMs: aborts ? fc.oneof(never, never, times(fc, maxTookMs)) : never,
  });
  return outcomeStreams(fc, options).chain((outcomes) =>
    fc.array(call, { minLength: 1, maxLength }).map((calls) => {
      let atMs = 0;
      return calls.map(({ gapMs, ...rest }, i) => {
        atMs += gapMs;
        return { ...rest, atMs, outcome: outcomes[i % outcomes.length] as CallOutcome };
      });
    }),
  );
}

/** Loads for `simulate`: constant, Poisson, steps, ramps and bursts, up to `maxPerSecond` calls a second. */
export function loadShapes(
  fc: FastCheckModule,
  options: { maxPerSecond?: number; durationMs?: number } = {},
): FastCheck.Arbitrary<OpenLoad | BurstLoad> {
  const { maxPerSecond = 100, durationMs = 10_000 } = options;
  const rate = fc.double({ min: 0, max: maxPerSecond, noNaN: true });
  const change = fc.record({
    atMs: times(fc, durationMs),
    ratePerSecond: rate,
    ramp: fc.boolean(),
  });
  const changes = fc
    .array(change, { minLength: 1, maxLength: 6 })
    .map((list) => list.sort((a, b) => a.atMs - b.atMs).filter(({ atMs }, i) => atMs !== list[i - 1]?.atMs));
  const open = fc.record({
    arrivals: fc.constantFrom<OpenLoad['arrivals']>('constant', 'poisson'),
    ratePerSecond: fc.oneof(rate, changes),
  });
  const bursts = fc
    .integer({ min: 1, max: Math.max(1, Math.floor(maxPerSecond)) })
    .map((calls): BurstLoad => ({ arrivals: 'bursts', calls, everyMs: Math.max(1, (calls * 1_000) / maxPerSecond) }));
  return fc.oneof<FastCheck.Arbitrary<OpenLoad | BurstLoad>[]>(open, bursts);
}

/** Steps of a broken clock, in order of time: small ones, large ones, forwards and backwards. */
export function clockSteps(
  fc: FastCheckModule,
  options: { maxStepMs?: number; durationMs?: number } = {},
): FastCheck.Arbitrary<ClockStep[]> {
  const { maxStepMs = 3_600_000, durationMs = 10_000 } = options;
  const step = fc.record({
    atMs: times(fc, durationMs),
    byMs: fc.oneof(times(fc, 10, -10), times(fc, maxStepMs, -maxStepMs)),
  });
  return fc.array(step, { maxLength: 5 }).map((steps) => steps.sort((a, b) => a.atMs - b.atMs));
}
