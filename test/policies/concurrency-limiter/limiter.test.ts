/** The gate: when it refuses, what it counts, and what it tells. */
import { concurrencyLimiter, dynamicTimeout, isRejected, isTimeout, pipeline, type ResilienceEvent } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { saturate, steppedClock } from '../../simulation/saturated-callee.js';

/** One that has learnt, from calls of 20 ms one after the other, that two may be in flight. */
function taught(options: Parameters<typeof concurrencyLimiter>[0] = {}) {
  const clock = steppedClock();
  const load = { value: 1 };
  const events: ResilienceEvent[] = [];
  const { queue: _, ...rest } = options;
  const limiter = concurrencyLimiter({
    load: () => load.value,
    observer: (event) => events.push(event),
    ...rest,
    clock,
  });
  for (let i = 0; i < 300; i++) {
    limiter.tryAcquire();
    clock.at += 20;
    limiter.release('success', 20);
  }
  return { clock, limiter, load, events };
}

describe('refusals', () => {
  it('are for calls at the limit, checked before they are counted', () => {
    const { limiter } = taught();
    expect(limiter.snapshot()).toMatchObject({ limit: 2, inflight: 0, limiting: false });
    expect([limiter.tryAcquire(), limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true, false]);
    expect(limiter.snapshot()).toMatchObject({ inflight: 2, limiting: true });
    limiter.release('success', 0);
    expect([limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, false]);
    expect(limiter.reason).toBe('concurrency_limited');
  });

  it('need a load at the threshold, or within the cool-down before', () => {
    const { limiter, load, clock } = taught({ loadThreshold: 0.7, coolDownMs: 500 });
    const fill = (): void => {
      for (let i = 0; i < 2; i++) limiter.tryAcquire();
    };
    clock.at += 1_000;
    load.value = 0.69;
    fill();
    expect(limiter.tryAcquire()).toBe(true);
    load.value = 0.7;
    expect(limiter.tryAcquire()).toBe(false);
    load.value = 0;
    clock.at += 499;
    expect(limiter.tryAcquire()).toBe(false);
    clock.at += 1;
    expect(limiter.tryAcquire()).toBe(true);
  });

  it.each([NaN, -1, undefined as never])('a load of %s is none', (value) => {
    const { limiter, load, clock } = taught({ coolDownMs: 0 });
    clock.at += 1;
    load.value = value;
    for (let i = 0; i < 10; i++) expect(limiter.tryAcquire()).toBe(true);
  });

  it('tell to come back after a response time, and the observer, once', () => {
    const { limiter, events } = taught();
    expect(limiter.retryAfterMs()).toBe(0);
    for (let i = 0; i < 3; i++) limiter.tryAcquire();
    expect(limiter.retryAfterMs()).toBeCloseTo(20, 6);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      type: 'rejected',
      policy: 'concurrencyLimiter',
      reason: 'concurrency_limited',
      shadow: false,
    });
  });

  it('are only told of in shadow mode, and do not happen when it is off', () => {
    const shadow = taught({ mode: 'shadow' });
    for (let i = 0; i < 5; i++) expect(shadow.limiter.tryAcquire()).toBe(true);
    expect(shadow.limiter.snapshot()).toMatchObject({ limit: 2, inflight: 5, limiting: true });
    expect(shadow.events.length).toBeGreaterThanOrEqual(3);
    expect(shadow.events.every((event) => event.type === 'rejected' && event.shadow)).toBe(true);
    const off = taught({ mode: 'off' });
    for (let i = 0; i < 5; i++) expect(off.limiter.tryAcquire()).toBe(true);
    expect([off.limiter.snapshot().limit, off.events]).toEqual([Infinity, []]);
  });

  it('that do not happen in shadow mode do not move the limit', () => {
    const { limiter, clock } = taught({ mode: 'shadow' });
    const limits = new Set<number>();
    for (let i = 0; i < 4_000; i++) {
      clock.at += 1;
      limiter.tryAcquire();
      if (i >= 20) limiter.release('success', 20, { startedAt: clock.at - 20 });
      if (i > 2_000) limits.add(limiter.snapshot().limit);
    }
    // As many as there are, and headroom; no drain, which would hold nothing back.
    expect([...limits]).toEqual([22]);
  });

  it('go by the load of this process unless told, on the clock of the limiter', () => {
    let asked = 0;
    const clock = { ...steppedClock(), now: () => ++asked };
    concurrencyLimiter({ load: () => 1, clock });
    expect(asked).toBe(0);
    concurrencyLimiter({ clock });
    expect(asked).toBe(1);
  });

  it('ask for the load only at the limit', () => {
    let asked = 0;
    const load = () => {
      asked++;
      return 1;
    };
    const { limiter } = taught({ load });
    const before = asked;
    limiter.tryAcquire();
    limiter.tryAcquire();
    expect(asked).toBe(before);
    limiter.tryAcquire();
    expect(asked).toBe(before + 1);
  });
});

it.each([1, 3, 10])('a queue that was there from the start is gone within a window, of %i places', (workers) => {
  const { limiter } = saturate({ workers, serviceMs: 20, serviceTimes: 'constant', windows: 1 });
  expect(limiter.snapshot().minRttMs).toBeCloseTo(20, 0);
});

describe('update', () => {
  it('takes effect at once and keeps what was learnt', () => {
    const { limiter } = taught();
    const { minRttMs } = limiter.snapshot();
    limiter.update({ minLimit: 7 });
    expect(limiter.snapshot()).toMatchObject({ limit: 7, minRttMs });
    limiter.update({ minLimit: 1, maxLimit: 1.5 });
    expect(limiter.snapshot().limit).toBe(1);
    limiter.tryAcquire();
    expect(limiter.tryAcquire()).toBe(false);
    limiter.update({ mode: 'off' });
    expect(limiter.tryAcquire()).toBe(true);
    limiter.update({ mode: 'enforce', maxLimit: 100, loadThreshold: 1, coolDownMs: 0 });
    expect(limiter.tryAcquire()).toBe(false);
  });

  it('is all or nothing', () => {
    const { limiter } = taught();
    for (const options of [
      { minLimit: 5, maxLimit: 4 },
      { minLimit: 5, loadThreshold: 2 },
      { minLimit: 5, coolDownMs: NaN },
    ]) {
      expect(() => limiter.update(options)).toThrow(/^concurrencyLimiter.update: /);
      expect(limiter.snapshot().limit).toBe(2);
    }
    expect(() => limiter.update({ windowMs: 5 } as never)).toThrow('unknown option windowMs');
  });

  it('a maximum holds before there are data', () => {
    const limiter = concurrencyLimiter({ load: () => 1, maxLimit: 3.9, clock: steppedClock() });
    expect([1, 2, 3, 4].map(() => limiter.tryAcquire())).toEqual([true, true, true, false]);
    limiter.update({ maxLimit: 4 });
    expect([limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, false]);
  });

  it('of other settings disturbs no measurement', () => {
    const { limiter, clock } = taught();
    // One place: two calls take twice as long. At a limit of one it looks for how fast that is.
    for (let i = 0; i < 500 && limiter.snapshot().limit > 1; i++) {
      let calls = 0;
      while (limiter.tryAcquire()) calls++;
      clock.at += 20 * calls;
      for (let j = 0; j < calls; j++) limiter.release('success', 20 * calls);
    }
    limiter.update({ coolDownMs: 5 });
    expect(limiter.snapshot().limit).toBe(1);
    const other = concurrencyLimiter({ load: () => 1, clock });
    other.tryAcquire();
    clock.at += 20;
    other.release('success', 20);
    other.update({ coolDownMs: 5 });
    clock.at += 200;
    expect(other.snapshot().minRttMs).toBe(20);
  });

  it('to off ends all measuring, to on begins with the calls from then on', () => {
    const clock = steppedClock();
    const limiter = concurrencyLimiter({ load: () => 1, minLimit: 1, maxLimit: 2, clock });
    for (let i = 0; i < 2; i++) limiter.tryAcquire();
    clock.at = 20;
    limiter.release('success', 20);
    limiter.update({ mode: 'off' });
    for (clock.at = 500; limiter.snapshot().inflight < 3; ) limiter.tryAcquire();
    expect(limiter.snapshot()).toMatchObject({ minRttMs: 0, limiting: false });
    limiter.release('success', 500);
    limiter.release('success', 0);
    expect(limiter.snapshot().minRttMs).toBe(0);
    clock.at = 1_000;
    limiter.update({ mode: 'enforce' });
    clock.at = 1_001;
    expect(limiter.tryAcquire()).toBe(true);
    clock.at = 1_010;
    // Of the time when it was off.
    limiter.release('success', 510);
    limiter.release('success', 9);
    clock.at = 1_200;
    expect(limiter.snapshot().minRttMs).toBe(9);
  });

  it('a call admitted while it was off is not measured, and gives its permit back', () => {
    const { limiter, clock } = taught();
    const { minRttMs } = limiter.snapshot();
    limiter.update({ mode: 'off' });
    limiter.tryAcquire();
    clock.at += 5_000;
    limiter.update({ mode: 'enforce' });
    limiter.release('success', 5_000, { startedAt: clock.at - 5_000 });
    expect(limiter.snapshot()).toMatchObject({ inflight: 0, minRttMs });
  });
});

describe('permits', () => {
  it('come back on success, throw, time-out, abort and refusal further in', async () => {
    const clock = manualClock();
    const random = seededRandom(9);
    const limiter = concurrencyLimiter({ load: () => 1, clock, maxLimit: 40 });
    const guard = pipeline(
      dynamicTimeout({ limitMs: 50, maxMs: 60, clock }),
      limiter,
      dynamicTimeout({ limitMs: 30, maxMs: 40, clock }),
    );
    const outcomes = { ok: 0, refused: 0, timedOut: 0, failed: 0, aborted: 0 };
    const call = async (): Promise<void> => {
      const controller = new AbortController();
      if (random() < 0.2) clock.setTimer(() => controller.abort('gone'), random() * 30);
      const takesMs = random() * 50;
      const fails = random() < 0.2;
      try {
        const result = await guard.tryExecute(
          () =>
            new Promise<void>((resolve, reject) => {
              clock.setTimer(() => (fails ? reject(new Error('callee')) : resolve()), takesMs);
            }),
          { signal: controller.signal },
        );
        if (result.ok) outcomes.ok++;
        else outcomes.refused++;
      } catch (error) {
        if (error === 'gone') outcomes.aborted++;
        else if (isTimeout(error)) outcomes.timedOut++;
        else outcomes.failed++;
      }
    };
    const calls: Promise<void>[] = [];
    for (let i = 0; i < 2_000; i++) {
      calls.push(call());
      if (i % 4 === 0) await clock.advance(1);
    }
    await clock.advance(1_000);
    await Promise.all(calls);
    for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(20);
    expect(limiter.snapshot().inflight).toBe(0);
    expect(clock.waiting).toBe(0);
  });

  it('are not given back twice', () => {
    const limiter = concurrencyLimiter({ clock: steppedClock() });
    limiter.tryAcquire();
    for (let i = 0; i < 3; i++) limiter.release('success', 1);
    expect(limiter.snapshot().inflight).toBe(0);
  });

  it('a refusal is a RejectedError that says who, why and when', async () => {
    const { limiter, clock } = taught();
    const guard = pipeline(limiter);
    const never = new Promise(() => {});
    void guard.execute(() => never);
    void guard.execute(() => never);
    const error = await guard.execute(() => 1).catch((e: unknown) => e);
    expect(isRejected(error)).toBe(true);
    expect(error).toMatchObject({
      policy: 'concurrencyLimiter',
      reason: 'concurrency_limited',
      retryAfterMs: expect.closeTo(20, 6),
    });
    expect(clock.at).toBe(6_000);
  });
});

describe('invariants, for any arrivals, response times, verdicts and clock', () => {
  const call = fc.record({
    afterMs: fc.oneof(
      fc.constant(0),
      fc.double({ min: 0, max: 200, noNaN: true }),
      fc.integer({ min: -30_000, max: 30_000 }),
    ),
    elapsedMs: fc.oneof(
      fc.constantFrom(0, 0.001, 20, NaN, Infinity, -5, 1e300),
      fc.double({ min: 0, max: 500, noNaN: true }),
    ),
    verdict: fc.constantFrom('success', 'success', 'success', 'failure', 'dropped', 'ignored' as const),
    release: fc.integer({ min: 0, max: 3 }),
  });
  const settings = fc.record({
    windowMs: fc.constantFrom(10, 1_000, 10_000, 100_000),
    buckets: fc.constantFrom(1, 10, 100, 10_000),
    minLimit: fc.integer({ min: 1, max: 5 }),
    maxLimit: fc.constantFrom(5, 50, Infinity),
    headroomRatio: fc.constantFrom(0.01, 0.1, 1),
    drainRatio: fc.constantFrom(0.05, 0.15, 0.5),
    precisionRatio: fc.constantFrom(0.01, 0.05, 1),
  });

  it('in flight never above the limit at admission; the limit whole, finite once known, at least 1; all permits back', () => {
    fc.assert(
      fc.property(settings, fc.array(call, { maxLength: 400 }), (options, calls) => {
        const clock = steppedClock();
        const limiter = concurrencyLimiter({ ...options, load: () => 1, clock });
        const open: number[] = [];
        for (const { afterMs, elapsedMs, verdict, release } of calls) {
          clock.at += afterMs;
          const before = limiter.snapshot();
          const admitted = limiter.tryAcquire();
          // With nothing in flight a call is let in, whatever was learnt.
          if (before.inflight === 0) expect(admitted).toBe(true);
          const { limit, inflight, maxQps, minRttMs } = limiter.snapshot();
          expect(inflight).toBe(before.inflight + (admitted ? 1 : 0));
          if (admitted) {
            expect(inflight).toBeLessThanOrEqual(limit);
            open.push(clock.at);
          } else {
            expect(before.inflight).toBeGreaterThanOrEqual(limit);
          }
          expect(limit >= 1 && limit <= options.maxLimit).toBe(true);
          expect(Number.isInteger(limit) || limit === Infinity).toBe(true);
          expect(Number.isFinite(maxQps) && maxQps >= 0 && Number.isFinite(minRttMs) && minRttMs >= 0).toBe(true);
          if (minRttMs > 0) expect(limit).toBeLessThan(Infinity);
          for (let i = 0; i < release && open.length > 0; i++) {
            const startedAt = open.shift() as number;
            limiter.release(verdict, elapsedMs, { startedAt });
          }
        }
        for (const startedAt of open) limiter.release('ignored', 1, { startedAt });
        expect(limiter.snapshot().inflight).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('a load under the threshold, and none within the cool-down before, admits always', () => {
    fc.assert(
      fc.property(settings, fc.array(call, { maxLength: 300 }), (options, calls) => {
        const clock = steppedClock();
        const limiter = concurrencyLimiter({ ...options, load: () => 0.79, clock });
        for (const { afterMs, elapsedMs, verdict, release } of calls) {
          clock.at += afterMs;
          expect(limiter.tryAcquire()).toBe(true);
          if (release > 0) limiter.release(verdict, elapsedMs);
        }
      }),
    );
  });

  it('all rates times c and all response times over c leave the limit as it is', () => {
    const limitsAt = (c: number): number[] => {
      const clock = steppedClock();
      const limiter = concurrencyLimiter({ windowMs: 8_192 / c, buckets: 64, load: () => 1, clock });
      const random = seededRandom(3);
      const limits: number[] = [];
      const ending: { at: number; startedAt: number }[] = [];
      let at = 0;
      for (let i = 0; i < 6_000; i++) {
        at += (random() * 4) / c;
        for (;;) {
          ending.sort((a, b) => a.at - b.at);
          const first = ending[0];
          if (first === undefined || first.at > at) break;
          ending.shift();
          clock.at = first.at;
          limiter.release('success', first.at - first.startedAt, { startedAt: first.startedAt });
        }
        clock.at = at;
        if (limiter.tryAcquire({ startedAt: at })) ending.push({ at: at + (16 + 8 * random()) / c, startedAt: at });
        if (i % 100 === 0) limits.push(limiter.snapshot().limit);
      }
      return limits;
    };
    const reference = limitsAt(1);
    expect(new Set(reference).size).toBeGreaterThan(3);
    // Powers of two: no rounding.
    expect(limitsAt(4)).toEqual(reference);
    expect(limitsAt(64)).toEqual(reference);
    expect(limitsAt(1 / 8)).toEqual(reference);
  });

  it('a clock that is set back an hour does not stop it from learning', () => {
    const { limiter, clock } = taught();
    clock.at -= 3_600_000;
    for (let i = 0; i < 2_000; i++) {
      limiter.tryAcquire();
      limiter.tryAcquire();
      clock.at += 5;
      limiter.release('success', 5);
      limiter.release('success', 5);
    }
    expect(limiter.snapshot().minRttMs).toBeCloseTo(5, 6);
  });
});
