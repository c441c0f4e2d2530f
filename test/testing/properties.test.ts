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
      retry({ maxRetries: 2, window: ratioBudget({ clock }), clock, random }),
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
        retry({ maxRetries: 3, window: budget ? ratioBudget({ minRetriesPerSecond: 0, clock }) : [], clock, random }),
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
