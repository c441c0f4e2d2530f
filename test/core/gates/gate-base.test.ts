/** What the library's own gates have in common. */
import { type Context, concurrencyLimiter, pipeline, type ResilienceEvent, rateLimiter } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { expect, it, vi } from 'vitest';

const one = (options = {}) => {
  const clock = manualClock(50);
  const limiter = rateLimiter({ limit: 1, windowMs: 100, clock, name: 'one', ...options });
  return { clock, limiter, ctx: { clock, startedAt: 50 } as unknown as Context };
};

it('a refusal is told to the observer, once, with its reason and advice', async () => {
  const events: ResilienceEvent[] = [];
  const { limiter } = one({ observer: (event: ResilienceEvent) => events.push(event) });
  const calls = pipeline(limiter);
  await calls.execute(() => 1);
  expect(events).toEqual([]);
  const { rejection } = (await calls.tryExecute(() => 2)) as { rejection: object };
  expect(events).toEqual([{ type: 'rejected', at: 50, shadow: false, ...rejection }]);
});

it('in shadow mode the observer is told what would be refused, and nothing is', async () => {
  const events: ResilienceEvent[] = [];
  const { limiter } = one({ mode: 'shadow', observer: (event: ResilienceEvent) => events.push(event) });
  const calls = pipeline(limiter);
  expect([await calls.execute(() => 1), await calls.execute(() => 2)]).toEqual([1, 2]);
  expect(events).toMatchObject([{ type: 'rejected', policy: 'one', reason: 'rate_limited', shadow: true }]);
});

it('what an observer throws reaches the host, and not the call', async () => {
  const thrown: unknown[] = [];
  const later = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((fn) => {
    try {
      fn();
    } catch (error) {
      thrown.push(error);
    }
  });
  try {
    const { limiter } = one({
      observer: () => {
        throw new Error('observer');
      },
    });
    await pipeline(limiter).execute(() => 1);
    expect(await pipeline(limiter).tryExecute(() => 2)).toMatchObject({ ok: false });
    expect(thrown).toEqual([new Error('observer')]);
  } finally {
    later.mockRestore();
  }
});

it('a gate may be run by hand, for a context of somebody else’s making', async () => {
  const { limiter, ctx } = one();
  expect(await limiter.run(ctx, async () => 'done')).toBe('done');
  const refused = { policy: 'one', reason: 'rate_limited' };
  await expect(limiter.run(ctx, async () => 'never')).rejects.toMatchObject(refused);
});

it('the signal of such a context ends its wait in a queue', async () => {
  const clock = manualClock();
  const limiter = concurrencyLimiter({
    minLimit: 1,
    maxLimit: 1,
    load: () => 1,
    clock,
    queue: { maxSize: 5, maxWaitMs: 50 },
  });
  const caller = new AbortController();
  let end = (): void => {};
  const first = pipeline(limiter).execute(() => new Promise<void>((resolve) => (end = resolve)));
  const waiting = limiter.run(
    { clock, startedAt: 0, signal: caller.signal } as unknown as Context,
    async () => 'never',
  );
  expect(limiter.snapshot().queued).toBe(1);
  caller.abort('enough');
  await expect(waiting).rejects.toBe('enough');
  expect(limiter.snapshot().queued).toBe(0);
  end();
  await first;
  expect(clock.waiting).toBe(0);
});

it('thousands of calls at once each get their own answer, again and again', async () => {
  const clock = manualClock();
  const limiter = concurrencyLimiter({ clock, load: () => 0 });
  const calls = pipeline(limiter);
  for (let round = 0; round < 3; round++) {
    const ends: (() => void)[] = [];
    const answers = Array.from({ length: 3_000 }, (_, i) =>
      calls.execute(() => new Promise<number>((resolve) => ends.push(() => resolve(i)))),
    );
    expect(limiter.snapshot().inflight).toBe(3_000);
    // Not in the order in which they came.
    for (const end of ends.reverse()) end();
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 3_000 }, (_, i) => i));
    expect(limiter.snapshot().inflight).toBe(0);
  }
});
