import { getEventListeners } from 'node:events';
import { hedge, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';
import { ok, settled, setUp } from './set-up.js';

noUnhandledRejections();

describe('what users give', () => {
  it('a budget that throws fails the call, and the attempts are aborted', async () => {
    const broken = new Error('broken budget');
    const boom = (): never => {
      throw broken;
    };
    const good = new RecordingBudget();
    for (const [method, call] of [
      ['onRequest', [10]],
      ['onFirstDone', [10]],
      ['tryRetry', [500]],
      ['onRetryDone', [150]],
      ['onRetryDone', [500, 50]],
    ] as const) {
      const budget = {
        onRequest: () => {},
        tryRetry: () => true,
        onRetryDone: () => {},
        onFirstDone: () => {},
        [method]: boom,
      };
      const { clock, guard, attempts, signals } = setUp({ afterMs: 100, budget });
      const [first, second] = call;
      const result = settled(
        guard.execute(attempts([first, ok('first')], second === undefined ? undefined : [second, ok('second')])),
      );
      await clock.advance(2_000);
      expect([method, await result]).toEqual([method, { error: broken }]);
      expect(clock.waiting).toBe(0);
      if (method === 'tryRetry') expect(signals[0]?.reason).toBe(broken);
    }
    expect(good.open).toBe(0);
  });

  it('a classify that throws fails the call', async () => {
    const { clock, guard, attempts, signals, budget } = setUp({ afterMs: 100, classify: fail('broken classify') });
    const call = settled(guard.execute(attempts([500, ok('first')], [50, ok('second')])));
    await clock.advance(1_000);
    expect(await call).toEqual({ error: new Error('broken classify') });
    expect(signals[0]?.aborted).toBe(true);
    expect(budget.log).toEqual(['request', 'ask true', 'done undefined']);
  });

  it('a function that throws at once', async () => {
    const { guard, clock } = setUp();
    await expect(guard.execute(fail('at once'))).rejects.toThrow('at once');
    expect(clock.waiting).toBe(0);
  });

  it('a budget or an observer that aborts the call while it is asked: no second', async () => {
    for (const where of ['budget', 'observer'] as const) {
      const caller = new AbortController();
      const budget = new RecordingBudget(() => {
        if (where === 'budget') caller.abort('from within');
        return true;
      });
      const { clock, guard, attempts, starts, policy } = setUp({
        afterMs: 100,
        budget,
        observer: () => {
          if (where === 'observer') caller.abort('from within');
        },
      });
      const call = settled(guard.execute(attempts(undefined, [1, ok('second')]), { signal: caller.signal }));
      await clock.advance(1_000);
      expect(await call).toEqual({ error: 'from within' });
      expect(starts).toHaveLength(1);
      expect([budget.open, policy.snapshot().won]).toEqual([0, 0]);
    }
  });

  it('a budget that aborts the call as it begins: the function is not called', async () => {
    const caller = new AbortController();
    const budget = Object.assign(new RecordingBudget(), { onRequest: () => caller.abort('from within') });
    const { clock, guard, attempts, starts } = setUp({ afterMs: 100, budget });
    const call = settled(guard.execute(attempts([500, ok('first')], [1, ok('second')]), { signal: caller.signal }));
    await clock.advance(1_000);
    expect(await call).toEqual({ error: 'from within' });
    expect([starts, clock.waiting, getEventListeners(caller.signal, 'abort')]).toEqual([[], 0, []]);
  });

  it('a budget that aborts the call as it hears of an answer: each leave is answered once', async () => {
    const caller = new AbortController();
    const budget = Object.assign(new RecordingBudget(), { onFirstDone: () => caller.abort('from within') });
    const { clock, guard, attempts } = setUp({ afterMs: 100, budget });
    const call = settled(guard.execute(attempts([150, ok('first')], undefined), { signal: caller.signal }));
    await clock.advance(1_000);
    expect(await call).toEqual({ error: 'from within' });
    expect(budget.log).toEqual(['request', 'ask true', 'done undefined']);
  });

  it('a budget that does not ask how first attempts end', async () => {
    expect(await pipeline(hedge({ afterMs: 100, clock: manualClock() })).execute(ok('first'))).toBe('first');
  });

  it('a function that calls the same guard again', async () => {
    const { clock, guard, policy } = setUp();
    const call = guard.execute((ctx) =>
      ctx.attempt === 0 ? new Promise(() => {}) : guard.execute((inner) => later(clock, 10, () => inner.attempt), ctx),
    );
    await clock.advance(1_000);
    expect(await call).toBe(1);
    expect(policy.snapshot()).toMatchObject({ calls: 2, hedges: 1 });
    expect(clock.waiting).toBe(0);
  });
});

describe('odd clocks', () => {
  it('of no time at all: the first attempt alone', async () => {
    const real = manualClock();
    const clock = Object.assign(manualClock(), { now: () => NaN });
    for (const options of [{ afterMs: 10 }, { percentile: 0.5 }]) {
      const policy = hedge({ ...options, clock, budget: new RecordingBudget() });
      const call = pipeline(policy).execute(() => later(real, 50, ok('first')));
      await real.advance(50);
      expect(await call).toBe('first');
      expect(policy.snapshot()).toMatchObject({ hedges: 0 });
    }
  });

  it('that break while a call is under way: no second', async () => {
    const base = manualClock();
    let broken = false;
    const clock = {
      now: () => (broken ? NaN : base.now()),
      setTimer: (fn: () => void, ms: number) => base.setTimer(fn, ms),
      clearTimer: (timer: unknown) => base.clearTimer(timer),
    };
    const budget = new RecordingBudget();
    const call = pipeline(hedge({ afterMs: 10, clock, budget })).execute(() => later(base, 50, ok('first')));
    broken = true;
    await base.advance(50);
    expect(await call).toBe('first');
    expect(budget.log).toEqual(['request', 'first true']);
  });

  it('that break into an infinite time while a call is under way: it does not count', async () => {
    let now = 0;
    const clock = Object.assign(manualClock(), { now: () => now });
    const policy = hedge({ percentile: 0.5, clock });
    for (const ms of [10, 20, Infinity, Infinity, Infinity]) {
      now = 0;
      await pipeline(policy).execute(() => {
        now = ms;
      });
    }
    expect(policy.snapshot().afterMs).toBe(10);
  });

  it('that go back do not shorten the delay', async () => {
    const { clock, guard, policy } = setUp({ percentile: 0.5 });
    for (let i = 0; i < 12; i++) {
      const call = guard.execute(() => later(clock, 50, ok('first')));
      if (i > 1) clock.jump(-500);
      await clock.advance(1_000);
      await call;
    }
    expect(policy.snapshot().afterMs).toBe(50);
  });

  it('that go back or forward: calls end, and response times below 0 do not count', async () => {
    const { clock, guard, attempts, policy } = setUp({ percentile: 0.5 });
    for (const jump of [-500, 0, 700, -1e6, 1e6]) {
      const call = guard.execute(attempts([50, ok('first')], [10, ok('second')]));
      clock.jump(jump);
      await clock.advance(2e6);
      expect(await call).toMatch(/first|second/);
    }
    expect(policy.snapshot().afterMs).toBeGreaterThanOrEqual(0);
    expect(clock.waiting).toBe(0);
  });
});
