import { systemClock } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sameClock, threadOffset, timerAt, wallTime } from '../../../src/core/time/clock.js';

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

  it('runs a timer at a moment of its own', () => {
    const fired = vi.fn();
    timerAt(systemClock, fired, systemClock.now() + 10);
    vi.advanceTimersByTime(9);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2);
    expect(fired).toHaveBeenCalledOnce();
  });

  it('has the mark by which all copies and versions of the library know it', () => {
    expect(Reflect.get(systemClock, Symbol.for('evenkeel.systemClock'))).toBe(true);
  });
});

it('a clock without setTimerAt is told how long it is until then', async () => {
  const clock = manualClock(100);
  const { now, setTimer, clearTimer } = clock;
  const plain = { now: now.bind(clock), setTimer: setTimer.bind(clock), clearTimer: clearTimer.bind(clock) };
  const at: number[] = [];
  timerAt(plain, () => at.push(clock.now()), 130);
  await clock.advance(100);
  expect(at).toEqual([130]);
});

it('a clock with setTimerAt is not read first', () => {
  const clock = { now: vi.fn(), setTimer: vi.fn(), setTimerAt: vi.fn(() => 'timer'), clearTimer: vi.fn() };
  const fn = (): void => {};
  expect(timerAt(clock, fn, 130)).toBe('timer');
  expect(clock.setTimerAt).toHaveBeenCalledWith(fn, 130);
  expect(clock.now).not.toHaveBeenCalled();
  expect(clock.setTimer).not.toHaveBeenCalled();
});

it('the system clocks of two copies of the library are one clock, two manual ones are not', () => {
  const other = { ...systemClock };
  expect([sameClock(systemClock, other), sameClock(systemClock, systemClock)]).toEqual([true, true]);
  const manual = manualClock();
  expect([sameClock(manual, manual), sameClock(manual, manualClock())]).toEqual([true, false]);
  expect([sameClock(systemClock, manual), sameClock(manual, systemClock)]).toEqual([false, false]);
});

it('wallTime is the host’s calendar', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_700_000_000_123 });
  try {
    expect(wallTime()).toBe(1_700_000_000_123);
  } finally {
    vi.useRealTimers();
  }
});

describe('threadOffset', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  /** What each try takes, in ms of `performance.now`, while hrtime is `aheadMs` before it at the middle of the try. */
  function host(tookMs: number[], aheadMs: number[]): void {
    const readings = tookMs.flatMap((took, i) => [1_000 * i, 1_000 * i + took]);
    const ticks = tookMs.map((took, i) => BigInt(Math.round((1_000 * i + took / 2 + (aheadMs[i] as number)) * 1e6)));
    vi.spyOn(performance, 'now').mockImplementation(() => readings.shift() as number);
    vi.spyOn(process.hrtime, 'bigint').mockImplementation(() => ticks.shift() as bigint);
  }

  it('is how far hrtime is ahead, by the shortest of the tries', () => {
    host([8, 2, 4, 2, 6], [900, 500, 700, 300, 100]);
    expect(threadOffset(systemClock)).toBe(500);
  });

  it('is a multiple of 1/1024 ms, so that adding it to whole ms and taking it off again changes nothing', () => {
    host([1, 1, 1, 1, 1], [Math.PI * 1e6, 0, 0, 0, 0]);
    const offset = threadOffset(systemClock);
    expect(offset).toBeCloseTo(Math.PI * 1e6, 2);
    expect(offset * 1024).toBe(Math.round(offset * 1024));
    expect(12_345 + offset - offset).toBe(12_345);
  });

  it.each([undefined, {}, { hrtime: {} }])('is the time origin where there is no hrtime: process is %o', (process) => {
    vi.stubGlobal('process', process);
    const offset = threadOffset(systemClock);
    vi.unstubAllGlobals();
    expect(offset).toBeCloseTo(performance.timeOrigin, 2);
  });

  it('is 0 for another clock', () => {
    expect(threadOffset(manualClock(5))).toBe(0);
  });
});
