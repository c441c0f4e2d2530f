import { createHash } from 'node:crypto';
import { circuitBreaker, deadline, dynamicTimeout, type Policy, pipeline } from 'evenkeel';
import { type Scenario, simulate } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { BASE, backendOf, play } from '../play.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

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
