import { isRejected, isTimeout, type ResilienceEvent, standard } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

const timeout = { limitMs: 100, maxMs: 200 };
const names = (...given: Parameters<typeof standard>): string[] => standard(...given).policies.map(({ name }) => name);

describe('standard', () => {
  it('is the recommended order, whatever is left out', () => {
    expect(names({ timeout })).toEqual(['concurrencyLimiter', 'retry', 'circuitBreaker', 'dynamicTimeout']);
    expect(names({ timeout, rateLimit: { limit: 1, windowMs: 1_000 } })[0]).toBe('rateLimiter');
    expect(names({ timeout, concurrency: false, retry: false, breaker: false })).toEqual(['dynamicTimeout']);
    const queued = names({ timeout, concurrency: { name: 'queued', queue: { maxSize: 1, maxWaitMs: 1 } } });
    expect(queued[0]).toBe('queued');
  });

  it('gives all of them the same clock, random and observer, and each its own options', async () => {
    const clock = manualClock();
    const events: ResilienceEvent[] = [];
    const guard = standard({
      clock,
      random: seededRandom(1),
      observer: (event) => events.push(event),
      timeout,
      retry: { maxRetries: 2, backoff: () => 10 },
      breaker: { name: 'payments', minRequests: 4 },
    });
    const attempts: number[] = [];
    const hung = guard.execute(({ attempt }) => {
      attempts.push(attempt);
      return new Promise(() => {});
    });
    const outcome = hung.catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(isTimeout(await outcome)).toBe(true);
    expect(attempts).toEqual([0, 1, 2]);
    expect(events.map(({ type }) => type)).toEqual(['timed_out', 'retry', 'timed_out', 'retry', 'timed_out']);
    let refusal: unknown;
    for (let i = 0; i < 20 && !isRejected(refusal); i++) {
      const failed = guard.execute(() => Promise.reject(new Error('down'))).catch((error: unknown) => error);
      await clock.advance(100);
      refusal = await failed;
    }
    expect(refusal).toMatchObject({ reason: 'circuit_open', policy: 'payments' });
    // Of the function that hangs the permit is kept until it is written off.
    expect(clock.waiting).toBe(1);
    await clock.advance(30_000);
    expect(clock.waiting).toBe(0);
  });

  it('refuses bad options in the name of the policy that they are for', () => {
    expect(() => standard({} as never)).toThrow('dynamicTimeout: limitMs must be');
    expect(() => standard({ timeout, retry: { maxRetries: -1 } })).toThrow(
      'retry: maxRetries must be a whole number ≥ 0',
    );
    expect(() => standard({ timeout, retries: {} } as never)).toThrow('standard: unknown option retries');
    expect(() => standard({ timeout, retry: 3 } as never)).toThrow('retry: options must be an object, got 3');
    expect(() => standard({ timeout, breaker: null } as never)).toThrow(
      'circuitBreaker: options must be an object, got null',
    );
    expect(() => standard(1 as never)).toThrow('standard: options must be an object, got 1');
  });
});
