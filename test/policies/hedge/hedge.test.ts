import { AsyncLocalStorage } from 'node:async_hooks';
import { dynamicTimeout, fallback, hedge, isTimeout, pipeline, RejectedError, retry } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';
import { ok, refusal, settled, setUp } from './set-up.js';

noUnhandledRejections();

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
