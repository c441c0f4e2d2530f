import { circuitBreaker, pipeline } from 'evenkeel';
import type { Backend } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { BASE, backendOf, play, spy } from '../play.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

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
