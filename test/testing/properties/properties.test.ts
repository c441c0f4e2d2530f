import {
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  dynamicTimeout,
  type Policy,
  pipeline,
  rateLimiter,
  ratioBudget,
  retry,
} from 'evenkeel';
import {
  boundedAmplification,
  clockSteps,
  eventTraces,
  loadShapes,
  neverMoreThan,
  outcomeStreams,
  type PipelineMaker,
  permitsConserved,
  recoversWithin,
  simulate,
} from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const RUNS = { numRuns: 25, seed: 1 };

/** A policy that calls on with nothing in the way. */
const open = (name = 'open', before: (ctx: Context) => unknown = () => {}): Policy => ({
  name,
  run: (ctx, next) => {
    before(ctx);
    return next(ctx);
  },
});

describe('neverMoreThan', () => {
  it('holds for a rate limiter', async () => {
    const make: PipelineMaker = ({ clock }) => pipeline(rateLimiter({ limit: 5, windowMs: 1_000, clock }));
    await fc.assert(neverMoreThan(fc, { pipeline: make, limit: 5, windowMs: 1_000 }), RUNS);
  });

  it('finds the boundary of a fixed window', async () => {
    const fixed: PipelineMaker = ({ clock }) => {
      let window = -1;
      let count = 0;
      const limiter: Policy = {
        name: 'fixed',
        clock,
        run: (ctx, next) => {
          const now = Math.floor(ctx.startedAt / 1_000);
          if (now !== window) count = 0;
          window = now;
          return count++ < 5 ? next(ctx) : Promise.reject(new Error('full'));
        },
      };
      return pipeline(limiter);
    };
    const found = await fc.check(neverMoreThan(fc, { pipeline: fixed, limit: 5, windowMs: 1_000 }), {
      seed: 1,
      numRuns: 200,
    });
    expect(found.failed).toBe(true);
    expect(String(found.errorInstance)).toMatch(/6 permits in the 1000 ms up to [\d.]+, more than 5/);
  });

  it.each([0, -1, NaN, undefined])('refuses bounds that are none: %j', (bad) => {
    const good = { pipeline: () => pipeline(), limit: 5, windowMs: 1_000 };
    expect(() => neverMoreThan(fc, { ...good, limit: bad as never })).toThrow('neverMoreThan: limit must be a finite');
    expect(() => neverMoreThan(fc, { ...good, windowMs: bad as never })).toThrow('neverMoreThan: windowMs must be');
  });

  it('counts what calls cost', async () => {
    const make: PipelineMaker = ({ clock }) => pipeline(rateLimiter({ limit: 5, windowMs: 1_000, clock }));
    const costs = { limit: 5, windowMs: 1_000, trace: { costs: [0, 1, 3, 6] } };
    await fc.assert(neverMoreThan(fc, { pipeline: make, ...costs }), RUNS);
    const found = await fc.check(neverMoreThan(fc, { pipeline: make, ...costs, limit: 4 }), RUNS);
    expect(found.failed).toBe(true);
  });
});

describe('permitsConserved', () => {
  const guarded: PipelineMaker = ({ clock, random }) =>
    pipeline(
      circuitBreaker({ clock, random }),
      concurrencyLimiter({ clock, load: () => 1, maxLimit: 5, queue: { maxSize: 5, maxWaitMs: 100 } }),
      retry({ maxRetries: 2, budget: ratioBudget({ clock }), clock, random }),
      dynamicTimeout({ limitMs: 200, maxMs: 500, clock }),
    );

  it('holds for a pipeline of four, whatever the clock does', async () => {
    await fc.assert(permitsConserved(fc, { pipeline: guarded, trace: { maxLength: 40 } }), RUNS);
  });

  it('finds a permit that a throw keeps, a call that never ends, a timer and a listener', async () => {
    let inUse = 0;
    const leaky: Policy = {
      name: 'leaky',
      run: async (ctx, next) => {
        inUse++;
        const value = await next(ctx);
        inUse--;
        return value;
      },
    };
    const traps: [PipelineMaker, RegExp, (() => number)?][] = [
      [() => pipeline(leaky), /inUse\(\) is \d/, () => inUse],
      [() => pipeline(open()), /have not ended/],
      [({ clock }) => pipeline(open('timer', () => clock.setTimer(() => {}, 1e9))), /timers wait/],
      [
        () => pipeline(open('listener', (ctx) => ctx.signal.addEventListener('abort', () => {}))),
        /listeners on the callers' signals/,
      ],
      [() => pipeline({ ...open('counter'), snapshot: () => ({ inflight: 1 }) } as Policy), /counter has inflight 1/],
    ];
    for (const [make, message, count] of traps) {
      const trace = { hangs: /not ended/.test(message.source) };
      inUse = 0;
      const found = await fc.check(
        permitsConserved(fc, { pipeline: make, trace, steps: false, ...(count && { inUse: count }) }),
        { ...RUNS, endOnFailure: true },
      );
      expect(String(found.errorInstance)).toMatch(message);
    }
  });
});

describe('recoversWithin', () => {
  it('holds for a breaker with its fast recovery, and not for the bare formula', async () => {
    const by =
      (recovery: 'fast' | 'sre'): PipelineMaker =>
      ({ clock, random }) =>
        pipeline(circuitBreaker({ recovery, clock, random }), dynamicTimeout({ limitMs: 100, maxMs: 200, clock }));
    const bound = { withinMs: 4_000, minGoodRatio: 0.9 };
    await fc.assert(recoversWithin(fc, { pipeline: by('fast'), ...bound }), { ...RUNS, numRuns: 10 });
    const found = await fc.check(recoversWithin(fc, { pipeline: by('sre'), ...bound }), {
      ...RUNS,
      endOnFailure: true,
    });
    expect(String(found.errorInstance)).toMatch(/of \d+ calls answered from 4000 ms after the outage on/);
  });
});

describe('boundedAmplification', () => {
  const within = (budget: boolean): PipelineMaker => {
    return ({ clock, random }) =>
      pipeline(
        retry({ maxRetries: 3, budget: budget ? ratioBudget({ minRetriesPerSecond: 0, clock }) : [], clock, random }),
      );
  };
  const trace = { hangs: false };

  it('holds with a budget, and finds retries without one', async () => {
    await fc.assert(boundedAmplification(fc, { pipeline: within(true), trace, maxRatio: 1.2 }), RUNS);
    const found = await fc.check(boundedAmplification(fc, { pipeline: within(false), trace, maxRatio: 1.2 }), RUNS);
    expect(String(found.errorInstance)).toMatch(/4 tries of 1 calls, more than 1\.2/);
    await fc.assert(boundedAmplification(fc, { pipeline: within(false), trace, maxRatio: 4 }), RUNS);
  });
});

describe('a pipeline that would not see virtual time pass', () => {
  const properties = (made: unknown): [string, fc.IAsyncPropertyWithHooks<never>][] => {
    const make = (() => made) as PipelineMaker;
    return [
      ['neverMoreThan', neverMoreThan(fc, { pipeline: make, limit: 3, windowMs: 1_000 }) as never],
      ['permitsConserved', permitsConserved(fc, { pipeline: make, trace: { hangs: false } }) as never],
      ['recoversWithin', recoversWithin(fc, { pipeline: make, withinMs: 1_000, minGoodRatio: 0.01 }) as never],
      ['boundedAmplification', boundedAmplification(fc, { pipeline: make, maxRatio: 1 }) as never],
    ];
  };

  it('fails, and names the policy', async () => {
    for (const [owner, property] of properties(pipeline(open(), rateLimiter({ limit: 3, windowMs: 1_000 })))) {
      const { errorInstance } = await fc.check(property, RUNS);
      expect(String(errorInstance)).toBe(
        `TypeError: ${owner}: pipeline: rateLimiter has another clock; give it env.clock`,
      );
    }
  });

  it.each([undefined, null, 5, {}, { policies: [] }, Promise.resolve(pipeline())])('nor does %s', async (junk) => {
    for (const [owner, property] of properties(junk)) {
      const { errorInstance } = await fc.check(property, RUNS);
      expect(String(errorInstance)).toBe(`TypeError: ${owner}: pipeline must return a pipeline`);
    }
  });

  it('lives by it where no policy has a clock', async () => {
    const times = new Set<number>();
    const make: PipelineMaker = () => pipeline(open('bare', (ctx) => times.add(ctx.startedAt)));
    const trace = { hangs: false, aborts: false, maxGapMs: 0, gapsMs: [50] };
    await fc.assert(boundedAmplification(fc, { pipeline: make, maxRatio: 1, trace }), RUNS);
    expect(times.size).toBeGreaterThan(1);
    expect([...times].filter((at) => at % 50 !== 0)).toEqual([]);
  });
});

describe('bad options', () => {
  const make = (): ReturnType<typeof pipeline> => pipeline();
  type Making = (options: never) => unknown;
  const makers: Record<string, [make: Making, enough: object]> = {
    neverMoreThan: [(o) => neverMoreThan(fc, o), { pipeline: make, limit: 5, windowMs: 1_000 }],
    permitsConserved: [(o) => permitsConserved(fc, o), { pipeline: make }],
    recoversWithin: [(o) => recoversWithin(fc, o), { pipeline: make, withinMs: 1_000 }],
    boundedAmplification: [(o) => boundedAmplification(fc, o), { pipeline: make, maxRatio: 1 }],
    eventTraces: [(o) => eventTraces(fc, o), {}],
    outcomeStreams: [(o) => outcomeStreams(fc, o), {}],
    loadShapes: [(o) => loadShapes(fc, o), {}],
    clockSteps: [(o) => clockSteps(fc, o), {}],
  };
  const numbers: Record<string, [options: string[], bad: unknown[]]> = {
    neverMoreThan: [
      ['limit', 'windowMs'],
      [undefined, 0, -1],
    ],
    recoversWithin: [['withinMs', 'minGoodRatio', 'maxOutageMs', 'ratePerSecond', 'tookMs', 'settleMs'], [-1]],
    boundedAmplification: [['maxRatio', 'allowance', 'settleMs'], [-1]],
    eventTraces: [['maxLength', 'maxTookMs', 'maxGapMs'], [-1]],
    outcomeStreams: [['maxLength', 'maxTookMs'], [-1]],
    loadShapes: [['maxPerSecond', 'durationMs'], [-1]],
    clockSteps: [['maxStepMs', 'durationMs'], [-1]],
  };
  const cases: [owner: string, option: string, bad: unknown, allowed: RegExp][] = [
    ...Object.entries(numbers).flatMap(([owner, [options, more]]) =>
      options.flatMap((option) =>
        [NaN, Infinity, '5', null, ...more].map((bad): (typeof cases)[number] => [owner, option, bad, /number/]),
      ),
    ),
    ['recoversWithin', 'withinMs', undefined, /number ≥ 0/],
    ['recoversWithin', 'withinMs', 1e13, /≤ 1000000000000/],
    ['recoversWithin', 'minGoodRatio', 0, /> 0/],
    ['recoversWithin', 'minGoodRatio', 1.1, /≤ 1/],
    ['recoversWithin', 'ratePerSecond', 0, /≥ 0\.001/],
    ['recoversWithin', 'ratePerSecond', 1e6, /so low that a run of 38000 ms makes at most 1000000 calls/],
    ['boundedAmplification', 'maxRatio', undefined, /number ≥ 0/],
    ['permitsConserved', 'inUse', 5, /a function/],
    ['permitsConserved', 'steps', 'no', /true or false/],
    ['eventTraces', 'maxLength', 0, /a whole number ≥ 1/],
    ['eventTraces', 'maxLength', 2.5, /a whole number ≥ 1/],
    ['eventTraces', 'hangs', 1, /true or false/],
    ['eventTraces', 'aborts', 1, /true or false/],
    ['eventTraces', 'keys', 'ab', /an array of strings/],
    ['eventTraces', 'costs', 5, /an array of numbers/],
    ['eventTraces', 'gapsMs', 5, /an array of numbers/],
    ['loadShapes', 'maxPerSecond', 0, /≥ 0\.001/],
  ];
  for (const owner of ['neverMoreThan', 'permitsConserved', 'recoversWithin', 'boundedAmplification']) {
    for (const bad of [undefined, null, 5, pipeline()]) cases.push([owner, 'pipeline', bad, /a function/]);
  }

  it.each(cases)('%s: %s: %s', (owner, option, bad, allowed) => {
    const [making, enough] = makers[owner] as (typeof makers)[string];
    let error: unknown;
    try {
      making({ ...enough, [option]: bad } as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(['TypeError', 'RangeError']).toContain((error as Error).name);
    expect(String(error)).toContain(`${owner}: ${option} must be `);
    expect(String(error)).toMatch(allowed);
    expect(String(error)).toMatch(/, got [^,]+$/);
  });

  it.each(Object.entries(makers))(
    '%s refuses what it does not know, and is made of what is enough',
    (owner, [making, enough]) => {
      making(enough as never);
      expect(() => making({ ...enough, hang: false } as never)).toThrow(`${owner}: unknown option hang; there are `);
      expect(() => making(5 as never)).toThrow(`${owner}: options must be an object, got 5`);
    },
  );

  it('those of trace, and of what is in arrays, by their place', () => {
    const message = 'trace: unknown option hang; there are maxLength, maxTookMs, hangs';
    const trace = { hang: false } as never;
    expect(() => neverMoreThan(fc, { pipeline: make, limit: 1, windowMs: 1, trace })).toThrow(
      `neverMoreThan: ${message}`,
    );
    expect(() => permitsConserved(fc, { pipeline: make, trace })).toThrow(`permitsConserved: ${message}`);
    expect(() => boundedAmplification(fc, { pipeline: make, maxRatio: 1, trace })).toThrow(message);
    expect(() => recoversWithin(fc, { pipeline: make, withinMs: 1, trace } as never)).toThrow('unknown option trace');
    expect(() => permitsConserved(fc, { pipeline: make, trace: 'none' as never })).toThrow(
      'permitsConserved: trace: options must be an object, got "none"',
    );
    expect(() => eventTraces(fc, { keys: [] })).toThrow(
      'eventTraces: number of keys must be a finite number ≥ 1, got 0',
    );
    expect(() => eventTraces(fc, { costs: [] })).toThrow('eventTraces: number of costs must be');
    expect(() => eventTraces(fc, { costs: [1, -1] })).toThrow(
      'eventTraces: costs[1] must be a finite number ≥ 0, got -1',
    );
    expect(() => eventTraces(fc, { gapsMs: [NaN] })).toThrow('eventTraces: gapsMs[0] must be a finite number ≥ 0');
    expect(() => eventTraces(fc, { keys: ['a', 5 as never] })).toThrow(
      'eventTraces: keys[1] must be a string or undefined, got 5',
    );
  });

  it('a missing fast-check', () => {
    const message = "eventTraces: fc must be fast-check, by import fc from 'fast-check', got an object";
    expect(() => eventTraces({} as never)).toThrow(message);
    expect(() => neverMoreThan(undefined as never, { pipeline: make, limit: 1, windowMs: 1 })).toThrow(
      'neverMoreThan: fc must be fast-check',
    );
  });

  it('takes what is at the bounds', () => {
    expect(fc.sample(eventTraces(fc, { maxLength: 1, maxTookMs: 0, maxGapMs: 0, gapsMs: [] }), 3)).toHaveLength(3);
    expect(fc.sample(clockSteps(fc, { maxStepMs: 0, durationMs: 0 }), 3)).toHaveLength(3);
    expect(fc.sample(clockSteps(fc, { maxStepMs: 1e12, durationMs: 1e12 }), 3)).toHaveLength(3);
    for (const maxPerSecond of [0.001, 1e6]) {
      const loads = fc.sample(loadShapes(fc, { maxPerSecond, durationMs: 0 }), 50);
      for (const load of loads) if (load.arrivals === 'bursts') expect(load.everyMs).toBeLessThanOrEqual(1e6);
    }
  });

  it('an undefined is the default, also in trace', async () => {
    let [begun, ended, aborted] = [0, 0, 0];
    const counting: Policy = {
      name: 'counting',
      run: (ctx, next) => {
        begun++;
        ctx.signal.addEventListener('abort', () => aborted++);
        return next(ctx).finally(() => ended++);
      },
    };
    const trace = { hangs: undefined, aborts: undefined } as never;
    await fc.assert(
      neverMoreThan(fc, { pipeline: () => pipeline(counting), limit: 1e9, windowMs: 1_000, trace }),
      RUNS,
    );
    expect(begun).toBeGreaterThan(100);
    expect([ended, aborted]).toEqual([begun, 0]);
  });

  it('an inUse that gives no number is no zero', async () => {
    const found = await fc.check(
      permitsConserved(fc, { pipeline: make, inUse: (() => undefined) as never, trace: { hangs: false } }),
      RUNS,
    );
    expect(String(found.errorInstance)).toContain('inUse() is undefined');
  });
});

describe('arbitraries', () => {
  it('traces are in order of time, and as asked for', () => {
    const options = { maxLength: 20, keys: ['k'], costs: [2], aborts: false, hangs: false, maxTookMs: 5, gapsMs: [77] };
    const gaps = new Set<number>();
    fc.assert(
      fc.property(eventTraces(fc, options), (trace) => {
        expect(trace.length).toBeGreaterThan(0);
        expect(trace.length).toBeLessThanOrEqual(20);
        trace.forEach(({ atMs, key, cost, abortAfterMs, outcome }, i) => {
          const gapMs = atMs - (trace[i - 1]?.atMs ?? 0);
          gaps.add(gapMs);
          expect(gapMs).toBeGreaterThanOrEqual(0);
          expect([key, cost, abortAfterMs]).toEqual(['k', 2, undefined]);
          expect(['success', 'failure']).toContain(outcome.kind);
          expect(outcome.tookMs).toBeLessThanOrEqual(5);
        });
      }),
    );
    expect(gaps.has(0) && gaps.has(77)).toBe(true);
  });

  it('outcomes come in runs, of every kind', () => {
    const kinds = new Set<string>();
    let longest = 0;
    fc.assert(
      fc.property(outcomeStreams(fc, { maxLength: 50 }), (stream) => {
        expect(stream.length).toBeLessThanOrEqual(50);
        for (const { kind } of stream) kinds.add(kind);
        let run = 0;
        stream.forEach(({ kind }, i) => {
          run = kind === stream[i - 1]?.kind ? run + 1 : 1;
          longest = Math.max(longest, run);
        });
      }),
    );
    expect([...kinds].sort()).toEqual(['failure', 'hang', 'success']);
    expect(longest).toBeGreaterThan(20);
  });

  it('clock steps are in order, and go both ways', () => {
    let [back, forward] = [0, 0];
    fc.assert(
      fc.property(clockSteps(fc, { maxStepMs: 100, durationMs: 50 }), (steps) => {
        steps.forEach(({ atMs, byMs }, i) => {
          expect(atMs).toBeGreaterThanOrEqual(steps[i - 1]?.atMs ?? 0);
          expect(atMs).toBeLessThanOrEqual(50);
          expect(Math.abs(byMs)).toBeLessThanOrEqual(100);
          if (byMs < 0) back++;
          else forward++;
        });
      }),
    );
    expect(Math.min(back, forward)).toBeGreaterThan(20);
  });

  it('loads are what simulate takes', async () => {
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(loadShapes(fc, { maxPerSecond: 20, durationMs: 1_000 }), async (load) => {
        kinds.add(load.arrivals);
        const { totals } = await simulate({
          seed: 1,
          durationMs: 1_000,
          load,
          backend: { workers: 10, serviceTimeMs: 5 },
        });
        expect(totals.offered).toBeLessThanOrEqual(60);
      }),
      { numRuns: 20, seed: 3 },
    );
    expect([...kinds].sort()).toEqual(['bursts', 'constant', 'poisson']);
  });
});
