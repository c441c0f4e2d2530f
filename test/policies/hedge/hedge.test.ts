import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import {
  type Context,
  dynamicTimeout,
  fallback,
  type HedgeOptions,
  hedge,
  isTimeout,
  type Policy,
  pipeline,
  RejectedError,
  type ResilienceEvent,
  ratioBudget,
  retry,
} from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';

noUnhandledRejections();

const refusal = new RejectedError({ policy: 'p', reason: 'rate_limited', retryAfterMs: 1 });

function setUp(options: HedgeOptions = { afterMs: 100 }, ...inner: Policy[]) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const budget = new RecordingBudget();
  const policy = hedge({ clock, budget, observer: (event) => events.push(event), ...options });
  const guard = pipeline(policy, ...inner);
  const starts: number[] = [];
  const signals: AbortSignal[] = [];
  /** Each attempt takes so long and ends so; `undefined` = never. */
  const attempts =
    (...ends: ([ms: number, end: () => unknown] | undefined)[]) =>
    (ctx: Context): unknown => {
      starts.push(clock.now());
      signals.push(ctx.signal);
      const end = ends[ctx.attempt];
      return end === undefined ? new Promise(() => {}) : later(clock, ...end);
    };
  return { clock, events, budget, policy, guard, starts, signals, attempts };
}
const settled = <R>(promise: Promise<R>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
const ok = (value: string) => (): string => value;

describe('the second attempt', () => {
  it('starts when the first is late, and wins by answering first; the first is aborted', async () => {
    const { clock, guard, attempts, starts, signals, policy, events, budget } = setUp();
    const call = guard.execute(attempts([500, ok('first')], [50, ok('second')]));
    await clock.advance(99);
    expect(starts).toEqual([0]);
    await clock.advance(51);
    expect(await call).toBe('second');
    expect(starts).toEqual([0, 100]);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    expect(signals[0]?.reason).toEqual(new DOMException('another attempt of the call answered first', 'AbortError'));
    expect(policy.snapshot()).toEqual({ afterMs: 100, calls: 1, hedges: 1, won: 1, refused: 0 });
    expect(events).toEqual([{ type: 'hedge', policy: 'hedge', at: 100, afterMs: 100 }]);
    expect(budget.log).toEqual(['request', 'ask true', 'done true']);
    await clock.advance(1_000);
    expect(clock.waiting).toBe(0);
  });

  it('loses where the first answers first, and is aborted; what came of it is not known', async () => {
    const { clock, guard, attempts, signals, policy, budget } = setUp();
    const call = guard.execute(attempts([120, ok('first')], undefined));
    await clock.advance(120);
    expect(await call).toBe('first');
    expect(signals.map((signal) => signal.aborted)).toEqual([false, true]);
    expect(policy.snapshot()).toMatchObject({ hedges: 1, won: 0 });
    expect(budget.log).toEqual(['request', 'ask true', 'first true', 'done undefined']);
  });

  it('does not start where the first has ended, well or not, and leaves no timer', async () => {
    const { clock, guard, attempts, starts, policy, budget } = setUp();
    expect(await guard.execute(() => 'at once')).toBe('at once');
    const failed = settled(guard.execute(attempts([99, fail('no')])));
    await clock.advance(99);
    expect(await failed).toEqual({ error: new Error('no') });
    expect(clock.waiting).toBe(0);
    await clock.advance(1_000);
    expect(starts).toHaveLength(1);
    expect(policy.snapshot()).toMatchObject({ calls: 2, hedges: 0 });
    expect(budget.log).toEqual(['request', 'first true', 'request', 'first false']);
  });

  it('starts at the moment of afterMs also where that is 0', async () => {
    const { clock, guard, attempts, starts } = setUp({ afterMs: 0 });
    const call = guard.execute(attempts([20, ok('first')], [10, ok('second')]));
    await clock.advance(10);
    expect(await call).toBe('second');
    expect(starts).toEqual([0, 0]);
  });

  it('never starts where afterMs is Infinity, and update turns it on', async () => {
    const { clock, guard, attempts, starts, policy } = setUp({ afterMs: Infinity });
    const first = guard.execute(attempts([1e6, ok('slow')], [1, ok('second')]));
    await clock.advance(1e6);
    expect(await first).toBe('slow');
    expect(starts).toHaveLength(1);
    policy.update({ afterMs: 10 });
    policy.update({});
    const second = guard.execute(attempts([1e6, ok('slow')], [1, ok('second')]));
    await clock.advance(11);
    expect(await second).toBe('second');
  });

  it('has a context of its own: one attempt higher, begun when it began', async () => {
    const { clock, guard } = setUp();
    const seen: unknown[] = [];
    const call = guard.execute(
      (ctx) => {
        seen.push([ctx.attempt, ctx.startedAt, ctx.receivedAt, ctx.key, ctx.tier]);
        return ctx.attempt === 4 ? 'second' : new Promise(() => {});
      },
      { attempt: 3, key: 'k', tier: 1 },
    );
    await clock.advance(100);
    expect(await call).toBe('second');
    expect(seen).toEqual([
      [3, 0, 0, 'k', 1],
      [4, 100, 0, 'k', 1],
    ]);
  });
});

it('a second attempt has the async context of its own call, not that in which the timer was armed', async () => {
  const { clock, guard } = setUp();
  const store = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const call = (name: string): Promise<unknown> =>
    store.run(name, () =>
      guard.execute((ctx) => {
        seen.push([ctx.attempt, store.getStore()]);
        return ctx.attempt === 0 ? new Promise(() => {}) : 'answer';
      }),
    );
  const both = Promise.all([call('a'), call('b')]);
  await clock.advance(100);
  await both;
  expect(seen).toEqual([
    [0, 'a'],
    [0, 'b'],
    [1, 'a'],
    [1, 'b'],
  ]);
});

describe('failures', () => {
  it('a failure of either waits for the other', async () => {
    for (const [first, second, winner] of [
      [[110, fail('a')], [50, ok('second')], 'second'],
      [[200, ok('first')], [50, fail('b')], 'first'],
    ] as const) {
      const { clock, guard, attempts } = setUp();
      const call = guard.execute(attempts([...first], [...second]));
      await clock.advance(1_000);
      expect(await call).toBe(winner);
    }
  });

  it("of both gives the first's error, whichever came first", async () => {
    for (const [firstMs, secondMs] of [
      [110, 50],
      [200, 50],
    ] as const) {
      const { clock, guard, attempts, budget } = setUp();
      const call = settled(guard.execute(attempts([firstMs, fail('a')], [secondMs, fail('b')])));
      await clock.advance(1_000);
      expect(await call).toEqual({ error: new Error('a') });
      expect(budget.log.toSorted()).toEqual(['ask true', 'done false', 'first false', 'request']);
    }
  });

  it("gives the second's where the first was refused: it may have been sent", async () => {
    const { clock, guard, attempts } = setUp();
    const reject = (): never => {
      throw refusal;
    };
    const sent = settled(guard.execute(attempts([110, reject], [50, fail('b')])));
    await clock.advance(1_000);
    expect(await sent).toEqual({ error: new Error('b') });
    const other = new RejectedError({ policy: 'q', reason: 'rate_limited', retryAfterMs: 1 });
    const neither = settled(
      guard.execute(
        attempts(
          [110, reject],
          [
            50,
            () => {
              throw other;
            },
          ],
        ),
      ),
    );
    await clock.advance(1_000);
    expect(((await neither) as { error: unknown }).error).toBe(refusal);
  });

  it('are what classify calls so: a value is no answer, an error may be one', async () => {
    const { clock, guard, attempts, budget } = setUp({
      afterMs: 100,
      classify: ({ ok, ...rest }) => {
        if (!ok) return 'success';
        return (rest as { value: unknown }).value === 'bad' ? 'failure' : 'ignored';
      },
    });
    const waits = guard.execute(attempts([110, ok('bad')], [50, ok('second')]));
    await clock.advance(150);
    expect(await waits).toBe('second');
    const both = guard.execute(attempts([110, ok('bad')], [50, ok('bad')]));
    await clock.advance(150);
    expect(await both).toBe('bad');
    const notFound = settled(guard.execute(attempts([110, fail('404')], undefined)));
    await clock.advance(110);
    expect(await notFound).toEqual({ error: new Error('404') });
    expect(budget.log).toEqual([
      ...['request', 'ask true', 'first false', 'done undefined'],
      ...['request', 'ask true', 'first false', 'done false'],
      ...['request', 'ask true', 'first true', 'done undefined'],
    ]);
  });

  it('of the loser, later, leave no unhandled rejection', async () => {
    const { clock, guard, attempts } = setUp();
    const call = guard.execute(attempts([300, fail('late')], [50, ok('second')]));
    await clock.advance(1_000);
    expect(await call).toBe('second');
    const other = guard.execute(attempts([110, ok('first')], [300, fail('late')]));
    await clock.advance(1_000);
    expect(await other).toBe('first');
  });
});

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

describe('with others', () => {
  it('gates further in get one permit an attempt, and each back once', async () => {
    const clock = manualClock();
    const gates = [new RecordingGate('a', clock), new RecordingGate('b', clock)] as const;
    const guard = pipeline(hedge({ afterMs: 100, clock, budget: new RecordingBudget() }), ...gates);
    const call = guard.execute((ctx) => later(clock, ctx.attempt === 0 ? 500 : 50, () => ctx.attempt));
    await clock.advance(120);
    expect(gates.map((gate) => gate.permitsInUse)).toEqual([2, 2]);
    await clock.advance(30);
    expect(await call).toBe(1);
    // At once: the first is left behind, though it does not heed its signal.
    expect(gates.map((gate) => gate.permitsInUse)).toEqual([0, 0]);
    for (const gate of gates) expect(gate.verdicts).toEqual(['success', 'ignored']);
    await clock.advance(1_000);
    for (const gate of gates) expect(gate.verdicts).toHaveLength(2);
  });

  it('a gate that refuses the second leaves it to the first', async () => {
    const clock = manualClock();
    const gate = new RecordingGate('gate', clock, { admit: ['yes', 'no'] });
    const budget = new RecordingBudget();
    const guard = pipeline(hedge({ afterMs: 100, clock, budget }), gate);
    const call = guard.tryExecute(() => later(clock, 150, ok('first')));
    await clock.advance(200);
    expect(await call).toEqual({ ok: true, value: 'first' });
    expect(budget.log).toEqual(['request', 'ask true', 'done undefined', 'first true']);
  });

  it('tryExecute: a refusal of the first at once is a value', async () => {
    const clock = manualClock();
    const gate = new RecordingGate('gate', clock, { admit: ['no'], retryAfter: [7] });
    const budget = new RecordingBudget();
    const guard = pipeline(hedge({ afterMs: 100, clock, budget }), gate);
    expect(await guard.tryExecute(ok('never'))).toEqual({
      ok: false,
      rejection: { policy: 'gate', reason: 'rate_limited', retryAfterMs: 7 },
    });
    expect(budget.log).toEqual(['request']);
    expect(clock.waiting).toBe(0);
  });

  it('a time limit around it ends both; one within, each by itself', async () => {
    const clock = manualClock();
    const limit = () => dynamicTimeout({ limitMs: 150, maxMs: 150, clock });
    const hedging = () => hedge({ afterMs: 100, clock, budget: new RecordingBudget() });
    const ends: unknown[] = [];
    for (const guard of [pipeline(limit(), hedging()), pipeline(hedging(), limit())]) {
      const startedAt = clock.now();
      void guard
        .execute(() => new Promise(() => {}))
        .catch((error: unknown) => ends.push([isTimeout(error), clock.now() - startedAt]));
      await clock.advance(1_000);
      expect(clock.waiting).toBe(0);
    }
    expect(ends).toEqual([
      [true, 150],
      [true, 250],
    ]);
  });

  it('a retry around it and a fallback around that', async () => {
    const clock = manualClock();
    const guard = pipeline(
      fallback(ok('fallback')),
      retry({ clock, backoff: () => 0 }),
      hedge({ afterMs: 100, clock, budget: new RecordingBudget() }),
    );
    const seen: number[] = [];
    const call = guard.execute((ctx) => {
      seen.push(ctx.attempt);
      return later(clock, 150, fail('no'));
    });
    await clock.advance(1_000);
    expect(await call).toBe('fallback');
    expect(seen).toEqual([0, 1, 1, 2]);
  });
});

describe('the budget', () => {
  it('is never overdrawn, and hears of each leave once, whatever happens', async () => {
    const callOf = fc.record({
      gapMs: fc.integer({ min: 0, max: 60 }),
      ends: fc.tuple(...[0, 1].map(() => fc.tuple(fc.integer({ min: 0, max: 300 }), fc.boolean()))),
      abortMs: fc.option(fc.integer({ min: 0, max: 300 })),
      deadlineMs: fc.option(fc.integer({ min: 0, max: 300 })),
      allowed: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(callOf, { maxLength: 40 }),
        fc.constantFrom<Partial<HedgeOptions>>({ afterMs: 0 }, { afterMs: 100 }, { percentile: 0.5 }),
        async (calls, options) => {
          const clock = manualClock();
          let allowed = false;
          const budget = new RecordingBudget(() => allowed);
          const gates = [new RecordingGate('a', clock), new RecordingGate('b', clock)] as const;
          const policy = hedge({ ...options, budget, clock });
          const guard = pipeline(policy, ...gates);
          let attempts = 0;
          let outstanding = calls.length;
          for (const { gapMs, ends, abortMs, deadlineMs, ...rest } of calls) {
            const caller = new AbortController();
            const startedAt = clock.now();
            const deadline = deadlineMs === null ? Infinity : startedAt + deadlineMs;
            const call = guard.execute(
              (ctx) => {
                attempts++;
                if (ctx.attempt > 0) expect(clock.now()).toBeLessThan(deadline);
                expect(caller.signal.aborted).toBe(false);
                const [ms, well] = ends[ctx.attempt] as [number, boolean];
                return later(clock, ms, well ? ok('well') : fail('ill'));
              },
              { signal: caller.signal, deadline },
            );
            void call.then(
              () => outstanding--,
              () => outstanding--,
            );
            if (abortMs !== null) clock.setTimer(() => caller.abort(), abortMs);
            allowed = rest.allowed;
            await clock.advance(gapMs);
          }
          await clock.advance(1_000);
          const { hedges, refused } = policy.snapshot();
          expect(hedges).toBe(budget.leaves);
          expect(attempts).toBe(calls.length + hedges);
          expect(budget.requests).toBe(calls.length);
          expect(budget.log.filter((line) => line === 'ask false')).toHaveLength(refused);
          expect([budget.open, outstanding, clock.waiting]).toEqual([0, 0, 0]);
          for (const gate of gates) {
            expect(gate.permitsInUse).toBe(0);
            expect(gate.verdicts).toHaveLength(attempts);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('by default lets a tenth of the calls of 10 s be hedged, and one a second', async () => {
    const clock = manualClock();
    const policy = hedge({ afterMs: 5, clock });
    const guard = pipeline(policy);
    for (let i = 0; i < 2_000; i++) {
      void guard.execute((ctx) => (ctx.attempt === 0 ? new Promise(() => {}) : 'second'));
      await clock.advance(10);
    }
    const { hedges, refused } = policy.snapshot();
    expect(hedges + refused).toBe(2_000);
    expect(hedges).toBeGreaterThan(200);
    expect(hedges).toBeLessThanOrEqual(2 * (100 + 10));
  });

  it('may be one that others share', async () => {
    const clock = manualClock();
    const budget = ratioBudget({ ratio: 0, minRetriesPerSecond: 0.3, clock });
    const guards = [1, 2, 3].map(() => hedge({ afterMs: 5, clock, budget }));
    for (const policy of guards.flatMap((one) => [one, one])) {
      void pipeline(policy).execute((ctx) => (ctx.attempt === 0 ? new Promise(() => {}) : 'second'));
    }
    await clock.advance(10);
    expect(guards.reduce((sum, policy) => sum + policy.snapshot().hedges, 0)).toBe(3);
  });
});

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
