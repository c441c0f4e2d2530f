import { describe, expect, it } from 'vitest';
import { AdmissionLog } from '../../src/rate-limiter/log.js';

describe('AdmissionLog', () => {
  it('says the wait of a call that needs all of the limit, where rounding has left a trace', () => {
    const windowMs = 1_000;
    const buckets = new AdmissionLog(windowMs, windowMs / 50);
    // Counted as ten tenths, which is more than 1, in a bucket of 0.1 + … + 0.1, which is less.
    for (let i = 0; i < 10; i++) expect(buckets.take(100, 0.1, 1)).toBe(true);
    expect(buckets.waitMs(100, 1, 1)).toBe(windowMs);
    expect(buckets.read(100, 1)).toEqual({ used: 1, remaining: 0, resetMs: windowMs });
    expect(buckets.take(100 + windowMs, 1, 1)).toBe(true);
  });

  it('says no longer a wait than is needed where all but a hair of the time is taken away', () => {
    const windowMs = 1_000;
    const log = new AdmissionLog(windowMs, 0);
    expect(log.take(2 ** -33 - windowMs, 1, 1)).toBe(true);
    const waitMs = log.waitMs(0, 1, 1);
    expect(waitMs).toBeLessThan(2 ** -33);
    expect(log.take(waitMs * (1 - 2 ** -52), 1, 1)).toBe(false);
    expect(log.take(waitMs, 1, 1)).toBe(true);
  });

  it('takes no more memory while half of it is given back', () => {
    const count = 2 ** 15;
    const log = new AdmissionLog(1e9, 0);
    for (let at = 0; at < count; at++) log.take(at, 1, count);
    for (let at = 0; at < count; at += 2) log.giveBack(at, 1);
    const before = process.memoryUsage().arrayBuffers;
    for (let at = count; at < count + count / 2; at++) expect(log.take(at, 1, count)).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(250_000);
    expect(log.take(2 * count, 1, count)).toBe(false);
    expect(log.read(2 * count, count)).toEqual({ used: count, remaining: 0, resetMs: 1e9 + 1 - 2 * count });
    // Full of what is counted, it doubles.
    expect(log.take(2 * count, 1, 2 * count)).toBe(true);
    expect(log.read(2 * count, 2 * count)).toMatchObject({ used: count + 1 });
  });
});
