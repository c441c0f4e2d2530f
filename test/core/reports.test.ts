// What testers and attackers found, each by its own test.
import { getEventListeners } from 'node:events';
import { circuitBreaker, dynamicTimeout, keyed, type Policy, pipeline, RejectedError } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { expect, it } from 'vitest';

it('a refusal’s message and stack can be written to, as loggers and wrappers do', () => {
  const error = new RejectedError({ policy: 'p', reason: 'rate_limited', retryAfterMs: 5 });
  error.message = `while paying: ${error.message}`;
  expect(error.message).toBe('while paying: p refused the call: rate_limited, try again in 5 ms');
  expect(error.stack).toBe(`RejectedError: ${error.message}`);
  error.stack = 'mine';
  expect(error.stack).toBe('mine');
});

it('names are told apart even where one looks like a number was added already', () => {
  const named = (name: string): Policy => ({ name, run: (ctx, next) => next(ctx) });
  expect(pipeline(named('a'), named('a'), named('a#2')).describe()).toBe('a\na#2\na#2#2');
});

it('a policy in plain JavaScript that returns no promise leaks nothing', async () => {
  const clock = manualClock();
  const breaker = circuitBreaker({ clock });
  const wrong = { name: 'wrong', run: () => 5 } as unknown as Policy;
  expect(await pipeline(breaker, dynamicTimeout({ limitMs: 1, maxMs: 1, clock }), wrong).execute(() => 1)).toBe(5);
  expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
  expect(clock.waiting).toBe(0);
});

it('one signal for many calls at once has one listener, and none when they are done', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const caller = new AbortController();
  const settle: (() => void)[] = [];
  const calls = Array.from({ length: 100 }, () =>
    pipeline(circuitBreaker()).execute(() => new Promise<void>((resolve) => settle.push(resolve)), {
      signal: caller.signal,
    }),
  );
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(1);
  for (const resolve of settle.slice(0, 50)) resolve();
  await Promise.all(calls.slice(0, 50));
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(1);
  caller.abort('enough');
  for (const call of calls.slice(50)) await expect(call).rejects.toBe('enough');
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  await new Promise(setImmediate);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

it('keyed says so when it is not given gates', () => {
  expect(() => keyed(() => undefined as never).tryAcquire({ key: 'a' })).toThrow('keyed: make must return a gate');
});

it('a call that an inner refusal takes back gives a throttling breaker its right back', () => {
  const clock = manualClock();
  const breaker = circuitBreaker({ clock, random: () => 0.99 });
  const probe = (verdict: 'ignored' | 'failure'): boolean => {
    const admitted = breaker.tryAcquire();
    if (admitted) breaker.release(verdict, 0);
    return admitted;
  };
  for (let i = 0; i < 10; i++) probe('failure');
  clock.jump(2_000);
  expect(probe('ignored')).toBe(true);
  expect(breaker.retryAfterMs()).toBeLessThanOrEqual(100);
});
