import { createHash } from 'node:crypto';
import {
  type Context,
  circuitBreaker,
  deadline,
  derive,
  dynamicTimeout,
  type Policy,
  pipeline,
  rateLimiter,
  tierShedder,
} from 'evenkeel';
import { type Backend, type Report, type Scenario, simulate } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { arrivalAfter, stretchesOf } from '../../src/testing/simulator/scenario/arrivals.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

const BASE = {
  seed: 1,
  durationMs: 10_000,
  load: { arrivals: 'constant', ratePerSecond: 100 },
  backend: { workers: 4, serviceTimeMs: 20 },
} as const satisfies Scenario;

/** A run of ten seconds, but for `changes`. */
const play = (changes: Partial<Scenario> = {}): Promise<Report> => simulate({ ...BASE, ...changes });

const backendOf = (report: Report, name = 'backend') => {
  const figures = report.totals.backends[name];
  if (figures === undefined) throw new Error(`no back-end ${name}`);
  return figures;
};

/** A policy that shows each context to `see`. */
const spy = (see: (ctx: Context) => void): Policy => ({
  name: 'spy',
  run: (ctx, next) => {
    see(ctx);
    return next(ctx);
  },
});

describe('simulate', () => {
  it('gives the same bytes for the same seed, others for another, and these in every version', async () => {
    const scenario = (seed: number): Scenario => ({
      seed,
      durationMs: 20_000,
      load: [
        { arrivals: 'poisson', ratePerSecond: 150, tier: (random) => (random() < 0.5 ? 2 : 4) },
        { arrivals: 'users', users: 10, thinkTimeMs: { distribution: 'exponential', meanMs: 200 }, key: 'user' },
      ],
      client: {
        timeoutMs: 500,
        retries: 1,
        retryDelayMs: { distribution: 'uniform', minMs: 10, maxMs: 50 },
        pipeline: ({ clock, random }) =>
          pipeline(circuitBreaker({ clock, random }), dynamicTimeout({ limitMs: 100, maxMs: 400, clock })),
      },
      backend: {
        workers: 3,
        serviceTimeMs: { distribution: 'lognormal', medianMs: 15, p99Ms: 60 },
        errorRatio: 0.02,
        order: 'adaptive',
        schedule: [
          { atMs: 5_000, slowdown: 2 },
          { atMs: 10_000, slowdown: 1, outage: 'refuse' },
          { atMs: 12_000, outage: 'none' },
        ],
        pipeline: ({ clock }) => pipeline(deadline({ clock })),
      },
    });
    const bytes = async (seed: number): Promise<string> => {
      const report = await simulate(scenario(seed));
      return JSON.stringify(report) + report.toSvg() + report.toText();
    };
    const first = await bytes(7);
    expect(await bytes(7)).toBe(first);
    expect(await bytes(8)).not.toBe(first);
    // A new one is no accident: say in the changelog what is simulated differently. Of the bare run, which no policy changes.
    const bare = await simulate({
      ...scenario(7),
      client: { timeoutMs: 500, retries: 1 },
      backend: { ...BASE.backend, schedule: [{ atMs: 5_000, slowdown: 4 }] },
    });
    expect(createHash('sha256').update(JSON.stringify(bare)).digest('hex').slice(0, 16)).toBe('6ecd4b155ab16471');
  });

  it('agrees with queueing theory: M/M/4 by Erlang’s C formula, M/D/1 by Pollaczek and Khinchine', async () => {
    const hour = 3_600_000;
    const load = (ratePerSecond: number) => ({ arrivals: 'poisson', ratePerSecond }) as const;
    const mm4 = await simulate({
      seed: 1,
      durationMs: hour,
      load: load(160),
      backend: { workers: 4, serviceTimeMs: { distribution: 'exponential', meanMs: 20 } },
    });
    // Four servers, 3.2 Erlang: a call waits with probability 0.5964, and then 1 / (4/20 − 0.16) = 25 ms on average.
    expect(Math.abs(mm4.totals.meanMs / (20 + 0.5964 * 25) - 1)).toBeLessThan(0.03);
    expect(backendOf(mm4).busyRatio).toBeCloseTo(0.8, 2);
    expect(Math.abs(backendOf(mm4).queueLength / (0.16 * 0.5964 * 25) - 1)).toBeLessThan(0.05);
    const md1 = await simulate({ seed: 2, durationMs: hour, load: load(40), backend: { serviceTimeMs: 20 } });
    expect(Math.abs(md1.totals.meanMs / (20 + (0.8 * 20) / (2 * 0.2)) - 1)).toBeLessThan(0.04);
    expect(md1.totals.offered / 144_000).toBeCloseTo(1, 2);
  });

  it('loses no call: every one has one end, and sums agree, for any scenario', async () => {
    const backend = fc.record({
      workers: fc.integer({ min: 0, max: 4 }),
      serviceTimeMs: fc.integer({ min: 0, max: 200 }),
      queue: fc.integer({ min: 0, max: 20 }),
      order: fc.constantFrom('fifo', 'lifo', 'adaptive') as fc.Arbitrary<'fifo'>,
      errorRatio: fc.constantFrom(0, 0.3, 1),
      schedule: fc
        .array(
          fc.record({
            atMs: fc.integer({ min: 0, max: 3_000 }),
            outage: fc.constantFrom('none', 'refuse', 'hang') as fc.Arbitrary<'none'>,
            workers: fc.integer({ min: 0, max: 3 }),
          }),
          { maxLength: 4 },
        )
        .map((list) => list.sort((a, b) => a.atMs - b.atMs)),
    });
    const client = fc.record({
      timeoutMs: fc.constantFrom(50, 300, Infinity),
      retries: fc.integer({ min: 0, max: 2 }),
      cancels: fc.boolean(),
      guarded: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(backend, backend, client, client, fc.integer(), async (first, second, outer, inner, seed) => {
        const clientOf = ({ guarded, ...rest }: typeof outer) =>
          ({
            ...rest,
            ...(guarded && { pipeline: ({ clock, random }) => pipeline(circuitBreaker({ clock, random })) }),
          }) satisfies Scenario['client'];
        const report = await simulate({
          seed,
          durationMs: 3_000,
          load: {
            arrivals: 'poisson',
            ratePerSecond: 60,
            tier: (random) => (random() < 0.5 ? 1 : 4),
            key: (random) => (random() < 0.5 ? 'a' : 'b'),
          },
          client: clientOf(outer),
          backend: { ...first, calls: { client: clientOf(inner), backend: { ...second, name: 'second' } } },
        });
        const { totals, series } = report;
        const sum = (of: (figures: (typeof series)[number]) => number): number =>
          series.reduce((all, one) => all + of(one), 0);
        for (const figures of [totals, ...series, ...Object.values(totals.tiers), ...Object.values(totals.keys)]) {
          expect(figures.unfinished).toBeGreaterThanOrEqual(0);
          expect(figures.admitted).toBeLessThanOrEqual(figures.offered);
          expect(Object.values(figures.refusedBy).reduce((a, b) => a + b, 0)).toBe(figures.refused);
        }
        for (const name of ['offered', 'goodput', 'errors', 'timeouts', 'refused', 'tries', 'unfinished'] as const) {
          expect(sum((one) => one[name])).toBe(totals[name]);
          expect(Object.values(totals.tiers).reduce((all, one) => all + one[name], 0)).toBe(totals[name]);
        }
        const { received, answered, failed, refused } = backendOf(report);
        expect(received).toBe(totals.tries);
        expect(answered + failed + refused).toBeLessThanOrEqual(received);
      }),
      { numRuns: 60 },
    );
  });
});

describe('load', () => {
  const offered = async (load: Scenario['load'], durationMs = 10_000): Promise<number[]> => {
    const backend = { workers: Infinity, serviceTimeMs: 0 };
    return (await simulate({ seed: 3, durationMs, intervalMs: 1_000, load, backend })).series.map((one) => one.offered);
  };

  it('comes at even distances, or at random with the same mean', async () => {
    expect(await offered({ arrivals: 'constant', ratePerSecond: 50, fromMs: 2_000, toMs: 5_000 })).toEqual([
      0, 0, 49, 50, 50, 0, 0, 0, 0, 0,
    ]);
    const counts = await offered({ arrivals: 'poisson', ratePerSecond: 100 }, 1_000_000);
    const mean = counts.reduce((a, b) => a + b, 0) / 1_000;
    const variance = counts.reduce((sum, n) => sum + (n - mean) ** 2, 0) / 1_000;
    expect(Math.abs(mean - 100)).toBeLessThan(5 * Math.sqrt(100 / 1_000));
    // As many as the mean, in a Poisson process; five standard deviations of that estimate.
    expect(Math.abs(variance / mean - 1)).toBeLessThan(5 * Math.sqrt(2 / 1_000));
  });

  it('changes in steps and along ramps', async () => {
    const steps = [
      { atMs: 0, ratePerSecond: 10 },
      { atMs: 3_000, ratePerSecond: 100 },
      { atMs: 4_000, ratePerSecond: 0 },
      { atMs: 9_000, ratePerSecond: 100, ramp: true },
    ];
    // 5 s up to 100 a second: 10, 30, 50, 70, 90.
    const counts = await offered({ arrivals: 'constant', ratePerSecond: steps });
    expect(counts.map((n) => Math.round(n / 5) * 5)).toEqual([10, 10, 10, 100, 10, 30, 50, 70, 90, 100]);
  });

  it('comes exactly when a rate that grows or falls in a straight line says', () => {
    const rising = stretchesOf([{ atMs: 10_000, ratePerSecond: 100, ramp: true }], 0, Infinity);
    // n calls have come after √(2n / slope).
    for (const n of [1, 10, 500]) expect(arrivalAfter(rising, 0, n)).toBeCloseTo(1_000 * Math.sqrt((2 * n) / 10), 6);
    expect(arrivalAfter(rising, 0, 600)).toBeCloseTo(11_000, 6);
    const falling = stretchesOf(
      [
        { atMs: 0, ratePerSecond: 100, ramp: false },
        { atMs: 10_000, ratePerSecond: 0, ramp: true },
      ],
      0,
      Infinity,
    );
    expect(arrivalAfter(falling, 0, 375)).toBeCloseTo(5_000, 6);
    expect(arrivalAfter(falling, 5_000, 124.99)).toBeGreaterThan(9_900);
    expect(arrivalAfter(falling, 0, 501)).toBe(Infinity);
  });

  it('comes in bursts', async () => {
    expect(await offered({ arrivals: 'bursts', calls: 20, everyMs: 2_500, fromMs: 500 })).toEqual([
      20, 0, 0, 20, 0, 20, 0, 0, 20, 0,
    ]);
  });

  it('comes from users, who wait for their answer', async () => {
    const users = { arrivals: 'users', users: 10, thinkTimeMs: 80 } as const;
    // Ten users in a circle of 80 + 20 ms.
    expect((await play({ load: users, backend: { workers: 10, serviceTimeMs: 20 } })).totals.offered).toBe(1_000);
    // One worker: no more than it can do, and nobody is impatient.
    const slow = await play({ load: users, backend: { workers: 1, serviceTimeMs: 20 } });
    expect(slow.totals.offered - slow.totals.unfinished).toBe(496);
    expect(slow.totals.goodput).toBe(496);
  });

  it('has tiers, keys and costs, which reach both pipelines', async () => {
    const seen: unknown[] = [];
    const see = spy(({ tier, key, cost, deadline: until }) => seen.push([tier, key, cost, until]));
    const report = await play({
      load: { arrivals: 'bursts', calls: 1, everyMs: 60_000, tier: 2, key: 'a', cost: 5 },
      client: { timeoutMs: 700, pipeline: () => pipeline(see) },
      backend: { ...BASE.backend, pipeline: () => pipeline(see) },
    });
    expect(seen).toEqual([
      [2, 'a', 5, 700],
      [2, 'a', 5, 700],
    ]);
    expect([Object.keys(report.totals.tiers), Object.keys(report.totals.keys)]).toEqual([['2'], ['a']]);
  });

  it('counts 32 keys apart and all others together', async () => {
    let n = 0;
    const { totals } = await play({ load: { ...BASE.load, key: () => `key-${n++}` } });
    expect(Object.keys(totals.keys)).toHaveLength(33);
    expect(totals.keys.others?.offered).toBe(totals.offered - 32);
  });
});

describe('back-ends', () => {
  const burst = { arrivals: 'bursts', calls: 5, everyMs: 60_000 } as const;

  it('take calls in order, the last first, or the last first once the queue is in trouble', async () => {
    const order = async (how: 'fifo' | 'lifo' | 'adaptive', serviceTimeMs: number): Promise<number[]> => {
      const done: number[] = [];
      let n = 0;
      await play({
        load: { arrivals: 'bursts', calls: 5, everyMs: 60_000, key: () => String(n++) },
        backend: { serviceTimeMs, order: how, pipeline: () => pipeline(spy(({ key }) => done.push(Number(key)))) },
      });
      return done;
    };
    expect(await order('fifo', 60)).toEqual([0, 1, 2, 3, 4]);
    expect(await order('lifo', 60)).toEqual([0, 4, 3, 2, 1]);
    expect(await order('adaptive', 60)).toEqual([0, 1, 4, 3, 2]);
    expect(await order('adaptive', 10)).toEqual([0, 1, 2, 3, 4]);
  });

  it('turn away what the queue has no room for', async () => {
    const { totals } = await play({ load: burst, backend: { serviceTimeMs: 10, queue: 2 } });
    expect([totals.goodput, totals.refusedBy, totals.maxMs]).toEqual([3, { 'backend:queue_full': 2 }, 30]);
  });

  it('fail a share of the calls, or those that they are told to, after a time of its own', async () => {
    const { totals } = await play({ backend: { ...BASE.backend, errorRatio: 0.25 } });
    expect(totals.errors / totals.offered).toBeCloseTo(0.25, 1);
    let n = 0;
    const byKey = await play({
      load: { ...BASE.load, key: () => (n++ % 2 === 0 ? 'good' : 'bad') },
      backend: { serviceTimeMs: 8, errorRatio: ({ key }) => (key === 'bad' ? 1 : 0), errorTimeMs: 1 },
    });
    expect(byKey.totals.keys.good?.goodputRatio).toBe(1);
    expect(byKey.totals.keys.bad?.errors).toBe(byKey.totals.keys.bad?.offered);
    expect(backendOf(byKey).busyRatio).toBeCloseTo((50 * 8 + 50 * 1) / 1_000, 2);
  });

  it('refuse connections in an outage, and lose what they had', async () => {
    const schedule = [
      { atMs: 3_005, outage: 'refuse' },
      { atMs: 5_005, outage: 'none' },
    ] as const;
    const report = await play({ backend: { ...BASE.backend, schedule } });
    // Two were under way, 200 came in vain.
    expect(report.totals.errors).toBe(202);
    expect(report.between(3_100, 5_000).goodput).toBe(0);
    expect(report.between(5_100, 10_000).goodputRatio).toBeGreaterThan(0.99);
  });

  it('hang in an outage: nobody is told, and a caller without a time limit waits for ever', async () => {
    const schedule = [
      { atMs: 3_005, outage: 'hang' },
      { atMs: 5_005, outage: 'none' },
    ] as const;
    const patient = await play({ backend: { ...BASE.backend, schedule } });
    expect([patient.totals.errors, patient.totals.timeouts]).toEqual([0, 0]);
    expect(patient.between(0, 9_000).unfinished).toBe(202);
    const impatient = await play({ client: { timeoutMs: 100 }, backend: { ...BASE.backend, schedule } });
    expect(impatient.totals.timeouts).toBe(202);
    expect(backendOf(impatient).lost).toBe(202);
  });

  it('change by their schedule: workers, service time, slow-down', async () => {
    const schedule = [
      { atMs: 2_000, slowdown: 2.5 },
      { atMs: 4_000, slowdown: 1, serviceTimeMs: 10 },
      { atMs: 6_000, workers: 0 },
      { atMs: 7_000, workers: 1_000 },
    ];
    const { series } = await play({ intervalMs: 1_000, backend: { workers: 10, serviceTimeMs: 20, schedule } });
    expect(series.map(({ maxMs }) => Math.round(maxMs))).toEqual([20, 20, 50, 50, 10, 10, 1_010, 10, 10, 10]);
  });

  it('work for callers who have gone, unless these cancel', async () => {
    const backend = { serviceTimeMs: { distribution: 'exponential', meanMs: 20 } } as const;
    const wasteful = await play({ backend, client: { timeoutMs: 100 } });
    // A queue in order, longer than the callers' patience: everything is worked on in vain.
    expect(wasteful.between(1_000, 10_000).goodputRatio).toBe(0);
    expect(backendOf(wasteful).wasted).toBeGreaterThan(450);
    const cancelling = await play({ backend, client: { timeoutMs: 100, cancels: true } });
    expect(cancelling.between(1_000, 9_000).goodputRatio).toBeGreaterThan(0.35);
    expect([backendOf(cancelling).wasted, backendOf(cancelling).maxQueueLength < 12]).toEqual([0, true]);
  });

  it('stop the work of a caller who cancels, also behind a pipeline and in what that calls', async () => {
    for (const guarded of [true, false]) {
      const next = { name: 'next', serviceTimeMs: 500 };
      const report = await play({
        load: { arrivals: 'constant', ratePerSecond: 5 },
        client: { timeoutMs: 50, cancels: true },
        backend: {
          serviceTimeMs: 10,
          calls: { client: { cancels: true }, backend: next },
          ...(guarded &&
            ({
              pipeline: ({ clock }) => pipeline(rateLimiter({ limit: 1_000, windowMs: 1_000, clock })),
            } satisfies Partial<Backend>)),
        },
      });
      expect(backendOf(report).busyRatio).toBeCloseTo(0.25, 1);
      expect(backendOf(report, 'next').busyRatio).toBeCloseTo(0.2, 1);
    }
  });

  it('have a pipeline around the work, which knows when the call came and until when its caller waits', async () => {
    const ages: number[] = [];
    await play({
      load: burst,
      client: { timeoutMs: 1_000 },
      backend: {
        serviceTimeMs: 30,
        pipeline: () =>
          pipeline(spy(({ startedAt, receivedAt, deadline: until }) => ages.push(startedAt - receivedAt, until))),
      },
    });
    expect(ages).toEqual([0, 1_000, 30, 1_000, 60, 1_000, 90, 1_000, 120, 1_000]);
    const refusing = await play({
      load: burst,
      client: { timeoutMs: 100 },
      backend: {
        serviceTimeMs: 30,
        pipeline: ({ clock }) => pipeline(deadline({ clock, marginMs: 30 })),
        refusalTimeMs: 5,
      },
    });
    expect(refusing.totals.goodput).toBe(3);
    expect(refusing.totals.refusedBy).toEqual({ 'backend:deadline_exceeded': 2 });
    expect(backendOf(refusing).busyRatio * 10_000).toBeCloseTo(3 * 30 + 2 * 5, 6);
  });

  it('tell their pipeline how busy they are', async () => {
    const seen: number[][] = [];
    await play({
      load: burst,
      backend: {
        workers: 2,
        serviceTimeMs: 30,
        pipeline: ({ busyRatio, queueLength, queueWaitMs }) =>
          pipeline(spy(() => seen.push([busyRatio(), queueLength(), queueWaitMs()]))),
      },
    });
    expect(seen).toEqual([
      [0.5, 0, 0],
      [1, 0, 0],
      [1, 2, 30],
      [1, 1, 30],
      [1, 0, 0],
    ]);
  });

  it('are told apart by place, by name, by a function, or by a policy', async () => {
    const backend = [{ serviceTimeMs: 10 }, { serviceTimeMs: 10, name: 'b' }, { serviceTimeMs: 10 }];
    const received = async (client: Scenario['client']): Promise<number[]> =>
      Object.values((await play({ backend, ...(client && { client }) })).totals.backends).map((one) => one.received);
    expect(await received(undefined)).toEqual([333, 333, 333]);
    expect((await received({ route: 'random' })).every((n) => n > 280 && n < 390)).toBe(true);
    expect(await received({ route: ({ atMs }) => (atMs < 5_005 ? 0 : 2) })).toEqual([500, 0, 499]);
    const to = (instance: unknown): Policy => ({
      name: 'to',
      run: (ctx, next) => next(derive(ctx, { instance } as Partial<Context>)),
    });
    expect(await received({ pipeline: () => pipeline(to('b')) })).toEqual([0, 999, 0]);
    expect(await received({ pipeline: () => pipeline(to(2)) })).toEqual([0, 0, 999]);
    await expect(received({ pipeline: () => pipeline(to('c')) })).rejects.toThrow('there is no back-end c');
    await expect(received({ route: () => 3 })).rejects.toThrow(
      'simulate: client: route: its result must be a place from 0 to 2, got 3',
    );
  });
});

describe('back-ends, where it gets intricate:', () => {
  it('a call that is cancelled in the queue takes no worker’s time', async () => {
    const busyMs = async (cancels: boolean): Promise<number> => {
      const load = { arrivals: 'constant', ratePerSecond: 100, toMs: 65 } as const;
      const backend = { serviceTimeMs: 100, order: 'lifo' } as const;
      return 10_000 * backendOf(await play({ load, client: { timeoutMs: 60, cancels }, backend })).busyRatio;
    };
    expect(await busyMs(false)).toBeCloseTo(600, 6);
    // The first from 10 to 70 ms, the last from 70 to 120; the four between give up while they wait.
    expect(await busyMs(true)).toBeCloseTo(60 + 50, 6);
  });

  it('a crash frees the workers that wait for a service further on', async () => {
    const next = { name: 'next', workers: 10, serviceTimeMs: 5_000 };
    const report = await play({
      load: { arrivals: 'constant', ratePerSecond: 1 },
      backend: {
        serviceTimeMs: 1,
        schedule: [
          { atMs: 1_500, outage: 'refuse' },
          { atMs: 1_600, outage: 'none' },
        ],
        calls: { backend: next },
      },
    });
    // The first call died at 1.5 s, the one of 2 s holds the only worker until 7 s, when that of 3 s begins.
    expect(backendOf(report, 'next').received).toBe(3);
  });

  it('no more workers are busy than there are, also when some are taken away', async () => {
    const report = await play({
      intervalMs: 100,
      backend: {
        workers: 4,
        serviceTimeMs: 500,
        schedule: [
          { atMs: 2_050, workers: 1 },
          { atMs: 4_050, workers: 0 },
        ],
      },
    });
    const most = Math.max(...report.series.map(({ backends }) => backends.backend?.busyRatio || 0));
    expect(most).toBeCloseTo(1, 9);
  });

  it('a caller further on is not more patient than the one who waits for it, and stops trying with it', async () => {
    const left: number[] = [];
    const next: Backend = {
      name: 'next',
      workers: 10,
      serviceTimeMs: 1,
      errorRatio: 1,
      pipeline: () => pipeline(spy((ctx) => left.push(ctx.deadline - ctx.startedAt))),
    };
    const report = await play({
      load: { arrivals: 'constant', ratePerSecond: 1 },
      client: { timeoutMs: 50, cancels: true },
      backend: {
        workers: 10,
        serviceTimeMs: 5,
        pipeline: () => pipeline(spy(() => {})),
        calls: { client: { timeoutMs: 1_000, retries: 5, retryDelayMs: 20 }, backend: next },
      },
    });
    // Tries at 5, 26 and 47 ms; that of 68 ms is not made.
    expect(left.slice(0, 3).map(Math.round)).toEqual([45, 24, 3]);
    expect(backendOf(report, 'next').callsPerOffered).toBe(3);
  });
});

describe('chains', () => {
  it('multiply retries layer by layer', async () => {
    const bottom = { name: 'bottom', workers: 100, serviceTimeMs: 1, errorRatio: 1 };
    const middle = {
      name: 'middle',
      workers: 100,
      serviceTimeMs: 1,
      calls: { client: { retries: 3 }, backend: bottom },
    };
    const top = { name: 'top', workers: 100, serviceTimeMs: 1, calls: { client: { retries: 3 }, backend: middle } };
    const report = await play({
      load: { arrivals: 'constant', ratePerSecond: 5, toMs: 9_000 },
      client: { retries: 3 },
      backend: top,
    });
    expect(report.totals.amplification).toBe(4);
    expect(['top', 'middle', 'bottom'].map((name) => backendOf(report, name).callsPerOffered)).toEqual([4, 16, 64]);
    expect(report.totals.errors).toBe(report.totals.offered);
  });

  it('share a back-end that is named twice, and pass the deadline on', async () => {
    const deadlines: number[] = [];
    const shared: Backend = {
      name: 'shared',
      serviceTimeMs: 1,
      pipeline: () => pipeline(spy((ctx) => deadlines.push(ctx.deadline - ctx.startedAt))),
    };
    const front = (name: string): Backend => ({
      name,
      serviceTimeMs: 5,
      calls: [{ backend: shared }, { backend: shared }],
    });
    const report = await play({ client: { timeoutMs: 100 }, backend: [front('a'), front('b')] });
    expect(backendOf(report, 'shared').received).toBe(2 * report.totals.goodput);
    expect(deadlines.slice(0, 2)).toEqual([95, 94]);
  });

  it('have guards of their own, whose refusals are the callee’s errors', async () => {
    const next = { name: 'next', serviceTimeMs: 1, errorRatio: 1 };
    const report = await play({
      backend: {
        ...BASE.backend,
        calls: {
          client: { pipeline: ({ clock, random }) => pipeline(circuitBreaker({ clock, random })) },
          backend: next,
        },
      },
    });
    expect(report.totals.refusedBy['backend:circuit_open']).toBeGreaterThan(800);
    expect(Object.keys(report.series[0]?.policies ?? {})).toEqual(['client of backend: circuitBreaker']);
  });
});

describe('pipelines', () => {
  it('are the production code: a breaker in an outage', async () => {
    const report = await play({
      durationMs: 60_000,
      client: { pipeline: ({ clock, random }) => pipeline(circuitBreaker({ clock, random })) },
      backend: {
        ...BASE.backend,
        schedule: [
          { atMs: 20_000, outage: 'refuse' },
          { atMs: 50_000, outage: 'none' },
        ],
      },
    });
    report.assert({
      goodputRatio: [
        { min: 0.998, toMs: 20_000 },
        { max: 0, fromMs: 20_000, toMs: 50_000 },
        { min: 0.95, fromMs: 53_000 },
      ],
      tries: { min: 10, max: 20, fromMs: 40_000, toMs: 50_000 },
      refusedBy: { circuit_open: { min: 900, fromMs: 40_000, toMs: 50_000 } },
    });
    expect(report.series[45]?.policies['client: circuitBreaker']).toMatchObject({ state: 'throttling' });
  });

  it('shed tiers by the back-end’s own load', async () => {
    const { totals } = await play({
      durationMs: 30_000,
      load: {
        arrivals: 'poisson',
        ratePerSecond: 300,
        tier: (random) => (1 + Math.floor(random() * 4)) as 1,
        key: (random) => `user ${Math.floor(random() * 1e5)}`,
      },
      client: { timeoutMs: 500 },
      backend: {
        workers: 4,
        serviceTimeMs: 20,
        pipeline: ({ clock, random, queueLength }) =>
          pipeline(tierShedder({ clock, random, load: () => Math.min(1, queueLength() / 20) })),
      },
    });
    expect(totals.tiers[1]?.goodputRatio).toBeGreaterThan(0.9);
    expect(totals.tiers[4]?.goodputRatio).toBeLessThan(0.2);
  });

  it('without a clock of their own live in virtual time', async () => {
    const times: number[] = [];
    await play({
      load: { ...BASE.load, toMs: 35 },
      client: { pipeline: () => pipeline(spy(({ startedAt }) => times.push(startedAt))) },
    });
    expect(times).toEqual([10, 20, 30]);
  });

  it('with another clock are refused', async () => {
    const foreign: Scenario['client'] = { pipeline: () => pipeline(circuitBreaker()) };
    await expect(play({ client: foreign })).rejects.toThrow(
      'simulate: client: pipeline: circuitBreaker has another clock; give it env.clock',
    );
    await expect(play({ client: { pipeline: () => 5 as never } })).rejects.toThrow(
      'client: pipeline must return a pipeline',
    );
  });

  it('meet the steps of a broken clock, which the simulation does not', async () => {
    const seen: number[] = [];
    const report = await play({
      durationMs: 100,
      load: { arrivals: 'constant', ratePerSecond: 50 },
      clockSteps: [
        { atMs: 30, byMs: -1_000 },
        { atMs: 70, byMs: 5_000 },
      ],
      client: { timeoutMs: 15, pipeline: () => pipeline(spy(({ startedAt }) => seen.push(startedAt))) },
      backend: { serviceTimeMs: 10, workers: 4 },
    });
    expect(seen).toEqual([20, -960, -940, 4_080]);
    expect([report.totals.goodput, report.totals.maxMs]).toEqual([4, 10]);
  });

  it('wait as long as they mean to, also when the clock has been stepped', async () => {
    for (const byMs of [-3_600_000, 3_600_000]) {
      const report = await play({
        clockSteps: [{ atMs: 2_000, byMs }],
        load: { ...BASE.load, toMs: 9_000 },
        client: { pipeline: ({ clock }) => pipeline(dynamicTimeout({ limitMs: 30, maxMs: 30, clock })) },
        backend: { workers: Infinity, serviceTimeMs: 60 },
      });
      expect([report.totals.timeouts, report.totals.unfinished]).toEqual([report.totals.offered, 0]);
    }
  });

  it('and what they stand beside can be watched', async () => {
    let n = 0;
    const report = await play({
      client: {
        pipeline: ({ watch }) => {
          watch('counter', () => ({ n: ++n, name: 'x', list: [1] }));
          return pipeline();
        },
      },
    });
    expect(report.series[2]?.policies).toEqual({ 'client: counter': { n: 3, name: 'x' } });
  });

  it('are told apart where they have one name, and drawn also when they are watched only later', async () => {
    let calls = 0;
    const report = await play({
      client: {
        pipeline: ({ watch }) => {
          watch('calls', () => ({ calls }));
          watch('calls', () => ({ calls: -calls }));
          const count: Policy = {
            name: 'count',
            run: (ctx, next) => {
              if (++calls === 150) watch('late', () => ({ since: calls - 150 }));
              return next(ctx);
            },
          };
          return pipeline(count);
        },
      },
    });
    expect(Object.keys(report.series[0]?.policies ?? {})).toEqual(['client: calls', 'client: calls#2']);
    const last = report.series.at(-1)?.policies;
    expect(last).toEqual({
      'client: calls': { calls },
      'client: calls#2': { calls: -calls },
      'client: late': { since: calls - 150 },
    });
    expect(report.toSvg()).toContain('client: late: since');
  });
});

describe('a run', () => {
  it('rejects with a mistake in the scenario’s own functions', async () => {
    const boom = (): never => {
      throw new TypeError('boom');
    };
    await expect(play({ client: { pipeline: () => pipeline({ name: 'own', run: boom }) } })).rejects.toThrow('boom');
    await expect(
      play({ backend: { ...BASE.backend, pipeline: () => pipeline({ name: 'own', run: boom }) } }),
    ).rejects.toThrow('boom');
    await expect(play({ backend: { serviceTimeMs: boom } })).rejects.toThrow('boom');
    await expect(play({ backend: { serviceTimeMs: () => -1 } })).rejects.toThrow(
      'simulate: backend: serviceTimeMs: its result must be a finite number ≥ 0, got -1',
    );
    await expect(play({ load: { ...BASE.load, tier: boom } })).rejects.toThrow('boom');
    let n = 0;
    const users = { arrivals: 'users', users: 1, thinkTimeMs: () => (n++ < 3 ? 1 : boom()) } as const;
    await expect(play({ load: users })).rejects.toThrow('boom');
  });

  it('does not hang where the time stands still', async () => {
    const forEver: Policy = {
      name: 'for ever',
      run: (ctx, next) => {
        const again = (): unknown => ctx.clock.setTimer(again, 0);
        again();
        return next(ctx);
      },
    };
    await expect(play({ client: { pipeline: () => pipeline(forEver) } })).rejects.toThrow(
      'simulate: more than 1000000 events at 10 ms',
    );
    const users = { arrivals: 'users', users: 1, thinkTimeMs: 0 } as const;
    await expect(play({ load: users, backend: { serviceTimeMs: 0 } })).rejects.toThrow(
      'simulate: load: thinkTimeMs must be > 0 while calls are answered at once, as at 0 ms',
    );
  });

  it('says how far it is', async () => {
    const seen: unknown[] = [];
    await simulate({ ...BASE, intervalMs: 4_000 }, { onProgress: (progress) => seen.push(progress) });
    expect(seen).toEqual([
      { atMs: 4_000, durationMs: 10_000, offered: 399 },
      { atMs: 8_000, durationMs: 10_000, offered: 799 },
      { atMs: 10_000, durationMs: 10_000, offered: 999 },
    ]);
  });

  it('has 50 to 125 intervals, if not told otherwise', async () => {
    for (const durationMs of [7, 100, 60_000, 99_999, 3_600_000]) {
      const { series } = await simulate({ ...BASE, durationMs, load: { arrivals: 'constant', ratePerSecond: 1 } });
      expect(series.length).toBeGreaterThanOrEqual(50);
      expect(series.length).toBeLessThanOrEqual(126);
      expect(series.at(-1)?.toMs).toBe(durationMs);
    }
  });
});
