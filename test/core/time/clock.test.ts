import { hostClock, systemClock } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isSystemClock, mayKeepAlive, sameClock, threadOffset, wallTime } from '../../../src/core/time/clock.js';
import { timerAt } from '../../../src/core/time/timers.js';

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

  it('is never early where the host is by 1 ms', () => {
    const at: number[] = [];
    let offset = 0;
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() - offset);
    const start = systemClock.now();
    systemClock.setTimer(() => at.push(systemClock.now() - start), 10.5);
    offset = 1;
    vi.advanceTimersByTime(11);
    expect(at).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(at).toEqual([11]);
  });

  it('waits longer than hosts can, and for ever', () => {
    const fired: string[] = [];
    const month = 31 * 24 * 3_600_000;
    systemClock.setTimer(() => fired.push('month'), month);
    systemClock.setTimer(() => fired.push('never'), Infinity);
    const never = systemClock.setTimerAt?.(() => fired.push('never'), Infinity);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(month - 1);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(2);
    expect(fired).toEqual(['month']);
    systemClock.clearTimer(never);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('runs a timer of the past, or of less than nothing, at once', () => {
    const fired: string[] = [];
    vi.advanceTimersByTime(100);
    systemClock.setTimer(() => fired.push('negative'), -5);
    systemClock.setTimerAt?.(() => fired.push('past'), systemClock.now() - 50);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(['negative', 'past']);
  });

  it('clears timers of its own, those of timerAt, and nothing else', () => {
    const fired: string[] = [];
    const plain = systemClock.setTimerAt?.(() => fired.push('plain'), systemClock.now() + 5);
    const shared = timerAt(systemClock, () => fired.push('shared'), systemClock.now() + 5);
    const other = manualClock().setTimer(() => fired.push('other'), 5);
    for (const timer of [plain, shared, other, undefined, null, 7, {}]) systemClock.clearTimer(timer);
    systemClock.clearTimer(shared);
    vi.advanceTimersByTime(10);
    expect(fired).toEqual([]);
  });

  it('does not hold on to a function that was cleared or called, as the holder of its handle may', () => {
    const cleared = timerAt(systemClock, () => {}, systemClock.now() + 5);
    const called = timerAt(systemClock, () => {}, systemClock.now() + 5);
    expect(Object.values(called as object)).toContainEqual(expect.any(Function));
    systemClock.clearTimer(cleared);
    vi.advanceTimersByTime(10);
    expect(Object.values(cleared as object)).not.toContainEqual(expect.any(Function));
    expect(Object.values(called as object)).not.toContainEqual(expect.any(Function));
  });

  it('another copy clears a timer of timerAt', () => {
    const fired = vi.fn();
    const copy = { ...systemClock };
    copy.clearTimer(timerAt(copy, fired, copy.now() + 5));
    const now = vi.fn();
    timerAt({ ...systemClock, now, setTimer: now, setTimerAt: now }, fired, systemClock.now() + 5);
    vi.advanceTimersByTime(10);
    expect(fired).toHaveBeenCalledOnce();
    expect(now).not.toHaveBeenCalled();
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

it('tells another clock what the timer is for', () => {
  const clock = { now: () => 100, setTimer: vi.fn(), clearTimer: vi.fn() };
  const fn = (): void => {};
  timerAt(clock, fn, 130);
  timerAt(clock, fn, 130, true);
  timerAt(clock, fn, 130, false);
  const setTimerAt = vi.fn();
  timerAt({ ...clock, setTimerAt }, fn, 130, false);
  expect(clock.setTimer.mock.calls.map(([, ...rest]) => rest)).toEqual([
    [30, undefined],
    [30, undefined],
    [30, { keepAlive: false }],
  ]);
  expect(setTimerAt).toHaveBeenCalledWith(fn, 130, { keepAlive: false });
});

describe('what keeps the process alive', () => {
  /** Of the host's timers that are made in `run`. */
  function held(run: () => void): boolean[] {
    const refs: boolean[] = [];
    const real = setTimeout;
    vi.stubGlobal('setTimeout', (fn: () => void, ms: number) => {
      const timer = real(fn, ms);
      const place = refs.push(true) - 1;
      const { unref } = timer;
      timer.unref = () => {
        refs[place] = false;
        return unref.call(timer);
      };
      return timer;
    });
    try {
      run();
    } finally {
      vi.unstubAllGlobals();
    }
    return refs;
  }

  const fn = (): void => {};

  it.each([
    ['systemClock', systemClock, [true, true, true, false, false]],
    ['hostClock()', hostClock(), [true, true, true, false, false]],
    ['hostClock({ keepAlive: true })', hostClock({ keepAlive: true }), [true, true, true, false, false]],
    ['hostClock({ keepAlive: undefined })', hostClock({ keepAlive: undefined }), [true, true, true, false, false]],
    ['hostClock({ keepAlive: false })', hostClock({ keepAlive: false }), [false, false, false, false, false]],
  ])('%s: its timers, but for those that only tidy up', (_, clock, expected) => {
    const timers: unknown[] = [];
    const result = held(() => {
      timers.push(clock.setTimer(fn, 1_000));
      timers.push(clock.setTimer(fn, 1_000, { keepAlive: undefined }));
      timers.push(clock.setTimerAt?.(fn, clock.now() + 1_000, {}));
      timers.push(clock.setTimer(fn, 1_000, { keepAlive: false }));
      timers.push(clock.setTimerAt?.(fn, clock.now() + 1_000, { keepAlive: false }));
    });
    for (const timer of timers) clock.clearTimer(timer);
    expect(result).toEqual(expected);
  });

  it('timerAt: those of a clock that may, but for those that only tidy up', () => {
    const quiet = hostClock({ keepAlive: false });
    const dueMs = systemClock.now() + 1_000;
    // Each arms the host anew, as it is due sooner.
    const timers: unknown[] = [];
    const each: [typeof quiet, boolean | undefined][] = [
      [quiet, undefined],
      [systemClock, false],
      [systemClock, undefined],
    ];
    const result = each.map(([clock, keepAlive], i) =>
      held(() => timers.push(timerAt(clock, fn, dueMs - 100 * i, keepAlive))),
    );
    for (const timer of timers) systemClock.clearTimer(timer);
    expect(result).toEqual([[false], [false], [true]]);
  });

  it('hostClock checks its options', () => {
    expect(() => hostClock({ keepAlive: 1 } as never)).toThrow('hostClock: keepAlive must be true or false, got 1');
    expect(() => hostClock({ keepalive: true } as never)).toThrow('hostClock: unknown option');
    expect(() => hostClock(7 as never)).toThrow('hostClock: options must be an object, got 7');
  });
});

it('a clock with setTimerAt is not read first', () => {
  const clock = { now: vi.fn(), setTimer: vi.fn(), setTimerAt: vi.fn(() => 'timer'), clearTimer: vi.fn() };
  const fn = (): void => {};
  expect(timerAt(clock, fn, 130)).toBe('timer');
  expect(clock.setTimerAt).toHaveBeenCalledWith(fn, 130, undefined);
  expect(clock.now).not.toHaveBeenCalled();
  expect(clock.setTimer).not.toHaveBeenCalled();
});

it('the system clocks of two copies of the library are one clock, two manual ones are not', () => {
  const other = { ...systemClock };
  expect([sameClock(systemClock, other), sameClock(systemClock, systemClock)]).toEqual([true, true]);
  const quiet = hostClock({ keepAlive: false });
  expect([sameClock(systemClock, quiet), sameClock(quiet, hostClock())]).toEqual([true, true]);
  const manual = manualClock();
  expect([systemClock, other, quiet, manual].map(isSystemClock)).toEqual([true, true, true, false]);
  expect([systemClock, other, quiet, hostClock(), manual].map(mayKeepAlive)).toEqual([true, true, false, true, true]);
  expect([sameClock(manual, manual), sameClock(manual, manualClock())]).toEqual([true, false]);
  expect([sameClock(systemClock, manual), sameClock(manual, systemClock)]).toEqual([false, false]);
});

it('reads the fake `performance` of fake timers, and the host’s own again after them', () => {
  const before = systemClock.now();
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
  const start = systemClock.now();
  vi.advanceTimersByTime(1e9);
  const passed = systemClock.now() - start;
  vi.useRealTimers();
  expect(passed).toBe(1e9);
  expect(systemClock.now() - before).toBeLessThan(1e8);
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
