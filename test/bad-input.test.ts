/**
 * Every option of every factory, out of range and of the wrong type: the message names the factory, the option, the
 * value and what is allowed. A new primitive joins by one line of FACTORIES.
 */
import {
  balancer,
  circuitBreaker,
  concurrencyLimiter,
  createRing,
  deadline,
  decorrelatedBackoff,
  dynamicTimeout,
  exponentialBackoff,
  failover,
  fallback,
  hedge,
  keyed,
  keyedRateLimiter,
  type Policy,
  pipeline,
  processLoad,
  rateLimiter,
  ratioBudget,
  retry,
  retryWindow,
  ringReader,
  ringWriter,
  tierShedder,
  tokenBudget,
} from 'evenkeel';
import { chaos } from 'evenkeel/chaos';
import { createSets } from 'evenkeel/isolation';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

/**
 * What an option may be, with the bounds in the words of the message: `whole` or `infinite` (Infinity
 * may be), then bounds as `≥ 1` and `< limitMs`
 * (an option of `valid`), `infinite` where Infinity is allowed; `or` and a word that is allowed beside numbers; words
 * with `|` between; or one of the names in KINDS.
 */
type Rule = string;
type Options = Record<string, unknown>;

interface Factory {
  make: (options: never) => unknown;
  /** Options that are enough, each at a value that its rule allows. */
  valid: Options;
  rules: Record<string, Rule>;
  /** What `update` takes, with values that change the behaviour. */
  update?: Options;
}

/** A balancer and its policy in one, with two instances masked, so that all settings show. */
const withPolicy = (options: never): Policy => {
  const made = balancer(options);
  made.update({ minRequests: 8, probeIntervalMs: 500, panicRatio: 1 });
  for (let i = 0; i < 10; i++) made.report(i % 2 ? 'a' : 'b', 'failure', 0);
  const { update, snapshot } = made;
  return Object.assign(made.policy(), { update: update.bind(made), snapshot: snapshot.bind(made) }) as never;
};

/** Closed at once, or its workers would stay. */
const closedSets = (options: never): unknown => {
  const sets = createSets(options);
  void sets.close({ graceMs: 0 });
  return sets;
};

const COMMON = { name: 'name', clock: 'clock', random: 'function', observer: 'function', classify: 'function' };
const GATE = { ...COMMON, mode: 'enforce | shadow | off', captureStack: 'boolean' };

// biome-ignore format: one line a factory
const FACTORIES: Record<string, Factory> = {
  balancer: { make: withPolicy, valid: { instances: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] }, rules: { abandonedMs: '≥ 0 infinite', instances: 'instances', weightOf: 'function', choice: 'smooth | latency', consecutiveFailures: 'whole ≥ 1', minRequests: 'whole ≥ 1', maskRatio: '≥ 0 ≤ 1', healthyRatio: '> 0 ≤ 1', probeRatio: '≥ 0 ≤ 1', probeIntervalMs: '> 0', probe: 'function', ramp: 'linear | exponential', rampMs: '≥ 0', panicRatio: '≥ 0 ≤ 1', slowStart: 'boolean', ...COMMON }, update: { consecutiveFailures: 2, minRequests: 1, maskRatio: 0.1, healthyRatio: 0.1, probeRatio: 1, probeIntervalMs: 50, ramp: 'exponential', rampMs: 0, panicRatio: 0.1 } },
  concurrencyLimiter: { make: concurrencyLimiter, valid: {}, rules: { abandonedMs: '≥ 0 infinite', windowMs: '> 0', buckets: 'whole ≥ 1 ≤ 10000', load: 'function', loadThreshold: '≥ 0 ≤ 1', coolDownMs: '≥ 0', minLimit: 'whole ≥ 1', maxLimit: 'infinite ≥ 2', headroomRatio: '≥ 0.01 ≤ 1', drainRatio: '≥ 0.05 ≤ 0.5', precisionRatio: '≥ 0.01 ≤ 1', tierRatios: 'four numbers', queue: 'object', ...GATE } },
  processLoad: { make: processLoad, valid: {}, rules: { clock: 'clock', sampleMs: '> 0', smoothingMs: '≥ 0', sources: 'object' } },
  chaos: { make: chaos, valid: { faults: [] }, rules: { faults: 'faults', steadyState: 'steady state', checkMs: '> 0', durationMs: '> 0 infinite', ...COMMON } },
  circuitBreaker: { make: circuitBreaker, valid: {}, rules: { k: '≥ 1', windowMs: '> 0', buckets: 'whole ≥ 1 ≤ 10000', minRequests: '≥ 0', recovery: 'fast | sre', ...GATE }, update: { k: 50, minRequests: 1_000, mode: 'off' } },
  deadline: { make: deadline, valid: {}, rules: { budgetMs: '> 0 infinite', maxAgeMs: '> 0 infinite', marginMs: '≥ 0 or auto', ...GATE }, update: { budgetMs: 30, maxAgeMs: 30, marginMs: 10, mode: 'off' } },
  dynamicTimeout: { make: dynamicTimeout, valid: { limitMs: 100, maxMs: 200 }, rules: { limitMs: '> 0 ≤ 2147483647', maxMs: '≥ limitMs ≤ 2147483647', averageMs: '≥ 0 < limitMs', samples: '≥ 1', seedMs: '≥ 0 or first', ...COMMON }, update: { limitMs: 60, maxMs: 400, averageMs: 30 } },
  rateLimiter: { make: rateLimiter, valid: { limit: 20, windowMs: 1_000 }, rules: { limit: 'whole ≥ 1 ≤ 9007199254740991', windowMs: '> 0', algorithm: 'log | buckets | counter', buckets: 'whole ≥ 1 ≤ 10000', tierRatios: 'four numbers', ...GATE }, update: { limit: 10, mode: 'off' } },
  keyedRateLimiter: { make: keyedRateLimiter, valid: { limit: 20, windowMs: 1_000 }, rules: { limit: 'whole ≥ 1 ≤ 9007199254740991', windowMs: '> 0', maxKeys: 'whole ≥ 1 ≤ 10000000', algorithm: 'counter', tierRatios: 'four numbers', ...GATE }, update: { limit: 10, mode: 'shadow' } },
  tierShedder: { make: tierShedder, valid: { load: () => 0.9 }, rules: { load: 'function', loadThreshold: '> 0 < 1', windowMs: '> 0', hour: 'function', ...GATE }, update: { loadThreshold: 0.95, mode: 'off' } },
  failover: { make: failover, valid: { local: () => 1, remote: () => 1 }, rules: { local: 'function', remote: 'function', budget: 'budgets', window: 'budgets', freezeMs: '≥ 0', freezeAfter: 'whole ≥ 1', failoverOn: 'function', ...COMMON } },
  fallback: { make: (options: never) => fallback(() => 1, options), valid: {}, rules: { fallbackOn: 'function', name: 'name', observer: 'function' } },
  hedge: { make: hedge, valid: { afterMs: 50 }, rules: { afterMs: '≥ 0 infinite', percentile: '> 0 ≤ 0.999', budget: 'budgets', ...COMMON }, update: { afterMs: 5, percentile: 0.2 } },
  retry: { make: retry, valid: {}, rules: { maxRetries: 'whole ≥ 0', maxDelayMs: '≥ 0', budget: 'budgets', window: 'budgets', backoff: 'function', retryOn: 'function', retryAfter: 'function', ...COMMON }, update: { maxRetries: 0, maxDelayMs: 1 } },
  retryWindow: { make: retryWindow, valid: {}, rules: { periodMs: '> 0', successRatio: '≥ 0 ≤ 1', growthRatio: '≥ 0 ≤ 1', backoff: 'halve | reset', name: 'name', clock: 'clock', observer: 'function' } },
  ratioBudget: { make: ratioBudget, valid: {}, rules: { ratio: '≥ 0', minRetriesPerSecond: '≥ 0', ttlMs: '> 0', clock: 'clock' } },
  tokenBudget: { make: tokenBudget, valid: {}, rules: { maxTokens: 'whole ≥ 1 ≤ 1000000', tokenRatio: '≥ 0.001' } },
  exponentialBackoff: { make: exponentialBackoff, valid: {}, rules: { baseMs: '≥ 0', maxMs: '≥ 100', factor: '≥ 1', jitter: 'full | none' } },
  decorrelatedBackoff: { make: decorrelatedBackoff, valid: {}, rules: { baseMs: '≥ 0', maxMs: '≥ 100' } },
  createRing: { make: createRing, valid: { capacity: 8, slotBytes: 8 }, rules: { capacity: 'whole ≥ 1 ≤ 16777216', slotBytes: 'whole ≥ 1 ≤ 16777216', maxReaders: 'whole ≥ 1 ≤ 32' } },
  ringWriter: { make: (options: never) => ringWriter(createRing({ capacity: 8, slotBytes: 8 }), options), valid: {}, rules: { wakeThreshold: 'whole ≥ 1 ≤ 8', wakeCount: 'whole ≥ 1 ≤ 32', flushMs: '> 0', takeOver: 'boolean', clock: 'clock' } },
  ringReader: { make: (options: never) => ringReader(createRing({ capacity: 8, slotBytes: 8 }), options), valid: {}, rules: { maxAgeMs: 'infinite > 0', id: 'whole ≥ 0 < 16 or any', takeOver: 'boolean', clock: 'clock' } },
  createSets: { make: closedSets, valid: { worker: new URL('data:text/javascript,'), sets: 1, route: () => 0 }, rules: { worker: 'file', sets: 'sets', route: 'function', messageTimeoutMs: '> 0', maxAgeMs: 'infinite > 0', capacity: 'whole ≥ 1 ≤ 1048576', messageBytes: 'whole ≥ 1 ≤ 16777152', replyBytes: 'whole ≥ 16 ≤ 16777152', maxKills: 'whole ≥ 1', startTimeoutMs: '> 0', restartMinMs: '> 0', restartMaxMs: '≥ 100', workerOptions: 'object', name: 'name', clock: 'clock', observer: 'function' } },
  keyed: { make: (options: never) => keyed(() => circuitBreaker(), options), valid: {}, rules: { maxKeys: 'whole ≥ 1 ≤ 10000000', name: 'name' } },
};

interface Bad {
  value: unknown;
  error: typeof TypeError | typeof RangeError;
  /** What the message must say is allowed. */
  allowed: RegExp;
}

const FUNCTION = (): number => 0;
const wrongTypes = (allowed: RegExp, ...values: unknown[]): Bad[] =>
  values.map((value) => ({ value, error: TypeError, allowed }));

const KINDS: Record<string, Bad[]> = {
  instances: [
    ...wrongTypes(/an array of distinct instances/, 5, null, 'a', {}, FUNCTION),
    { value: ['a', 'a'], error: RangeError, allowed: /an array of distinct instances/ },
  ],
  counter: badWords('counter'),
  name: wrongTypes(/a string/, 5, null, '', {}, FUNCTION),
  function: wrongTypes(/a function/, 5, null, 'random', {}),
  object: wrongTypes(/an object/, 5, null, 'object', true, FUNCTION),
  'four numbers': wrongTypes(/an array of 4 numbers/, 5, null, '1', {}, FUNCTION),
  budgets: wrongTypes(
    /an object with onRequest, tryRetry, onRetryDone, or an array of such/,
    5,
    null,
    'window',
    FUNCTION,
    {},
    [{}],
    [
      { onRequest: FUNCTION, tryRetry: FUNCTION, onRetryDone: FUNCTION },
      { onRequest: FUNCTION, tryRetry: FUNCTION },
    ],
  ),
  file: wrongTypes(/the URL of a file/, 5, null, '', {}, FUNCTION),
  sets: [
    ...wrongTypes(/a number, or an object/, null, 'a', true, [], {}, FUNCTION),
    ...[0, 1.5, 1025, NaN].map((value) => ({ value, error: RangeError, allowed: /a whole number ≥ 1 and ≤ 1024/ })),
  ],
  faults: wrongTypes(/an array of faults/, 5, null, 'error', {}, FUNCTION),
  'steady state': wrongTypes(/an object or a function/, 5, null, 'true', []),
  boolean: wrongTypes(/true or false/, 0, 1, null, 'true', {}),
  clock: wrongTypes(
    /an object with now, setTimer, clearTimer/,
    5,
    null,
    'clock',
    FUNCTION,
    {},
    { now: FUNCTION, setTimer: FUNCTION },
  ),
};

const quote = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function badWords(rule: Rule): Bad[] {
  const words = rule.split(' | ');
  const allowed = new RegExp(words.map((word) => `.*'${word}'`).join(''));
  const others = ['', `${words[0]} `, words[0]?.toUpperCase(), 'constructor'];
  return [
    ...others.map((value) => ({ value, error: RangeError, allowed })),
    ...wrongTypes(allowed, 0, null, true, [words[0]], FUNCTION),
  ];
}

function badNumbers(rule: Rule, valid: Options): Bad[] {
  const [numbers = '', word] = rule.split(' or ');
  const bounds = [...numbers.matchAll(/([≥>≤<]) (\S+)/g)].map(([, sign = '', bound = '']) => {
    const value = Number(valid[bound] ?? bound);
    expect(value, `the rule '${rule}'`).not.toBeNaN();
    return { sign, value };
  });
  const texts = bounds.map(({ sign, value }) => quote(`${sign} ${value}`));
  const allowed = new RegExp(
    [numbers.includes('whole') ? 'a whole number' : 'number', ...texts, ...(word ? [`'${word}'`] : [])].join('.*'),
  );
  const outside = bounds.flatMap(({ sign, value }) => {
    const step = Math.max(Number.MIN_VALUE, Math.abs(value) * 2 ** -40);
    if (sign === '≥') return [value - step, value - 1];
    if (sign === '>') return [value, value - 1];
    return sign === '≤' ? [value + step, value + 1] : [value, value + 1];
  });
  const values = [
    NaN,
    ...(numbers.includes('infinite') ? [] : [Infinity]),
    -Infinity,
    ...outside,
    ...(numbers.includes('whole') ? [1.5] : []),
  ];
  return [
    ...values.map((value) => ({ value, error: RangeError, allowed })),
    ...wrongTypes(allowed, null, '5', '', true, 5n, {}, [5], FUNCTION, Symbol('5'), new Date(5)),
    ...(word ? wrongTypes(allowed, word.toUpperCase()) : []),
  ];
}

function badValues(rule: Rule, valid: Options): Bad[] {
  return KINDS[rule] ?? (rule.includes(' | ') ? badWords(rule) : badNumbers(rule, valid));
}

/** How a message shows a value. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

function expectRefusal(call: () => unknown, owner: string, option: string, { value, error, allowed }: Bad): void {
  let thrown: unknown;
  try {
    call();
  } catch (e) {
    thrown = e;
  }
  const what = `${owner} with ${option}: ${shown(value)}`;
  expect(thrown, what).toBeInstanceOf(error);
  const { message } = thrown as Error;
  const form = new RegExp(`^${quote(owner)}: ${option} must be (.*), got ${quote(shown(value))}$`);
  expect(message, what).toMatch(form);
  expect(message.match(form)?.[1], what).toMatch(allowed);
}

describe.each(Object.entries(FACTORIES))('%s', (factory, { make, valid, rules, update }) => {
  const build = make as (options?: unknown) => unknown;

  it.each(Object.entries(rules))('refuses a bad %s (%s)', (option, rule) => {
    const bad = badValues(rule, valid);
    expect(bad.length).toBeGreaterThan(3);
    for (const one of bad) expectRefusal(() => build({ ...valid, [option]: one.value }), factory, option, one);
  });

  it('refuses what is no object of options', () => {
    for (const options of [null, 5, 'options', true, [], FUNCTION]) {
      expect(() => build(options)).toThrow(
        new TypeError(`${factory}: options must be an object, got ${shown(options)}`),
      );
    }
  });

  it('refuses an option that it does not know, and names those that it does', () => {
    for (const unknown of ['windwMs', 'NAME', ' name', 'toString']) {
      let message = '';
      try {
        build({ ...valid, [unknown]: 1 });
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        message = (error as Error).message;
      }
      const [start, known = ''] = message.split('; there are ');
      expect(start).toBe(`${factory}: unknown option ${unknown}`);
      expect(known.split(', ').sort()).toEqual(Object.keys(rules).sort());
    }
  });

  it('requires what has no default, and nothing else', () => {
    for (const option of Object.keys(valid)) {
      const { [option]: _, ...rest } = valid;
      expect(() => build(rest)).toThrow(new RegExp(`^${factory}: ${option} must be .*, got undefined$`));
    }
    if (Object.keys(valid).length === 0) build();
    build(Object.fromEntries([...Object.keys(rules).map((option) => [option, undefined]), ...Object.entries(valid)]));
  });

  it('reads each option once, and changes none', () => {
    const reads: string[] = [];
    const options = Object.freeze({ ...valid });
    build(
      new Proxy(options, {
        get(target, option) {
          reads.push(String(option));
          return Reflect.get(target, option);
        },
      }),
    );
    expect(reads.sort()).toEqual(Object.keys(rules).sort());
  });

  if (update === undefined) return;

  /** What 300 calls of all kinds show of its settings. */
  async function behaviour(turn: (policy: Updatable) => void): Promise<string> {
    const clock: ManualClock = manualClock();
    const random = seededRandom(5);
    const policy = build({ ...valid, ...(rules.clock && { clock }), ...(rules.random && { random }) }) as Updatable;
    const policies = pipeline(policy);
    const log: unknown[] = [];
    const call = async (i: number): Promise<void> => {
      const result = await policies
        .tryExecute(async () => {
          await new Promise<void>((resolve) => {
            clock.setTimer(resolve, (i * 7) % 150);
          });
          if (i % 5 > 0) throw new Error('callee failed');
        })
        .catch(String);
      log.push([i, clock.now(), result, policy.snapshot()]);
    };
    for (let i = 0; i < 300; i++) {
      if (i === 2) turn(policy);
      void call(i);
      await clock.advance(20);
    }
    await clock.advance(1_000);
    return JSON.stringify(log);
  }
  type Updatable = Policy & { update: (options: unknown) => void; snapshot: () => unknown };

  it('update: takes good values, each of which makes a difference', async () => {
    const before = await behaviour(() => {});
    expect(await behaviour((policy) => policy.update({}))).toBe(before);
    for (const [option, value] of Object.entries(update)) {
      expect([option, (await behaviour((policy) => policy.update({ [option]: value }))) === before]).toEqual([
        option,
        false,
      ]);
    }
  });

  it('update: refuses bad values, and leaves the settings as they were', async () => {
    const before = await behaviour(() => {});
    const owner = `${factory}.update`;
    const after = await behaviour((policy) => {
      for (const option of Object.keys(update)) {
        // The bounds that hold are those of the other options of the same update.
        const bounds = { ...valid, ...update };
        for (const one of badValues(rules[option] as Rule, bounds)) {
          expectRefusal(() => policy.update({ ...update, [option]: one.value }), owner, option, one);
        }
      }
      for (const unknown of ['windwMs', ...Object.keys(rules).filter((option) => !(option in update))]) {
        expect(() => policy.update({ ...update, [unknown]: undefined })).toThrow(`${owner}: unknown option ${unknown}`);
      }
      for (const options of [null, 5, []])
        expect(() => policy.update(options)).toThrow(`${owner}: options must be an object`);
    });
    expect(after).toBe(before);
  });
});
