/** When a cohort begins and ends, and what becomes of the clock. */
import { describe, expect, it } from 'vitest';
import type { Verdict } from '../../../src/core/policy.js';
import { AdaptiveLimit } from '../../../src/policies/concurrency-limiter/adaptive-limit.js';

/** Measured for 100 ms each. */
const SETTINGS = { windowMs: 1_000, buckets: 10, headroomRatio: 0.1, drainRatio: 0.15, precisionRatio: 0.01 };

/** A limit, what it tells its law and when, and a call every `gapMs` that takes `rttMs`. */
function rig(settings: Partial<typeof SETTINGS> = {}) {
  const limit = new AdaptiveLimit({ ...SETTINGS, ...settings }, { minLimit: 2, maxLimit: Infinity });
  const { law } = limit;
  const told: string[] = [];
  const learntAt: number[] = [];
  for (const method of ['begin', 'learn', 'forget'] as const) {
    const original = law[method].bind(law) as (...args: unknown[]) => void;
    law[method] = (...args: unknown[]): void => {
      told.push(method);
      if (method === 'learn') learntAt.push(args[1] as number);
      original(...args);
    };
  }
  const begun: number[] = [];
  const traffic = (fromMs: number, toMs: number, verdict: Verdict = 'success', gapMs = 1, rttMs = 5): void => {
    for (let at = fromMs; at < toMs; at += gapMs) {
      while (begun[0] !== undefined && begun[0] + rttMs <= at) limit.end(begun.shift() as number, rttMs, verdict);
      limit.advance(at, begun.length);
      begun.push(at);
      limit.admit(at, begun.length);
    }
    while (begun.length > 0) limit.end(begun.shift() as number, rttMs, verdict);
  };
  /** One call, until the law has begun with it. */
  const begin = (): void => {
    limit.admit(1, 1);
    limit.end(1, 5, 'success');
    expect(limit.advance(106, 0)).toBe(true);
    told.length = 0;
  };
  return { limit, law, told, learntAt, traffic, begin };
}

describe('a limit that adapts', () => {
  it('begins once there have been answers for a bucket', () => {
    const { limit, law, told } = rig();
    limit.admit(1, 1);
    limit.end(1, 5, 'success');
    expect([limit.advance(105.9, 0), law.isKnown]).toEqual([false, false]);
    // It looks a few times a bucket only.
    expect([limit.advance(106, 0), limit.advance(112.2, 0), limit.advance(112.2, 0)]).toEqual([false, true, false]);
    expect([told, law.minRttMs]).toEqual([['begin'], 5]);
  });

  it('looks sixteen times a bucket, and once at a time', () => {
    const { limit } = rig();
    limit.admit(50, 1);
    limit.advance(160, 1);
    limit.end(50, 10, 'success');
    expect([160, 166.249, 166.25].map((at) => limit.advance(at, 0))).toEqual([false, false, true]);
  });

  it('begins with an answer of long ago, too', () => {
    const { limit, told } = rig();
    limit.admit(1, 1);
    limit.end(1, 5, 'success');
    expect(limit.advance(3_000, 0)).toBe(true);
    expect(told).toEqual(['begin']);
  });

  it.each([
    [10, 100],
    [100, 100],
    [5, 200],
  ])('of %i buckets a window measures for %i ms, and then waits for the last calls', (buckets, ms) => {
    const { traffic, learntAt } = rig({ buckets });
    traffic(1, 600);
    const leastMs = 6 + 1_000 / buckets + ms;
    expect(learntAt[0]).toBeGreaterThan(leastMs);
    expect(learntAt[0]).toBeLessThan(leastMs * 1.2);
  });

  it('measures for less where that is exact enough', () => {
    const { traffic, learntAt } = rig({ buckets: 100, precisionRatio: 0.5 });
    traffic(1, 1_000);
    expect(learntAt.length).toBeGreaterThan(20);
  });

  it('says when a measurement has given a new limit', () => {
    const { limit, begin, told } = rig();
    begin();
    for (let i = 0; i < 30; i++) limit.admit(107, 1);
    for (let i = 0; i < 30; i++) limit.end(107, 1, 'success');
    expect([limit.advance(300, 0), limit.advance(320, 0), limit.advance(340, 0)]).toEqual([false, true, false]);
    expect(told).toEqual(['learn']);
  });

  it.each([
    [0, 1e-6],
    [2 ** 31, 2 ** 31],
    [2 ** 31 + 1, undefined],
    [-1e-9, undefined],
    [NaN, undefined],
  ])('takes %d ms for a response time of %d', (elapsedMs, rttMs) => {
    const { limit, law } = rig();
    limit.admit(1, 1);
    limit.end(1, elapsedMs, 'success');
    limit.advance(2 ** 31 + 1_000, 0);
    expect(law.isKnown ? law.minRttMs : undefined).toBe(rttMs);
  });

  it('learns nothing from calls that tell nothing', () => {
    const { begin, traffic, told, limit } = rig();
    begin();
    traffic(107, 600, 'failure');
    traffic(600, 1_000, 'ignored');
    expect(told).toEqual([]);
    limit.refuse();
    traffic(1_000, 1_300);
    expect(told).toContain('learn');
  });

  it('looks at the end of a call, too, and one of no known length stops nothing', () => {
    const { limit, law } = rig();
    for (const startedAt of [1, 2, 50]) limit.admit(startedAt, 1);
    limit.end(1, Infinity, 'success');
    limit.end(2, 5, 'success');
    limit.end(50, 57, 'failure');
    expect(law.minRttMs).toBe(5);
  });

  it('forgets after more than a window without a call', () => {
    for (const [silenceMs, inflight, forgets] of [
      [1_000, 0, false],
      [1_000.1, 0, true],
      [1_000.1, 1, false],
    ] as const) {
      const { begin, limit, law } = rig();
      begin();
      limit.advance(106 + silenceMs, inflight);
      expect(law.isKnown).toBe(!forgets);
    }
  });

  it('does not forget at the end of a call that has taken more than a window', () => {
    const { begin, limit, law } = rig();
    begin();
    limit.admit(107, 1);
    limit.end(107, 2_000, 'success');
    expect(law.isKnown).toBe(true);
  });

  it('begins anew with the calls after the silence', () => {
    const { begin, limit, told, law } = rig();
    begin();
    limit.admit(107, 1);
    limit.end(107, 50, 'success');
    limit.advance(5_000, 0);
    expect(told).toEqual(['forget']);
    limit.admit(5_000, 1);
    limit.end(5_000, 7, 'success');
    limit.advance(5_200, 0);
    expect([told, law.minRttMs]).toEqual([['forget', 'begin'], 7]);
  });

  it('goes on with what it has when calls come late by no more than a window', () => {
    const { begin, limit, told } = rig();
    begin();
    for (let i = 0; i < 30; i++) limit.admit(107, 1);
    expect(limit.advance(106 - 1_000, 0)).toBe(false);
    for (let i = 0; i < 30; i++) limit.end(107, 1, 'success');
    for (const at of [300, 320]) limit.advance(at, 0);
    expect(told).toEqual(['learn']);
  });

  it('starts over with the calls of a clock that was set back by more, and keeps the limit', () => {
    const { begin, limit, traffic, told, law } = rig();
    begin();
    const before = law.limit;
    expect(limit.advance(-5_000, 0)).toBe(false);
    expect(law.limit).toBe(before);
    expect(limit.advance(NaN, 0)).toBe(false);
    traffic(-5_000, -4_700);
    expect(told).toContain('learn');
  });

  it('measures only what begins after a restart', () => {
    const { limit, law } = rig();
    limit.admit(1, 1);
    limit.restart(3);
    limit.end(1, 50, 'success');
    limit.admit(4, 1);
    limit.end(4, 5, 'success');
    limit.advance(300, 0);
    expect(law.minRttMs).toBe(5);
  });
});
