import {
  AbortScope,
  circuitBreaker,
  dynamicTimeout,
  isTimeout,
  type Policy,
  pipeline,
  RejectedError,
  type ResilienceEvent,
  retry,
  TimeoutError,
} from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

describe('the average', () => {
  it('is the exact series', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1e4, noNaN: true })),
        fc.integer({ min: 1, max: 500 }),
        fc.double({ min: 0, max: 1e4, noNaN: true }),
        (times, samples, seedMs) => {
          const timeout = dynamicTimeout({ limitMs: 250, maxMs: 500, averageMs: 60, samples, seedMs });
          let ema = seedMs;
          for (const x of times) {
            timeout.record(x);
            const r = 2 / (samples + 1);
            ema = x * r + ema * (1 - r);
          }
          expect(timeout.snapshot().emaMs).toBeCloseTo(ema, 9);
        },
      ),
    );
  });

  it('of a constant 500 ms leaves maxMs for five calls and reaches limitMs with the 28th', () => {
    const timeout = dynamicTimeout({ limitMs: 250, maxMs: 500, averageMs: 60 });
    const limits = Array.from({ length: 28 }, () => {
      timeout.record(500);
      return timeout.timeoutMs();
    });
    expect(limits.filter((limit) => limit === 500)).toHaveLength(5);
    expect(limits[26]).toBeGreaterThan(250);
    expect(limits[27]).toBe(250);
  });

  it('may start from the first sample', () => {
    const timeout = dynamicTimeout({ limitMs: 250, maxMs: 500, seedMs: 'first' });
    expect(timeout.snapshot()).toEqual({ emaMs: 0, timeoutMs: 500 });
    timeout.record(300);
    expect(timeout.snapshot()).toEqual({ emaMs: 300, timeoutMs: 250 });
    timeout.record(0);
    expect(timeout.snapshot().emaMs).toBeCloseTo(300 * (1 - 2 / 81), 9);
  });

  it('refuses what is no response time, and stays as it was', () => {
    const timeout = dynamicTimeout({ limitMs: 250, maxMs: 500, seedMs: 100 });
    for (const bad of [Number.NaN, -1, Infinity, -Infinity, undefined, '5', null]) {
      expect(() => timeout.record(bad as number)).toThrow(
        /dynamicTimeout.record: elapsedMs must be a finite number ≥ 0, got/,
      );
    }
    expect(timeout.snapshot().emaMs).toBe(100);
  });

  it('is not poisoned by a broken clock', async () => {
    const clock = Object.assign(manualClock(), { now: () => Number.NaN });
    const timeout = dynamicTimeout({ limitMs: 250, maxMs: 500, seedMs: 100, clock });
    await pipeline(timeout).execute(() => 1);
    expect(timeout.snapshot().emaMs).toBe(100);
  });
});

describe('the time limit', () => {
  const settings = fc
    .tuple(
      fc.double({ min: 0, max: 1e3, noNaN: true }),
      fc.double({ min: 0.001, max: 1e3, noNaN: true }),
      fc.double({ min: 0, max: 1e4, noNaN: true }),
    )
    .map(([averageMs, a, b]) => ({ averageMs, limitMs: averageMs + a, maxMs: averageMs + a + b }));

  it('lies between limitMs and maxMs and never rises with the average', () => {
    fc.assert(
      fc.property(
        settings,
        fc.double({ min: 0, max: 2e4, noNaN: true }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        (options, ema, more) => {
          const at = (seedMs: number) => dynamicTimeout({ ...options, seedMs }).timeoutMs();
          expect(at(ema)).toBeGreaterThanOrEqual(options.limitMs - 1e-9);
          expect(at(ema)).toBeLessThanOrEqual(options.maxMs + 1e-9);
          expect(at(ema + more)).toBeLessThanOrEqual(at(ema) + 1e-9);
        },
      ),
    );
  });

  it('is maxMs up to averageMs, limitMs from limitMs on, and linear between', () => {
    const at = (seedMs: number) => dynamicTimeout({ averageMs: 100, limitMs: 300, maxMs: 500, seedMs }).timeoutMs();
    expect([0, 100, 150, 200, 250, 300, 301, 1e6].map(at)).toEqual([500, 500, 450, 400, 350, 300, 300, 300]);
  });
});

it('keeps the average of the answered calls at or under limitMs, over 10^6 of them (theorem 3)', () => {
  const random = seededRandom(3);
  for (const [averageMs, limitMs, maxMs, samples] of [
    [60, 250, 500, 80],
    [0, 100, 1_000, 80],
    [0, 300, 300, 1],
    [55, 300, 500, 90],
  ] as const) {
    expect(2 / (samples + 1)).toBeLessThanOrEqual((limitMs - averageMs) / (maxMs - averageMs));
    const timeout = dynamicTimeout({ averageMs, limitMs, maxMs, samples });
    let highest = 0;
    for (let i = 0; i < 250_000; i++) {
      // Mostly right under the limit, the worst that an answered call can do.
      timeout.record(timeout.timeoutMs() * (random() < 0.9 ? 1 : random()));
      highest = Math.max(highest, timeout.snapshot().emaMs);
    }
    expect(highest).toBeLessThanOrEqual(limitMs * (1 + 1e-9));
  }
});

describe('a call', () => {
  const setUp = (options = {}) => {
    const clock = manualClock();
    const events: ResilienceEvent[] = [];
    const timeout = dynamicTimeout({
      limitMs: 100,
      maxMs: 200,
      clock,
      observer: (event) => events.push(event),
      ...options,
    });
    return { clock, events, timeout, guarded: pipeline(timeout) };
  };
  const later = (clock: ReturnType<typeof manualClock>, ms: number, end: () => unknown = () => 'late') =>
    new Promise((resolve, reject) =>
      clock.setTimer(() => {
        try {
          resolve(end());
        } catch (error) {
          reject(error);
        }
      }, ms),
    );

  it('that is too slow is aborted and rejects with a TimeoutError, which counts as maxMs', async () => {
    const { clock, events, timeout, guarded } = setUp();
    let signal: AbortSignal | undefined;
    const call = guarded.execute((ctx) => {
      signal = ctx.signal;
      return later(clock, 201);
    });
    const caught = call.catch((error: unknown) => error);
    await clock.advance(199.9);
    expect(signal?.aborted).toBe(false);
    await clock.advance(0.1);
    const error = await caught;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(isTimeout(error)).toBe(true);
    expect(error).toMatchObject({
      code: 'EVENKEEL_TIMEOUT',
      timeoutMs: 200,
      policy: 'dynamicTimeout',
      name: 'TimeoutError',
    });
    expect((error as Error).message).toBe('dynamicTimeout gave up after 200 ms');
    expect(signal?.reason).toBe(error);
    expect(timeout.snapshot().emaMs).toBeCloseTo((200 * 2) / 81, 9);
    expect(events).toEqual([{ type: 'timed_out', policy: 'dynamicTimeout', at: 200, timeoutMs: 200 }]);
    await clock.advance(100);
    expect(clock.waiting).toBe(0);
    expect(timeout.snapshot().emaMs).toBeCloseTo((200 * 2) / 81, 9);
  });

  it('that is given up after less than maxMs counts as maxMs all the same', async () => {
    const { clock, timeout, guarded } = setUp({ seedMs: 100 });
    const caught = guarded.execute(() => new Promise(() => {})).catch((error: unknown) => error);
    await clock.advance(100);
    expect(await caught).toMatchObject({ timeoutMs: 100 });
    expect(timeout.snapshot().emaMs).toBeCloseTo((200 * 2) / 81 + (100 * 79) / 81, 9);
  });

  it('whose late failure nobody waits for leaves no unhandled rejection', async () => {
    const { clock, guarded } = setUp();
    const caught = guarded
      .execute(() =>
        later(clock, 300, () => {
          throw new Error('late');
        }),
      )
      .catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(isTimeout(await caught)).toBe(true);
  });

  it('that answers in time counts with its response time, a failure too, and leaves no timer', async () => {
    const { clock, timeout, guarded } = setUp({ seedMs: 50 });
    const answered = guarded.execute(() => later(clock, 81, () => 'in time'));
    await clock.advance(81);
    await expect(answered).resolves.toBe('in time');
    expect(timeout.snapshot().emaMs).toBeCloseTo((81 * 2) / 81 + (50 * 79) / 81, 9);
    const failed = guarded
      .execute(() =>
        later(clock, 10, () => {
          throw new Error('no');
        }),
      )
      .catch((error: unknown) => error);
    await clock.advance(10);
    expect(await failed).toEqual(new Error('no'));
    expect(timeout.snapshot().emaMs).toBeLessThan(50.8);
    expect(clock.waiting).toBe(0);
  });

  it('that answers in no time counts as 0 ms', async () => {
    const { timeout, guarded } = setUp({ seedMs: 81 });
    await guarded.execute(() => 1);
    expect(timeout.snapshot().emaMs).toBeCloseTo(79, 9);
  });

  it('that has ended, however it did, no longer listens to its caller', async () => {
    const { clock, guarded } = setUp();
    const listening = new Set<() => void>();
    class Caller extends AbortScope {
      override add(listener: () => void): void {
        listening.add(listener);
        super.add(listener);
      }
      override remove(listener: () => void): void {
        listening.delete(listener);
        super.remove(listener);
      }
    }
    const signal = new Caller();
    const failing = () => Promise.reject(new Error('no'));
    for (const fn of [() => 1, failing, () => new Promise(() => {})]) {
      const call = guarded.execute(fn, { signal }).catch(() => {});
      expect(listening.size).toBeGreaterThan(0);
      await clock.advance(200);
      await call;
      expect(listening.size).toBe(0);
    }
  });

  it('that throws before its first await still leaves no timer', async () => {
    const { clock, guarded, timeout } = setUp();
    await expect(
      guarded.execute(() => {
        throw new Error('at once');
      }),
    ).rejects.toThrow('at once');
    await expect(
      timeout.run({ clock, startedAt: 0 } as never, () => {
        throw new Error('by hand');
      }),
    ).rejects.toThrow();
    expect(clock.waiting).toBe(0);
  });

  it("that its caller aborts rejects with the caller's reason, is no time-out and does not count", async () => {
    const { clock, events, timeout, guarded } = setUp({ seedMs: 50 });
    const controller = new AbortController();
    let inner: AbortSignal | undefined;
    const caught = guarded
      .execute(
        (ctx) => {
          inner = ctx.signal;
          return new Promise(() => {});
        },
        { signal: controller.signal },
      )
      .catch((error: unknown) => error);
    await clock.advance(10);
    controller.abort('enough');
    expect(await caught).toBe('enough');
    expect(inner?.reason).toBe('enough');
    await clock.advance(1_000);
    expect(events).toEqual([]);
    expect(timeout.snapshot().emaMs).toBe(50);
    expect(clock.waiting).toBe(0);
  });

  it('that its caller has aborted before it gets here is not made', async () => {
    const { clock, timeout } = setUp();
    const caller = new AbortController();
    const slow: Policy = {
      name: 'slow',
      run: async (ctx, next) => {
        caller.abort('gave up');
        return next(ctx);
      },
    };
    let calls = 0;
    const call = pipeline(slow, timeout).execute(() => calls++, { signal: caller.signal });
    await expect(call).rejects.toBe('gave up');
    expect([calls, clock.waiting, timeout.snapshot().emaMs]).toEqual([0, 0, 0]);
  });

  it('that has been answered does not time out, though the clock forgets no timer', async () => {
    const clock = manualClock();
    const forgetful = {
      now: () => clock.now(),
      setTimer: (fn: () => void, ms: number) => clock.setTimer(fn, ms),
      clearTimer() {},
    };
    const { events, timeout, guarded } = setUp({ clock: forgetful });
    expect(await guarded.execute(() => 'quick')).toBe('quick');
    await clock.advance(500);
    expect(events).toEqual([]);
    expect(timeout.snapshot().emaMs).toBe(0);
  });

  it('times out when it is due, though the timer of the call before comes first', async () => {
    const clock = manualClock();
    const forgetful = {
      now: () => clock.now(),
      setTimer: (fn: () => void, ms: number) => clock.setTimer(fn, ms),
      clearTimer() {},
    };
    const guarded = pipeline(dynamicTimeout({ limitMs: 300, maxMs: 300, clock: forgetful }));
    await guarded.execute(() => 'quick');
    await clock.advance(200);
    const endedAt = guarded.execute(() => new Promise(() => {})).catch(() => clock.now());
    await clock.advance(600);
    expect(await endedAt).toBe(500);
  });

  it('aborts its signal first on a time-out, and tells the gates outside then, at the same instant', async () => {
    const clock = manualClock();
    const order: string[] = [];
    const observed = circuitBreaker({
      clock,
      classify: () => {
        order.push(`breaker at ${clock.now()}`);
        return 'dropped';
      },
    });
    const again = retry({ clock, window: [], maxRetries: 0, name: 'around' });
    const guarded = pipeline(again, observed, dynamicTimeout({ limitMs: 300, maxMs: 300, clock }));
    const call = guarded.execute((ctx) => {
      ctx.signal.addEventListener('abort', () => order.push('signal'));
      return new Promise(() => {});
    });
    call.catch(() => order.push('caller'));
    await clock.advance(300);
    expect(order).toEqual(['signal', 'breaker at 300', 'caller']);
    expect(clock.waiting).toBe(0);
  });

  it('that its caller aborts because it times out ends once, by the caller’s reason', async () => {
    const caller = new AbortController();
    const { clock, guarded } = setUp({ observer: () => caller.abort('told') });
    const call = guarded.execute(() => new Promise(() => {}), { signal: caller.signal }).catch((error) => error);
    await clock.advance(300);
    expect(await call).toBe('told');
    expect(clock.waiting).toBe(0);
  });

  it('that a policy further in refuses does not count', async () => {
    const { guarded, timeout } = setUp({ seedMs: 50 });
    const refusal = new RejectedError({ policy: 'p', reason: 'rate_limited', retryAfterMs: 1 });
    await expect(guarded.execute(() => Promise.reject(refusal))).rejects.toBe(refusal);
    expect(timeout.snapshot().emaMs).toBe(50);
  });

  it('is judged by classify, whose own error reaches the caller', async () => {
    const { guarded, timeout, clock } = setUp({
      classify: (outcome: { ok: boolean }) => (outcome.ok ? 'dropped' : 'oops'),
    });
    await guarded.execute(() => 1);
    expect(timeout.snapshot().emaMs).toBeCloseTo((200 * 2) / 81, 9);
    await expect(guarded.execute(() => Promise.reject(new Error('x')))).rejects.toThrow(
      /classify must return .* got oops/,
    );
    expect(clock.waiting).toBe(0);
  });

  it('within another time limit: the shorter one fires and both let go', async () => {
    const clock = manualClock();
    const outer = dynamicTimeout({ limitMs: 50, maxMs: 50, clock });
    const inner = dynamicTimeout({ limitMs: 100, maxMs: 100, clock });
    const caught = pipeline(outer, inner)
      .execute(() => new Promise(() => {}))
      .catch((error: unknown) => error);
    await clock.advance(50);
    expect(await caught).toMatchObject({ timeoutMs: 50, policy: 'dynamicTimeout' });
    expect(clock.waiting).toBe(0);
    // Given up from outside, it tells nothing about the 100 ms.
    expect(inner.snapshot().emaMs).toBe(0);
  });
});

it('update changes the limits at once, keeps the average, and is all or nothing', () => {
  const timeout = dynamicTimeout({ limitMs: 100, maxMs: 200, seedMs: 100 });
  timeout.update({ limitMs: 150 });
  expect(timeout.snapshot()).toEqual({ emaMs: 100, timeoutMs: 150 + (50 / 150) * 50 });
  expect(() => timeout.update({ limitMs: 50, maxMs: 20 })).toThrow(
    'maxMs must be a finite number ≥ 50 and ≤ 2147483647, got 20',
  );
  expect(() => timeout.update({ samples: 3 } as never)).toThrow('unknown option samples');
  expect(timeout.snapshot().timeoutMs).toBe(150 + (50 / 150) * 50);
});
