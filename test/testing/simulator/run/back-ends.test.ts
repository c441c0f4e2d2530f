import { type Context, deadline, derive, type Policy, pipeline, rateLimiter } from 'evenkeel';
import type { Backend, Scenario } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { BASE, backendOf, play, spy } from '../play.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

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
