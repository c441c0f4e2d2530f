import { checkpoint, deadline, deadlineFrom, isRejected, pipeline, remainingMs, type Timed } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';

const contextAt = (now: number, deadline: number): Timed => ({ clock: manualClock(now), deadline });

it('what remains is the deadline less the time now, never below 0', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: -1e6, max: 1e6 }), (now, at) => {
      expect(remainingMs(contextAt(now, at))).toBe(Math.max(0, at - now));
    }),
  );
  expect(remainingMs(contextAt(5, Infinity))).toBe(Infinity);
  expect(remainingMs(contextAt(5, -Infinity))).toBe(0);
  // Without a deadline a broken clock stops no work.
  expect(remainingMs({ clock: { ...manualClock(), now: () => NaN }, deadline: Infinity })).toBe(Infinity);
});

it('nothing goes on at a checkpoint with no time left, and everything else does', () => {
  fc.assert(
    fc.property(fc.double({ min: -1e3, max: 1e3, noNaN: true }), (leftMs) => {
      let refused = false;
      try {
        checkpoint(contextAt(0, leftMs));
      } catch (error) {
        refused = isRejected(error);
      }
      expect(refused).toBe(leftMs <= 0);
    }),
  );
  expect(checkpoint(contextAt(0, Infinity))).toBeUndefined();
});

it('throws the refusal of the gate, for the work to stop in the middle', async () => {
  const clock = manualClock(100);
  const gate = deadline({ clock });
  const done: string[] = [];
  const init = deadlineFrom({ 'grpc-timeout': '50m' }, { receivedAt: clock.now() });
  const work = pipeline(gate).execute(async (ctx) => {
    for (const step of ['a', 'b', 'c']) {
      checkpoint(ctx);
      done.push(`${step} ${remainingMs(ctx)}`);
      await new Promise<void>((resolve) => void clock.setTimer(resolve, 30));
    }
  }, init);
  const outcome = work.catch((error: unknown) => error);
  await clock.advance(100);
  const error = await outcome;
  expect(done).toEqual(['a 50', 'b 20']);
  expect(isRejected(error)).toBe(true);
  expect(error).toMatchObject({ policy: 'deadline', reason: 'deadline_exceeded', retryAfterMs: 0 });
  expect(String(error)).toBe('RejectedError: deadline refused the call: deadline_exceeded');
});

it('follows the context of a policy further out that shortens the deadline', async () => {
  const clock = manualClock();
  const left = await pipeline(deadline({ clock })).execute(
    async (ctx) => {
      await Promise.resolve();
      clock.jump(70);
      return remainingMs(ctx);
    },
    { deadline: 100 },
  );
  expect(left).toBe(30);
});
