import { systemClock } from 'evenkeel';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

describe('systemClock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('reads the host’s monotonic clock', () => {
    const start = systemClock.now();
    vi.advanceTimersByTime(1_234);
    expect(systemClock.now() - start).toBeCloseTo(1_234, 6);
  });

  it('runs a timer after its time, on the host’s timers, and forgets one that is cleared', () => {
    const fired: string[] = [];
    systemClock.setTimer(() => fired.push('kept'), 10);
    systemClock.clearTimer(systemClock.setTimer(() => fired.push('cleared'), 5));
    vi.advanceTimersByTime(9);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(2);
    expect(fired).toEqual(['kept']);
    expect(vi.getTimerCount()).toBe(0);
  });
});
