import type * as FastCheck from 'fast-check';
import type { Tier } from '../../core/call/context.js';
import type { Complete } from '../../core/options/common.js';
import { checkNumber, hasMethods, invalid, OptionReader } from '../../core/options/validate.js';
import type { BurstLoad, OpenLoad } from '../simulator/scenario/scenario.js';

/** fast-check itself, which you pass in: `import fc from 'fast-check'`. */
export type FastCheckModule = Pick<
  typeof FastCheck,
  'array' | 'asyncProperty' | 'boolean' | 'constant' | 'constantFrom' | 'double' | 'integer' | 'oneof' | 'record'
>;

/** What the downstream does with a call. */
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
  /** How many at most; whole, 1 to 1_000_000. @default 100 */
  maxLength?: number | undefined;
  /** Longest time to an answer, ms, ≥ 0; as all times here at most 1e12. @default 1_000 */
  maxTookMs?: number | undefined;
  /** Whether some never answer. @default true */
  hangs?: boolean | undefined;
}

/** Options of {@link eventTraces}. */
export interface EventTraceOptions extends OutcomeStreamOptions {
  /** Longest time between two calls, ms, ≥ 0. @default 1_000 */
  maxGapMs?: number | undefined;
  /** Times between two calls at which something may go wrong, ms: the length of a window, of a bucket. @default none */
  gapsMs?: readonly number[] | undefined;
  /** What `ctx.key` may be, one at least. @default 'a', 'b', 'c' and none */
  keys?: readonly (string | undefined)[] | undefined;
  /** What `ctx.cost` may be, one at least, each ≥ 0. @default 1 */
  costs?: readonly number[] | undefined;
  /** Whether some callers give up. @default true */
  aborts?: boolean | undefined;
}

/** Of eighths of a ms so many are whole numbers that can be told apart. */
export const TIME = { min: 0, max: 1e12 };

const METHODS = [
  'array',
  'asyncProperty',
  'boolean',
  'constant',
  'constantFrom',
  'double',
  'integer',
  'oneof',
  'record',
];

/** Reads the options of what is made with fast-check. */
export function readWith(fc: FastCheckModule, owner: string, options: unknown): OptionReader {
  if (!hasMethods(fc, METHODS)) invalid(owner, 'fc', "fast-check, by import fc from 'fast-check'", fc, true);
  return new OptionReader(owner, options);
}

function readOutcomes(read: OptionReader): Complete<OutcomeStreamOptions> {
  return {
    maxLength: read.number('maxLength', 100, { min: 1, max: 1_000_000, integer: true }),
    maxTookMs: read.number('maxTookMs', 1_000, TIME),
    hangs: read.boolean('hangs', true),
  };
}

/** Options of {@link eventTraces}; `done()` is left to the caller. */
export function readTrace(read: OptionReader): Complete<EventTraceOptions> {
  const { owner } = read;
  const given = <T>(option: string, allowed: string, byDefault: T[], check: (one: unknown, at: string) => T): T[] => {
    const list = read.array(option, allowed) ?? byDefault;
    if (byDefault.length > 0) checkNumber(owner, `number of ${option}`, list.length, { min: 1 });
    return list.map((one, i) => check(one, `${option}[${i}]`));
  };
  const key = (one: unknown, at: string): string | undefined =>
    one === undefined || typeof one === 'string' ? one : invalid(owner, at, 'a string or undefined', one, true);
  return {
    ...readOutcomes(read),
    maxGapMs: read.number('maxGapMs', 1_000, TIME),
    gapsMs: given('gapsMs', 'an array of numbers', [], (one, at) => checkNumber(owner, at, one, TIME)),
    keys: given('keys', 'an array of strings and undefined', ['a', 'b', 'c', undefined], key),
    costs: given('costs', 'an array of numbers', [1], (one, at) => checkNumber(owner, at, one, { min: 0 })),
    aborts: read.boolean('aborts', true),
  };
}

/** Times up to `maxMs`, in eighths: exact as sums, and readable in a counterexample. */
const times = (fc: FastCheckModule, maxMs: number, minMs = 0): FastCheck.Arbitrary<number> =>
  fc.integer({ min: Math.ceil(minMs * 8), max: Math.floor(maxMs * 8) }).map((eighths) => eighths / 8);

/**
 * Streams of outcomes in runs of one kind, as dependencies fail and recover: each is as likely to be a long outage as a
 * flapping of single calls.
 *
 * @throws TypeError or RangeError for a bad option, as each of these arbitraries.
 */
export function outcomeStreams(
  fc: FastCheckModule,
  options: OutcomeStreamOptions = {},
): FastCheck.Arbitrary<CallOutcome[]> {
  const read = readWith(fc, 'outcomeStreams', options);
  const given = readOutcomes(read);
  read.done();
  return outcomesOf(fc, given);
}

function outcomesOf(
  fc: FastCheckModule,
  { maxLength, maxTookMs, hangs }: Complete<OutcomeStreamOptions>,
): FastCheck.Arbitrary<CallOutcome[]> {
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
  const read = readWith(fc, 'eventTraces', options);
  const given = readTrace(read);
  read.done();
  return tracesOf(fc, given);
}

/** {@link eventTraces} of options that have been read. */
export function tracesOf(fc: FastCheckModule, options: Complete<EventTraceOptions>): FastCheck.Arbitrary<CallEvent[]> {
  const { maxLength, maxTookMs, maxGapMs, gapsMs, keys, costs, aborts } = options;
  const never = fc.constant(undefined);
  const call = fc.record({
    gapMs: fc.oneof(fc.constantFrom(0, ...gapsMs), times(fc, maxGapMs)),
    key: fc.constantFrom(...keys),
    tier: fc.constantFrom<Tier>(1, 2, 3, 4),
    cost: fc.constantFrom(...costs),
    abortAfterMs: aborts ? fc.oneof(never, never, times(fc, maxTookMs)) : never,
  });
  return outcomesOf(fc, options).chain((outcomes) =>
    fc.array(call, { minLength: 1, maxLength }).map((calls) => {
      let atMs = 0;
      return calls.map(({ gapMs, ...rest }, i) => {
        atMs += gapMs;
        return { ...rest, atMs, outcome: outcomes[i % outcomes.length] as CallOutcome };
      });
    }),
  );
}

/**
 * Loads for `simulate`: constant, Poisson, steps, ramps and bursts, up to `maxPerSecond` calls per second, 0.001 to
 * 1_000_000, by default 100; they change in the first `durationMs`, by default 10_000.
 */
export function loadShapes(
  fc: FastCheckModule,
  options: { maxPerSecond?: number; durationMs?: number } = {},
): FastCheck.Arbitrary<OpenLoad | BurstLoad> {
  const read = readWith(fc, 'loadShapes', options);
  const maxPerSecond = read.number('maxPerSecond', 100, { min: 0.001, max: 1_000_000 });
  const durationMs = read.number('durationMs', 10_000, TIME);
  read.done();
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

/**
 * Steps of a broken clock, in order of time: small ones, large ones up to `maxStepMs`, by default 3_600_000, forwards
 * and backwards, within `durationMs`, by default 10_000.
 */
export function clockSteps(
  fc: FastCheckModule,
  options: { maxStepMs?: number; durationMs?: number } = {},
): FastCheck.Arbitrary<ClockStep[]> {
  const read = readWith(fc, 'clockSteps', options);
  const maxStepMs = read.number('maxStepMs', 3_600_000, TIME);
  const durationMs = read.number('durationMs', 10_000, TIME);
  read.done();
  const step = fc.record({
    atMs: times(fc, durationMs),
    byMs: fc.oneof(times(fc, 10, -10), times(fc, maxStepMs, -maxStepMs)),
  });
  return fc.array(step, { maxLength: 5 }).map((steps) => steps.sort((a, b) => a.atMs - b.atMs));
}
