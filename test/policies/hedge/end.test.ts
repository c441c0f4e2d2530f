import { getEventListeners } from 'node:events';
import { hedge, type Policy, pipeline } from 'evenkeel';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, RecordingBudget } from '../retry/calls.js';
import { ok, settled, setUp } from './set-up.js';

noUnhandledRejections();

describe('the end of a call', () => {
  it('by the caller aborts both, with his reason, and leaves nothing', async () => {
    const { clock, guard, attempts, signals, budget } = setUp();
    const caller = new AbortController();
    const call = settled(guard.execute(attempts(undefined, undefined), { signal: caller.signal }));
    await clock.advance(150);
    caller.abort('enough');
    expect(await call).toEqual({ error: 'enough' });
    expect(signals.map((signal) => signal.reason)).toEqual(['enough', 'enough']);
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    expect(budget.log).toEqual(['request', 'ask true', 'done undefined']);
    expect(clock.waiting).toBe(0);
  });

  it('by the caller before the second: no second', async () => {
    const { clock, guard, attempts, starts } = setUp();
    const caller = new AbortController();
    const call = settled(guard.execute(attempts(undefined, [1, ok('second')]), { signal: caller.signal }));
    await clock.advance(99);
    caller.abort('enough');
    expect(await call).toEqual({ error: 'enough' });
    await clock.advance(1_000);
    expect(starts).toHaveLength(1);
    await expect(guard.execute(attempts(), { signal: caller.signal })).rejects.toBe('enough');
    expect(starts).toHaveLength(1);
  });

  it('leaves the signal of the winner alone, who may still be reading', async () => {
    const { clock, guard, attempts, signals } = setUp();
    const call = guard.execute(attempts([110, ok('first')], [300, ok('second')]));
    await clock.advance(1_000);
    await call;
    expect(signals[0]?.aborted).toBe(false);
    // So may be who asked for what failed.
    const other = guard.execute(attempts([200, ok('first')], [50, fail('b')]));
    await clock.advance(1_000);
    expect(await other).toBe('first');
    expect(signals.slice(2).map((signal) => signal.aborted)).toEqual([false, false]);
  });

  it("leaves no listener on the caller's signal", async () => {
    const { clock, guard, attempts } = setUp();
    const caller = new AbortController();
    for (const ms of [10, 150]) {
      const call = guard.execute(attempts([ms, ok('first')], undefined), { signal: caller.signal });
      await clock.advance(ms);
      await call;
      expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    }
  });

  it('by a policy further out, before it begins: the function is not called', async () => {
    const { clock, policy, attempts, starts, budget } = setUp();
    const caller = new AbortController();
    const aborting: Policy = {
      name: 'aborting',
      run: (ctx, next) => {
        caller.abort('enough');
        return next(ctx);
      },
    };
    const call = pipeline(aborting, policy).execute(attempts([10, ok('first')]), { signal: caller.signal });
    await expect(call).rejects.toBe('enough');
    expect([starts, clock.waiting]).toEqual([[], 0]);
    expect([budget.log, policy.snapshot().calls]).toEqual([[], 0]);
  });

  it('at the very moment at which the second was to start: no second, and the budget is not asked', async () => {
    const due: (() => void)[] = [];
    const clock = { now: () => 0, setTimer: (fn: () => void) => due.push(fn), clearTimer: () => {} };
    const budget = new RecordingBudget();
    const caller = new AbortController();
    const guard = pipeline(hedge({ afterMs: 0, clock, budget }));
    const call = settled(guard.execute(() => new Promise(() => {}), { signal: caller.signal }));
    // As where one timer of the host serves several.
    for (const fn of due) fn();
    caller.abort('enough');
    expect(await call).toEqual({ error: 'enough' });
    expect(budget.log).toEqual(['request']);
  });

  it('nothing starts at or after the deadline', async () => {
    const { clock, guard, attempts, starts, budget } = setUp();
    for (const deadline of [50, 100]) {
      const call = guard.execute(attempts([500, ok('first')], [1, ok('second')]), {
        deadline: clock.now() + deadline,
      });
      // No timer but the function's own.
      expect(clock.waiting).toBe(1);
      await clock.advance(500);
      expect(await call).toBe('first');
    }
    expect(starts).toHaveLength(2);
    expect(budget.log).not.toContain('ask true');
    const intime = guard.execute(attempts([500, ok('first')], [1, ok('second')]), { deadline: clock.now() + 101 });
    await clock.advance(101);
    expect(await intime).toBe('second');
  });

  it('a timer that comes after the deadline starts nothing', async () => {
    for (const lateMs of [150, 160]) {
      const { clock, guard, attempts, starts } = setUp();
      const call = guard.execute(attempts([500, ok('first')], [1, ok('second')]), { deadline: 150 });
      clock.jump(lateMs);
      await clock.advance(0);
      await clock.advance(1_000);
      expect(await call).toBe('first');
      expect(starts).toHaveLength(1);
    }
  });
});
