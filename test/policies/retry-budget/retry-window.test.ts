import { type ResilienceEvent, type RetryWindow, type RetryWindowOptions, retryWindow } from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

function setUp(options: RetryWindowOptions = {}) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const window = retryWindow({ clock, observer: (event) => events.push(event), ...options });
  return { clock, events, window };
}

interface Period {
  requests: number;
  /** How many want to retry. */
  wanted: number;
  /** How many of those that are allowed fail. */
  bad: number;
}

/** Plays one period, each retry answered in it, and gives how many were allowed. */
function play(window: RetryWindow, clock: ManualClock, { requests, wanted, bad }: Period): number {
  for (let i = 0; i < requests; i++) window.onRequest();
  let allowed = 0;
  for (let i = 0; i < wanted; i++) if (window.tryRetry()) allowed++;
  for (let i = 0; i < allowed; i++) window.onRetryDone(i >= bad);
  clock.jump(1_000);
  return allowed;
}

const period = fc.record({ requests: fc.nat(2_000), wanted: fc.nat(300), bad: fc.oneof(fc.constant(0), fc.nat(8)) });

describe('the series', () => {
  it('is that of the article, whatever happens', () => {
    fc.assert(
      fc.property(
        fc.array(period, { maxLength: 60 }),
        fc.constantFrom('halve' as const, 'reset' as const),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (periods, backoff, successRatio, growthRatio) => {
          const { clock, window } = setUp({ backoff, successRatio, growthRatio });
          let f = 1;
          let sent = 0;
          let most = 0;
          for (const one of periods) {
            most += Math.floor(f);
            const g = play(window, clock, one);
            sent += g;
            const s = (g - Math.min(g, one.bad)) / g;
            const before = f;
            if (s < successRatio) f = backoff === 'halve' ? Math.max(1, f / 2) : 1;
            else if (g > 0 && g >= Math.floor(f)) f += Math.max(Math.min(growthRatio * one.requests, f), 1);
            expect(window.snapshot()).toEqual({ window: f, used: 0, successRatio: 1 });
            expect(g).toBe(Math.min(one.wanted, Math.floor(before)));
            // The invariants, in their own words.
            expect(f).toBeGreaterThanOrEqual(1);
            expect(f).toBeLessThanOrEqual(before + Math.max(before, 1));
            if (backoff === 'halve') expect(f).toBeGreaterThanOrEqual(before / 2);
            if (s < successRatio) expect(f).toBeLessThanOrEqual(before);
            else if (g < Math.floor(before)) expect(f).toBe(before);
          }
          expect(sent).toBeLessThanOrEqual(most);
        },
      ),
    );
  });

  it('grows faster the more requests there are', () => {
    fc.assert(
      fc.property(fc.array(period, { maxLength: 30 }), fc.nat(3_000), (periods, more) => {
        const less = setUp();
        const other = setUp();
        for (const one of periods.map((given) => ({ ...given, wanted: 10_000, bad: 0 }))) {
          play(less.window, less.clock, one);
          play(other.window, other.clock, { ...one, requests: one.requests + more });
          expect(other.window.snapshot().window).toBeGreaterThanOrEqual(less.window.snapshot().window);
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    [1_000, 103],
    [10_000, 106],
  ])('from 1 to %i with as many requests a period takes %i periods', (requests, periods) => {
    const { clock, window } = setUp();
    let taken = 0;
    for (; window.snapshot().window < requests; taken++) play(window, clock, { requests, wanted: requests, bad: 0 });
    expect(taken).toBe(periods);
  });

  it('from 1,000 to 1 takes 10 failing periods, or one with reset', () => {
    for (const [backoff, periods] of [
      ['halve', 10],
      ['reset', 1],
    ] as const) {
      const { clock, window } = setUp({ backoff });
      while (window.snapshot().window < 1_000) play(window, clock, { requests: 1e6, wanted: 2_000, bad: 0 });
      let taken = 0;
      for (; window.snapshot().window > 1; taken++) play(window, clock, { requests: 0, wanted: 1, bad: 1 });
      expect(taken).toBe(periods);
    }
  });

  it('backs off at one failure of 49 retries, and not at one of 50', () => {
    for (const [wanted, backsOff] of [
      [49, true],
      [50, false],
    ] as const) {
      const { clock, window } = setUp();
      while (window.snapshot().window < 60) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
      const before = window.snapshot().window;
      play(window, clock, { requests: 1_000, wanted, bad: 1 });
      expect(window.snapshot().window).toBe(backsOff ? before / 2 : before);
    }
  });
});

describe('a period', () => {
  it('without retries holds, and so do a thousand', () => {
    const { clock, events, window } = setUp();
    for (let i = 0; i < 5; i++) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
    const before = window.snapshot();
    clock.jump(1_000_000);
    expect(window.snapshot()).toEqual(before);
    play(window, clock, { requests: 1_000, wanted: 0, bad: 0 });
    expect(window.snapshot()).toEqual(before);
    expect(events).toHaveLength(5);
  });

  it('that ended long ago counts once', () => {
    const { clock, window } = setUp();
    expect(window.tryRetry()).toBe(true);
    window.onRetryDone(true);
    clock.jump(1e9);
    expect(window.snapshot().window).toBe(2);
  });

  it('does not end while the clock goes back or is none, and allows no more', () => {
    const { clock, window } = setUp();
    clock.jump(10_500);
    expect(window.tryRetry()).toBe(true);
    clock.jump(-9_000);
    expect(window.tryRetry()).toBe(false);
    window.onRequest(Number.NaN);
    expect(window.snapshot()).toEqual({ window: 1, used: 1, successRatio: 1 });
    clock.jump(9_500);
    expect(window.tryRetry()).toBe(true);
  });

  it('may be any length', () => {
    for (const periodMs of [0.1, 7, 1e7]) {
      const { clock, window } = setUp({ periodMs });
      for (let i = 0; i < 20; i++) {
        expect([window.tryRetry(), window.tryRetry()]).toEqual([true, false]);
        clock.jump(periodMs * 1.0001);
      }
    }
  });

  it('takes the time from onRequest where that has it', () => {
    let reads = 0;
    const clock = manualClock();
    const window = retryWindow({
      clock: { ...clock, setTimer: clock.setTimer, clearTimer: clock.clearTimer, now: () => reads++ },
    });
    for (let i = 0; i < 100; i++) window.onRequest(5);
    expect(reads).toBe(0);
  });
});

describe('answers that come late', () => {
  it('count when they come: time-outs back off though their period had no retries', () => {
    const { clock, window } = setUp();
    for (let i = 0; i < 6; i++) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
    const before = window.snapshot().window;
    window.tryRetry();
    clock.jump(5_000);
    window.onRetryDone(false);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(before / 2);
  });

  it('do not let the window outrun them: it grows again once all of a period at its present size have been answered', () => {
    const lagging = 3;
    const { clock, window } = setUp();
    const sizes: number[] = [];
    const inFlight: number[] = [];
    for (let i = 0; i < 40; i++) {
      for (let k = inFlight[i - lagging] ?? 0; k > 0; k--) window.onRetryDone(true);
      for (let k = 0; k < 1_000; k++) window.onRequest();
      inFlight[i] = 0;
      while (window.tryRetry()) (inFlight[i] as number)++;
      sizes.push(window.snapshot().window);
      clock.jump(1_000);
    }
    // After a step, only answers of the former size come in for three periods.
    const steps = sizes.flatMap((size, i) => (i > 0 && size !== sizes[i - 1] ? [i] : []));
    expect(steps.length).toBeGreaterThan(5);
    steps.forEach((at, i) => {
      if (i > 0) expect(at - (steps[i - 1] as number)).toBeGreaterThanOrEqual(lagging);
    });
  });

  it('that never come do not stop it for ever', () => {
    const { clock, window } = setUp();
    window.tryRetry();
    for (let i = 0; i < 5; i++) play(window, clock, { requests: 0, wanted: 10, bad: 0 });
    expect(window.snapshot().window).toBeGreaterThan(2);
  });

  it('count for the period that they are of, in whatever order: one that hangs holds the window', () => {
    const { clock, window } = setUp();
    for (let i = 0; i < 2; i++) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
    // Four a period are allowed, of which one hangs for three periods and the others are answered at once.
    for (let i = 0; i < 3; i++) {
      const now = clock.now();
      for (let k = 0; k < 1_000; k++) window.onRequest(now);
      for (let k = 0; k < 4; k++) expect(window.tryRetry(now)).toBe(true);
      for (let k = 0; k < 3; k++) window.onRetryDone(true, now);
      expect(window.snapshot().window).toBe(4);
      clock.jump(1_000);
    }
    window.onRetryDone(true, 4_000);
    expect(window.snapshot().window).toBe(4);
    window.onRetryDone(true, 2_000);
    expect(window.snapshot().window).toBe(8);
  });

  it('let it grow when the last of a period has come, if enough of them were good, in whatever periods they came', () => {
    for (const [answers, successRatio, expected] of [
      [[true, true, true, true], 1, 8],
      [[true, true, true, false], 0.75, 8],
      [[true, true, true, false], 0.76, 2],
      [[undefined, undefined, undefined, true], 1, 8],
      [[undefined, undefined, undefined, undefined], 0, 4],
    ] as const) {
      const { clock, window } = setUp({ successRatio });
      for (let i = 0; i < 2; i++) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
      for (let k = 0; k < 1_000; k++) window.onRequest();
      for (let k = 0; k < 4; k++) window.tryRetry();
      const sentAt = clock.now();
      answers.forEach((good, i) => {
        expect(window.snapshot().window).toBe(4);
        clock.jump(1_000);
        // So many good ones of others that no period of its own is bad.
        for (let k = 0; k < 4; k++) if (window.tryRetry()) window.onRetryDone(true, clock.now());
        expect(window.snapshot().window, `before answer ${i}`).toBe(4);
        window.onRetryDone(good, sentAt);
      });
      expect(window.snapshot().window).toBe(expected);
    }
  });

  it('without a time count for the first that still wait', () => {
    const { clock, window } = setUp();
    window.tryRetry();
    clock.jump(1_000);
    window.tryRetry();
    window.onRetryDone(true);
    window.onRetryDone(true);
    expect(window.snapshot().window).toBe(2);
    clock.jump(1_000);
    for (let k = 0; k < 2; k++) expect(window.tryRetry()).toBe(true);
    for (let k = 0; k < 2; k++) window.onRetryDone(true);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(3);
  });

  it('are waited for through a hundred periods, and not one more', () => {
    for (const [periods, atOnce] of [
      [100, 2],
      [101, 1],
    ] as const) {
      const { clock, window } = setUp();
      clock.jump(5_000);
      window.tryRetry();
      clock.jump(periods * 1_000);
      window.tryRetry();
      // Of the first that waits: once that is forgotten, of the one that was just sent, whose period goes on.
      window.onRetryDone(true);
      expect(window.snapshot().window).toBe(atOnce);
      clock.jump(1_000);
      expect(window.snapshot().window).toBe(2);
    }
  });

  it('that are lost hold it for a hundred periods at most', () => {
    const { clock, window } = setUp();
    window.tryRetry(clock.now());
    const grown: number[] = [];
    for (let i = 1; i < 120; i++) {
      clock.jump(1_000);
      const now = clock.now();
      if (window.tryRetry(now)) window.onRetryDone(true, now);
      if (window.snapshot().window > 1) grown.push(i);
    }
    expect(grown[0]).toBeGreaterThan(90);
    expect(grown[0]).toBeLessThan(105);
  });

  it('of a larger window say nothing of the one that it has shrunk to', () => {
    const { clock, window } = setUp();
    for (let i = 0; i < 2; i++) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
    for (let k = 0; k < 4; k++) window.tryRetry(2_000);
    clock.jump(1_000);
    for (let k = 0; k < 4; k++) window.tryRetry(3_000);
    for (let k = 0; k < 4; k++) window.onRetryDone(false, 3_000);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(2);
    for (let k = 0; k < 4; k++) window.onRetryDone(true, 2_000);
    expect(window.snapshot().window).toBe(2);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(2);
  });

  it('that are lost are not waited for after a hundred periods', () => {
    const { clock, window } = setUp();
    window.tryRetry();
    clock.jump(200_000);
    window.tryRetry();
    window.onRetryDone(true);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(2);
  });

  it('with a time that makes no sense are those of the first that wait', () => {
    const { clock, window } = setUp();
    window.tryRetry();
    window.onRetryDone(true, Number.NaN);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(2);
    // More answers than retries: no matter.
    for (let i = 0; i < 50; i++) window.onRetryDone(true, 0);
    window.onRetryDone(false, 0);
    clock.jump(1_000);
    expect(window.snapshot().window).toBe(2);
  });

  it('of nothing count as nothing', () => {
    const { clock, window } = setUp();
    for (let i = 0; i < 10; i++) {
      expect(window.tryRetry()).toBe(true);
      window.onRetryDone(undefined);
      expect(window.snapshot()).toEqual({ window: 1, used: 1, successRatio: 1 });
      clock.jump(1_000);
    }
    play(window, clock, { requests: 0, wanted: 1, bad: 0 });
    expect(window.snapshot().window).toBe(2);
  });
});

it('needs no observer', () => {
  const clock = manualClock();
  const window = retryWindow({ clock });
  play(window, clock, { requests: 0, wanted: 1, bad: 0 });
  expect(window.snapshot().window).toBe(2);
});

it('tells of growth and back-off, and of nothing else', () => {
  const { clock, events, window } = setUp({ name: 'payments' });
  play(window, clock, { requests: 10, wanted: 1, bad: 1 });
  play(window, clock, { requests: 10, wanted: 1, bad: 0 });
  play(window, clock, { requests: 10, wanted: 1, bad: 0 });
  play(window, clock, { requests: 10, wanted: 2, bad: 1 });
  window.snapshot();
  expect(events).toEqual([
    { type: 'retry_window', policy: 'payments', at: 2_000, window: 2, change: 'grown' },
    { type: 'retry_window', policy: 'payments', at: 4_000, window: 1, change: 'backed_off' },
  ]);
});

it('shows what has been used and answered in this period', () => {
  const { clock, window } = setUp();
  for (let i = 0; i < 4; i++) play(window, clock, { requests: 1_000, wanted: 100, bad: 0 });
  expect([window.canRetry(), window.tryRetry(), window.tryRetry()]).toEqual([true, true, true]);
  window.onRetryDone(true);
  window.onRetryDone(false);
  expect(window.snapshot()).toEqual({ window: 16, used: 2, successRatio: 0.5 });
});
