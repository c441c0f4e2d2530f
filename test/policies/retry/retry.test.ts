import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  defaultRetryOn,
  derive,
  dynamicTimeout,
  earlierErrors,
  isTimeout,
  pipeline,
  type Reason,
  rateLimiter,
  retry,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { refusal, rejects, script, settled, setUp, throws } from './set-up.js';

noUnhandledRejections();

describe('a call', () => {
  it('that succeeds is tried once', async () => {
    const { clock, events, guard, policy } = setUp();
    const { fn, tries } = script(clock, () => 'fine');
    expect(await guard.execute(fn)).toBe('fine');
    expect(tries).toHaveLength(1);
    expect([events, policy.snapshot(), clock.waiting]).toEqual([[], { retries: 0, exhausted: 0 }, 0]);
  });

  it('that fails is tried again after the wait, as the next attempt, which begins then', async () => {
    const { clock, events, guard, policy } = setUp({ maxRetries: 3 });
    clock.jump(7);
    const { fn, tries } = script(clock, throws(new Error('a')), rejects(new Error('b')), () => 'third');
    const answer = guard.execute(fn);
    await clock.advance(199);
    expect(tries).toHaveLength(2);
    await clock.advance(1);
    expect(await answer).toBe('third');
    expect(tries).toEqual([
      { attempt: 0, at: 7, startedAt: 7 },
      { attempt: 1, at: 107, startedAt: 107 },
      { attempt: 2, at: 207, startedAt: 207 },
    ]);
    expect(events).toEqual([
      { type: 'retry', policy: 'retry', at: 7, attempt: 1, delayMs: 100 },
      { type: 'retry', policy: 'retry', at: 107, attempt: 2, delayMs: 100 },
    ]);
    expect(policy.snapshot()).toEqual({ retries: 2, exhausted: 0 });
    expect(clock.waiting).toBe(0);
  });

  it('is tried maxRetries times more, one by default, and rejects with the last error as it is', async () => {
    for (const maxRetries of [undefined, 0, 1, 4]) {
      const { clock, guard } = setUp(maxRetries === undefined ? {} : { maxRetries });
      const errors = [0, 1, 2, 3, 4].map((n) => Object.freeze(new Error(`${n}`)));
      const { fn, tries } = script(clock, ...errors.map(throws));
      const end = settled(guard.execute(fn));
      await clock.advance(1_000);
      const last = maxRetries ?? 1;
      expect(await end).toEqual({ error: errors[last] });
      expect(earlierErrors(errors[last])).toEqual(errors.slice(0, last));
      expect(tries).toHaveLength(last + 1);
    }
  });

  it('may be the second try of another retry: attempts add up', async () => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, throws(1), () => 2);
    const answer = guard.execute(fn, { attempt: 5 });
    await clock.advance(100);
    await answer;
    expect(tries.map(({ attempt }) => attempt)).toEqual([5, 6]);
  });

  it.each([undefined, null, 0, '', 'text', Symbol('s'), 5n, () => {}])('may reject with %s', async (error) => {
    for (const how of [throws, rejects]) {
      const { clock, guard } = setUp();
      const { fn, tries } = script(clock, how(error));
      const end = settled(guard.execute(fn));
      await clock.advance(100);
      expect(await end).toEqual({ error });
      expect(tries).toHaveLength(2);
      expect(earlierErrors(error)).toEqual(typeof error === 'function' ? [error] : []);
    }
  });

  it('that succeeds at last has no earlier errors to show, nor has one that was tried once', async () => {
    expect(earlierErrors(new Error('never seen'))).toEqual([]);
    const { clock, guard } = setUp({ maxRetries: 0 });
    const error = new Error('once');
    expect(await settled(guard.execute(script(clock, throws(error)).fn))).toEqual({ error });
    expect(earlierErrors(error)).toEqual([]);
  });

  it('that rejects with what another call has before shows its own earlier errors, and none after one try', async () => {
    const error = new Error('shared');
    const { clock, guard } = setUp();
    const end = settled(guard.execute(throws(error)));
    await clock.advance(100);
    await end;
    expect(earlierErrors(error)).toEqual([error]);
    await settled(setUp({ maxRetries: 0 }).guard.execute(throws(error)));
    expect(earlierErrors(error)).toEqual([]);
  });

  it('by hand, of a `next` that throws at once, is tried again all the same', async () => {
    const policy = retry({ backoff: () => 0 });
    const ctx = await pipeline().execute((given) => given);
    let calls = 0;
    const end = policy.run(ctx, () => {
      if (calls++ === 0) throw new Error('at once');
      return Promise.resolve('fine');
    });
    expect(await end).toBe('fine');
  });

  it('keeps the context of async hooks in each try', async () => {
    const { clock, guard } = setUp();
    const store = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const call = (name: string): Promise<unknown> =>
      store.run(name, () =>
        settled(
          guard.execute((ctx) => {
            seen.push([ctx.attempt, store.getStore()]);
            throw new Error('no');
          }),
        ).then(() => seen.push(['end', store.getStore()])),
      );
    const both = Promise.all([call('a'), call('b')]);
    await clock.advance(100);
    await both;
    expect(seen).toEqual([
      [0, 'a'],
      [0, 'b'],
      [1, 'a'],
      ['end', 'a'],
      [1, 'b'],
      ['end', 'b'],
    ]);
  });

  it('of 100,000 tries without a wait neither fills the stack nor the memory', async () => {
    const { guard } = setUp({ budget: [], maxRetries: 100_000, backoff: () => 0 });
    expect(await guard.execute((ctx) => (ctx.attempt < 100_000 ? Promise.reject(0) : 'done'))).toBe('done');
  });
});

describe('what is not tried again', () => {
  const PASSING: Reason[] = ['rate_limited', 'concurrency_limited'];
  const STAYING: Reason[] = [
    'circuit_open',
    'retry_exhausted',
    'tier_shed',
    'too_old',
    'deadline_exceeded',
    'no_instance',
  ];

  it.each([...PASSING, ...STAYING])('a refusal: %s', async (reason) => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, rejects(refusal(reason)));
    const end = settled(guard.execute(fn));
    await clock.advance(100);
    expect(await end).toMatchObject({ error: { reason } });
    expect(tries).toHaveLength(PASSING.includes(reason) ? 2 : 1);
    expect(defaultRetryOn(refusal(reason))).toBe(PASSING.includes(reason));
  });

  it('a refusal of a breaker further in, which tryExecute tells as a value', async () => {
    const { clock, events, guard } = setUp({ maxRetries: 5, budget: [], backoff: () => 0 }, (inner) =>
      circuitBreaker({ clock: inner, random: () => 0, minRequests: 0, recovery: 'sre' }),
    );
    let reached = 0;
    const fail = (): never => {
      reached++;
      throw new Error('no');
    };
    await settled(guard.execute(fail));
    const before = { reached, events: events.length };
    expect(await guard.tryExecute(fail)).toEqual({
      ok: false,
      rejection: { policy: 'circuitBreaker', reason: 'circuit_open', retryAfterMs: expect.any(Number) },
    });
    expect({ reached, events: events.length }).toEqual(before);
    expect(clock.waiting).toBe(0);
  });

  it('what retryOn does not want; it is asked with the context of the try that failed, as classify is', async () => {
    const seen: unknown[] = [];
    const { clock, guard } = setUp({
      maxRetries: 5,
      classify: (outcome, ctx) => {
        seen.push(['classify', ctx.attempt, ctx.startedAt]);
        return outcome.ok ? 'success' : 'failure';
      },
      retryOn: (error, ctx) => {
        seen.push([error, ctx.attempt, ctx.startedAt, ctx.key]);
        return error !== 404;
      },
    });
    const { fn, tries } = script(clock, throws(503), throws(502), throws(404));
    const end = settled(guard.execute(fn, { key: 'ann', attempt: 3 }));
    await clock.advance(1_000);
    expect(await end).toEqual({ error: 404 });
    expect(tries).toHaveLength(3);
    expect(seen).toEqual([
      ['classify', 3, 0],
      [503, 3, 0, 'ann'],
      ['classify', 4, 100],
      [502, 4, 100, 'ann'],
      ['classify', 5, 200],
      [404, 5, 200, 'ann'],
    ]);
  });

  it('what classify says is well, or tells nothing', async () => {
    for (const verdict of ['success', 'ignored'] as const) {
      const { clock, guard } = setUp({ classify: () => verdict });
      const { fn, tries } = script(clock, throws('no such user'));
      expect(await settled(guard.execute(fn))).toEqual({ error: 'no such user' });
      expect(tries).toHaveLength(1);
    }
  });

  it('past the deadline: neither where the wait would end at it, nor where it went by', async () => {
    for (const [deadlineMs, jumpMs, tried] of [
      [100, 0, 1],
      [100.1, 0, 2],
      [150, 110, 1],
      [160, 110, 1],
    ] as const) {
      const { clock, events, guard, policy } = setUp();
      const { fn, tries } = script(clock, throws('no'));
      const end = settled(guard.execute(fn, { deadline: deadlineMs }));
      await clock.advance(50);
      clock.jump(jumpMs);
      await clock.advance(100);
      expect(await end).toEqual({ error: 'no' });
      expect(tries).toHaveLength(tried);
      expect(policy.snapshot().retries).toBe(tried - 1);
      expect(events).toHaveLength(deadlineMs === 100 ? 0 : 1);
    }
  });

  it('what the budget does not allow, at once and with an event', async () => {
    const { clock, events, guard, policy } = setUp({
      budget: { onRequest() {}, tryRetry: () => false, onRetryDone() {} },
    });
    const { fn, tries } = script(clock, throws('no'));
    expect(await settled(guard.execute(fn))).toEqual({ error: 'no' });
    expect(tries).toHaveLength(1);
    expect(events).toEqual([{ type: 'retry_exhausted', policy: 'retry', at: 0, attempt: 1 }]);
    expect(policy.snapshot()).toEqual({ retries: 0, exhausted: 1 });
  });
});

describe('with other policies', () => {
  it('gives a time limit further in to each try, and tries again what has timed out', async () => {
    const { clock, guard } = setUp({}, (inner) => dynamicTimeout({ limitMs: 50, maxMs: 50, clock: inner }));
    const { fn, tries } = script(clock, () => new Promise(() => {}));
    const end = settled(guard.execute(fn));
    await clock.advance(200);
    expect(isTimeout(((await end) as { error: unknown }).error)).toBe(true);
    expect(tries.map(({ at }) => at)).toEqual([0, 150]);
  });

  it('is ended by a time limit further out, also in its wait', async () => {
    const clock = manualClock();
    const guard = pipeline(dynamicTimeout({ limitMs: 50, maxMs: 50, clock }), retry({ clock, backoff: () => 100 }));
    const { fn, tries } = script(clock, throws('no'));
    const end = settled(guard.execute(fn));
    await clock.advance(50);
    expect(isTimeout(((await end) as { error: unknown }).error)).toBe(true);
    await clock.advance(1_000);
    expect([tries.length, clock.waiting]).toEqual([1, 0]);
  });

  it('waits as long as a rate limit further in says, and gets through then', async () => {
    const { clock, guard } = setUp({ backoff: () => 0, random: () => 0 }, (inner) =>
      rateLimiter({ limit: 1, windowMs: 1_000, algorithm: 'log', clock: inner }),
    );
    await guard.execute(() => 1);
    clock.jump(300);
    const answer = guard.execute((ctx) => [ctx.attempt, clock.now()]);
    await clock.advance(1_000);
    expect(await answer).toEqual([1, 1_000]);
  });

  it('gives back each permit of each try', async () => {
    const limiter = (inner: ManualClock) => concurrencyLimiter({ clock: inner, load: () => 1 });
    const { guard, clock } = setUp({ maxRetries: 3, budget: [] }, limiter);
    const end = settled(guard.execute(throws('no')));
    await clock.advance(1_000);
    await end;
    expect((guard.policies[1] as ReturnType<typeof limiter>).snapshot().inflight).toBe(0);
  });

  it('hands on the deadline and the key, and no more', async () => {
    const { clock, guard } = setUp({}, (inner) => deadline({ clock: inner, marginMs: 0 }));
    const seen: unknown[] = [];
    const end = settled(
      guard.execute(
        (ctx) => {
          seen.push([ctx.deadline, ctx.key, ctx.tier, ctx.receivedAt]);
          throw new Error('no');
        },
        { deadline: 500, key: 'k', tier: 1 },
      ),
    );
    await clock.advance(200);
    await end;
    expect(seen).toEqual([
      [500, 'k', 1, 0],
      [500, 'k', 1, 0],
    ]);
  });
});

it('a clock that breaks while a call is under way: no retry, and its own error', async () => {
  const base = manualClock();
  for (const breaksIn of ['retryOn', 'backoff', 'observer']) {
    let broken = false;
    const breaks = (where: string): boolean => {
      broken ||= where === breaksIn;
      return true;
    };
    const clock = {
      now: () => (broken ? NaN : base.now()),
      setTimer: (fn: () => void, ms: number) => base.setTimer(fn, ms),
      clearTimer: (timer: unknown) => base.clearTimer(timer),
    };
    const { guard } = setUp({
      clock,
      retryOn: () => breaks('retryOn'),
      backoff: () => Number(!breaks('backoff')),
      observer: () => breaks('observer'),
    });
    expect(await settled(guard.execute(throws('no'))), breaksIn).toEqual({ error: 'no' });
  }
});

it('update: turns a running service, and calls in their wait heed it', async () => {
  const { clock, guard, policy } = setUp({ maxRetries: 10 });
  const { fn, tries } = script(clock, throws('no'));
  const end = settled(guard.execute(fn));
  await clock.advance(250);
  policy.update({ maxRetries: 0 });
  await clock.advance(1_000);
  await end;
  expect(tries).toHaveLength(4);
  expect(() => policy.update({ maxRetries: -1, maxDelayMs: 5 })).toThrow(RangeError);
  policy.update({ maxRetries: 1 });
  expect(await settled(guard.execute(() => 1))).toEqual({ value: 1 });
});

it('a context is not changed by it', async () => {
  const { clock, guard } = setUp({ backoff: () => 0 });
  let first: Context | undefined;
  const answer = guard.execute((ctx) => {
    first ??= ctx;
    if (ctx === first) throw new Error('no');
    return [first.attempt, derive(ctx, {}).attempt, ctx.attempt];
  });
  await clock.advance(0);
  expect(await answer).toEqual([0, 1, 1]);
});
