import { afterEach, describe, expect, it, vi } from 'vitest';
import { AdmissionLog } from '../../../src/policies/rate-limiter/log.js';

afterEach(() => {
  vi.unstubAllGlobals();
});

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
    let numbers = 0;
    class Counted extends Float64Array {
      constructor(length: number) {
        super(length);
        numbers += length;
      }
    }
    vi.stubGlobal('Float64Array', Counted);
    const log = new AdmissionLog(1e9, 0);
    for (let at = 0; at < 64; at++) log.take(at, 1, 64);
    for (let at = 0; at < 64; at += 2) log.refund(at, 1);
    const before = numbers;
    for (let at = 64; at < 96; at++) expect(log.take(at, 1, 64)).toBe(true);
    expect(numbers).toBe(before);
    expect(log.take(100, 1, 64)).toBe(false);
    expect(log.read(100, 64)).toEqual({ used: 64, remaining: 0, resetMs: 1e9 + 1 - 100 });
    // Full of what is counted, it doubles.
    expect(log.take(100, 1, 65)).toBe(true);
    expect(numbers).toBe(before + 2 * 128);
    expect(log.read(100, 65)).toEqual({ used: 65, remaining: 0, resetMs: 1e9 + 1 - 100 });
  });

  it('is as new when all of it is gone, also at times below 0', () => {
    const log = new AdmissionLog(1_000, 0);
    for (let at = -1e6; at < 40 - 1e6; at++) log.take(at, 1, 40);
    for (let i = 0; i < 3; i++) expect(log.read(-9e5, 40)).toEqual({ used: 0, remaining: 40, resetMs: 0 });
  });

  it('gives back what one entry does not hold from the next, and after the newest from the oldest', () => {
    const usedAfter = (at: number, cost: number): number[] => {
      const log = new AdmissionLog(100, 0);
      for (const time of [10, 20, 30, 40]) log.take(time, 2, 10);
      log.refund(at, cost);
      return [40, 110, 120, 130, 140].map((now) => log.read(now, 10).used);
    };
    expect(usedAfter(20, 3)).toEqual([5, 3, 3, 2, 0]);
    expect(usedAfter(31, 3)).toEqual([5, 4, 2, 0, 0]);
    expect(usedAfter(10, 100)).toEqual([0, 0, 0, 0, 0]);
  });
});
