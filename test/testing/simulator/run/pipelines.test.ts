import { circuitBreaker, dynamicTimeout, type Policy, pipeline, tierShedder } from 'evenkeel';
import type { Scenario } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { BASE, play, spy } from '../play.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

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
