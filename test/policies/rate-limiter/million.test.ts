import { keyedRateLimiter } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe('keyedRateLimiter', () => {
  it('counts a million live keys, in at most 48 bytes each, and loses none of them', { timeout: 60_000 }, () => {
    const count = 1_000_000;
    const before = process.memoryUsage().arrayBuffers;
    const clock = manualClock();
    const limiter = keyedRateLimiter({ limit: 2, windowMs: 60_000, maxKeys: count, clock });
    let wrong = 0;
    for (let i = 0; i < count; i++) if (!limiter.tryAcquire({ key: `user ${i}` })) wrong++;
    for (let i = 0; i < count; i++) if (!limiter.tryAcquire({ key: `user ${(i * 7_919) % count}` })) wrong++;
    for (let i = 0; i < count; i++) if (limiter.tryAcquire({ key: `user ${(i * 104_729) % count}` })) wrong++;
    expect(wrong).toBe(0);
    expect(limiter.snapshot().keys).toBe(count);
    expect((process.memoryUsage().arrayBuffers - before) / count).toBeLessThanOrEqual(48);
    // Typed arrays are all that it keeps.
    for (let i = 0; i < count; i++) limiter.tryAcquire({ key: `invented ${i}` });
    expect(limiter.snapshot().keys).toBe(count);
    expect((process.memoryUsage().arrayBuffers - before) / count).toBeLessThanOrEqual(48);
  });
});
