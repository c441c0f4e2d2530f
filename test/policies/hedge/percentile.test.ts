import { dynamicTimeout, hedge, pipeline } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';
import { ok, refusal, settled, setUp } from './set-up.js';

noUnhandledRejections();

describe('percentile', () => {
  const run = async (
    percentile: number,
    calls: number,
    responseMs: (i: number, attempt: number) => number,
    allow = true,
  ) => {
    const clock = manualClock();
    const policy = hedge({ percentile, clock, budget: new RecordingBudget(() => allow) });
    const guard = pipeline(policy);
    for (let i = 0; i < calls; i++) {
      const call = guard.execute((ctx) => later(clock, responseMs(i, ctx.attempt), () => {}));
      await clock.advance(2_000);
      await call;
    }
    return policy.snapshot();
  };

  it('waits until so many calls are known that one is among the slow', async () => {
    for (const [percentile, needed] of [
      [0.5, 2],
      [0.9, 10],
      [0.95, 20],
      [0.99, 100],
    ] as const) {
      const ms = (i: number): number => 1 + i;
      expect((await run(percentile, needed - 1, ms)).afterMs).toBe(Infinity);
      expect((await run(percentile, needed, ms)).afterMs).toBe(Math.round(needed * percentile));
    }
  });

  it('hedges its share of the calls, and does not wander, though the slow ones are cut short', async () => {
    const random = seededRandom(11);
    // Exponential, mean 100 ms: the 95 % quantile is at 300 ms.
    const { afterMs, hedges } = await run(0.95, 5_000, () => Math.min(1_999, -100 * Math.log(1 - random())));
    expect(afterMs).toBeGreaterThan(210);
    expect(afterMs).toBeLessThan(390);
    expect(hedges / 5_000).toBeGreaterThan(0.035);
    expect(hedges / 5_000).toBeLessThan(0.065);
  });

  it('follows a callee that becomes slower, and one that becomes faster', async () => {
    const { afterMs } = await run(0.9, 2_500, (i) => (i < 1_000 ? 10 : 100) + (i % 10));
    expect(afterMs).toBe(108);
    expect((await run(0.9, 2_500, (i) => (i < 1_000 ? 100 : 10) + (i % 10))).afterMs).toBe(18);
  });

  it('does not count quick failures, refusals, or callers who hang up early', async () => {
    const { clock, guard, policy } = setUp({ percentile: 0.5 });
    for (let i = 0; i < 10; i++) {
      const call = guard.execute(() => later(clock, 100, ok('first')));
      await clock.advance(100);
      await call;
    }
    for (let i = 0; i < 100; i++) {
      await settled(guard.execute(fail('quick')));
      await settled(guard.execute(() => Promise.reject(refusal)));
    }
    for (let i = 0; i < 20; i++) {
      // And the second attempt, which begins after 100 ms.
      const failed = settled(guard.execute(() => later(clock, 300, fail('slow'))));
      await clock.advance(400);
      await failed;
    }
    for (let i = 0; i < 20; i++) {
      const caller = new AbortController();
      const early = settled(guard.execute(() => new Promise(() => {}), { signal: caller.signal }));
      await clock.advance(5);
      caller.abort();
      await early;
    }
    expect(policy.snapshot().afterMs).toBe(100);
  });

  it('counts answers in no time, and no callers who hang up sooner than most calls are answered', async () => {
    const { clock, guard, policy } = setUp({ percentile: 0.75, budget: new RecordingBudget(() => false) });
    for (const ms of [0, 0, 0, 40]) {
      const call = guard.execute(() => later(clock, ms, ok('first')));
      await clock.advance(ms);
      await call;
    }
    expect(policy.snapshot().afterMs).toBe(0);
    for (const ms of [40, 40, 40, 40]) {
      const call = guard.execute(() => later(clock, ms, ok('first')));
      await clock.advance(ms);
      await call;
    }
    for (let i = 0; i < 40; i++) {
      const caller = new AbortController();
      const call = settled(guard.execute(() => new Promise(() => {}), { signal: caller.signal }));
      await clock.advance(39);
      caller.abort();
      await call;
    }
    expect(policy.snapshot().afterMs).toBe(40);
  });

  it('counts callers who hang up late, and time-outs within, as slow', async () => {
    const { clock, guard, policy } = setUp({ percentile: 0.5, budget: new RecordingBudget(() => false) });
    for (let i = 0; i < 4; i++) {
      const call = guard.execute(() => later(clock, 10, ok('first')));
      await clock.advance(10);
      await call;
    }
    for (let i = 0; i < 5; i++) {
      const caller = new AbortController();
      const call = settled(guard.execute(() => new Promise(() => {}), { signal: caller.signal }));
      await clock.advance(70);
      caller.abort();
      await call;
    }
    expect(policy.snapshot().afterMs).toBe(70);
    const limited = pipeline(policy, dynamicTimeout({ limitMs: 90, maxMs: 90, clock }));
    for (let i = 0; i < 11; i++) {
      const call = settled(limited.execute(() => new Promise(() => {})));
      await clock.advance(90);
      await call;
    }
    expect(policy.snapshot().afterMs).toBe(90);
  });

  it('looks back on 10 / (1 − percentile) calls, and forgets nothing at an update that changes nothing', async () => {
    const { clock, guard, policy } = setUp({ percentile: 0.9 });
    const calls = async (count: number, ms: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const call = guard.execute(() => later(clock, ms, ok('first')));
        await clock.advance(ms);
        await call;
      }
    };
    await calls(100, 50);
    await calls(89, 10);
    expect(policy.snapshot().afterMs).toBe(50);
    policy.update({});
    expect(policy.snapshot().afterMs).toBe(50);
    await calls(1, 10);
    expect(policy.snapshot().afterMs).toBe(10);
  });

  it('takes the place of afterMs by update, and the other way round; not both', () => {
    const policy = hedge({ afterMs: 7 });
    policy.update({ percentile: 0.5 });
    expect(policy.snapshot().afterMs).toBe(Infinity);
    expect(() => policy.update({ percentile: 0.5, afterMs: 5 })).toThrow(
      new RangeError('hedge.update: percentile must be left out where afterMs is given, got 0.5'),
    );
    policy.update({ afterMs: 3 });
    expect(policy.snapshot().afterMs).toBe(3);
    expect(() => hedge({ percentile: 0.5, afterMs: 5 })).toThrow('hedge: percentile must be left out');
    expect(() => hedge({})).toThrow(new RangeError('hedge: afterMs must be given, or else percentile, got undefined'));
  });
});
