import { type CircuitBreaker, circuitBreaker, keyed, pipeline, RejectedError, TimeoutError } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { rejectProbability } from '../../../src/policies/circuit-breaker/circuit-breaker.js';

describe('p', () => {
  const counts = fc.tuple(fc.nat(1e6), fc.nat(1e6)).map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const);
  const k = fc.double({ min: 1, max: 10, noNaN: true });

  it('is in [0, 1), and 0 just where requests ≤ k · accepts', () => {
    fc.assert(
      fc.property(counts, k, ([requests, accepts], k) => {
        const p = rejectProbability(requests, accepts, k);
        expect(p).toBeGreaterThanOrEqual(0);
        expect(p).toBeLessThan(1);
        expect(p === 0).toBe(requests <= k * accepts);
      }),
    );
  });

  it('falls with accepts and with k, and rises with requests', () => {
    fc.assert(
      fc.property(counts, k, k, fc.integer({ min: 1, max: 100 }), ([requests, accepts], k, more, n) => {
        const p = rejectProbability(requests, accepts, k);
        expect(rejectProbability(requests + n, accepts, k)).toBeGreaterThanOrEqual(p);
        expect(rejectProbability(requests, accepts + n, k)).toBeLessThanOrEqual(p);
        expect(rejectProbability(requests, accepts, k + more)).toBeLessThanOrEqual(p);
      }),
    );
  });
});

type Step = { afterMs: number; ok: boolean; roll: number };

/** The formula over a list of events kept by hand. */
function byHand(steps: readonly Step[], { k, windowMs, buckets, minRequests }: Record<string, number>): number[] {
  const bucketOf = (at: number): number => Math.floor(at / ((windowMs as number) / (buckets as number)));
  const events: { bucket: number; accepted: boolean }[] = [];
  let at = 0;
  let head = 0;
  return steps.map(({ afterMs, ok, roll }) => {
    at += afterMs;
    head = Math.max(head, bucketOf(at));
    const inWindow = events.filter(({ bucket }) => head - bucket < (buckets as number));
    const requests = inWindow.length;
    const accepts = inWindow.filter(({ accepted }) => accepted).length;
    const p =
      requests < (minRequests as number) ? 0 : Math.max(0, (requests - (k as number) * accepts) / (requests + 1));
    events.push({ bucket: bucketOf(at), accepted: roll >= p && ok });
    return p;
  });
}

const step = fc.record({
  afterMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 50, noNaN: true }), fc.constant(3_000)),
  ok: fc.boolean(),
  roll: fc.double({ min: 0, max: 0.999999, noNaN: true }),
});

describe("recovery: 'sre'", () => {
  it('is the formula, with refusals counted, at every admission', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 300 }),
        fc.record({
          k: fc.double({ min: 1, max: 3, noNaN: true }),
          windowMs: fc.constantFrom(100, 1_000, 999.9),
          buckets: fc.constantFrom(1, 3, 10, 40),
          minRequests: fc.nat(20),
        }),
        (steps, settings) => {
          const clock = manualClock();
          let roll = 0;
          const breaker = circuitBreaker({ ...settings, recovery: 'sre', clock, random: () => roll });
          const expected = byHand(steps, settings);
          steps.forEach((one, i) => {
            clock.jump(one.afterMs);
            roll = one.roll;
            const p = expected[i] as number;
            expect(Math.abs(breaker.snapshot().rejectProbability - p)).toBeLessThan(1e-9);
            const admitted = breaker.tryAcquire();
            expect(admitted).toBe(one.roll >= p);
            if (admitted) breaker.release(one.ok ? 'success' : 'failure', 0);
          });
        },
      ),
    );
  });

  it('admits while p = 0 whatever the random source gives', () => {
    const breaker = circuitBreaker({ recovery: 'sre', random: () => NaN });
    for (let i = 0; i < 100; i++) {
      expect(breaker.tryAcquire({ startedAt: i })).toBe(true);
      breaker.release('success', 0, { startedAt: i });
    }
  });

  it('refuses where the random number is less than p, and only there', () => {
    const admitted = (roll: number) => {
      const breaker = circuitBreaker({ recovery: 'sre', random: () => roll, minRequests: 1 });
      breaker.tryAcquire({ startedAt: 1 });
      breaker.release('failure', 0, { startedAt: 1 });
      return breaker.tryAcquire({ startedAt: 1 });
    };
    expect([0, 0.4999, 0.5, 0.9].map(admitted)).toEqual([false, false, true, true]);
  });

  it('gives the same decisions for the same seed and trace', () => {
    const decisions = (seed: number) => {
      const breaker = circuitBreaker({ recovery: 'sre', random: seededRandom(seed) });
      return Array.from({ length: 500 }, (_, i) => {
        const admitted = breaker.tryAcquire({ startedAt: i });
        if (admitted) breaker.release('failure', 0, { startedAt: i });
        return admitted;
      });
    };
    expect(decisions(7)).toEqual(decisions(7));
    expect(decisions(7)).not.toEqual(decisions(8));
  });

  it('tells until when the window stays as it is', () => {
    const clock = manualClock(100);
    const breaker = circuitBreaker({
      recovery: 'sre',
      clock,
      random: () => 0,
      windowMs: 1_000,
      buckets: 10,
      minRequests: 1,
    });
    breaker.tryAcquire();
    breaker.release('success', 0);
    expect(breaker.retryAfterMs()).toBe(0);
    breaker.tryAcquire();
    breaker.tryAcquire();
    clock.jump(30);
    expect(breaker.tryAcquire()).toBe(false);
    expect(breaker.retryAfterMs()).toBeCloseTo(70, 9);
  });
});

for (const recovery of ['fast', 'sre'] as const)
  describe(`counts, with recovery: '${recovery}'`, () => {
    const failing = (breaker: CircuitBreaker, calls: number): void => {
      for (let i = 0; i < calls; i++) if (breaker.tryAcquire()) breaker.release('failure', 0);
    };

    it('are 0 a window and a bucket after the last call, by reading alone', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery, windowMs: 1_000, buckets: 10 });
      failing(breaker, 100);
      expect(breaker.snapshot()).toMatchObject({ requests: 100, accepts: 0, state: 'throttling' });
      clock.jump(1_100);
      expect(breaker.snapshot()).toEqual({ requests: 0, accepts: 0, rejectProbability: 0, state: 'closed' });
    });

    it('put an accepted call into the bucket in which it was admitted', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery, windowMs: 1_000, buckets: 10 });
      breaker.tryAcquire();
      clock.jump(950);
      breaker.tryAcquire();
      breaker.release('success', 950);
      expect(breaker.snapshot()).toMatchObject({ requests: 2, accepts: 1 });
      clock.jump(60);
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 0 });
      breaker.tryAcquire({ startedAt: 1_010 });
      clock.jump(5_000);
      breaker.release('success', 5_000, { startedAt: 1_010 });
      expect(breaker.snapshot()).toMatchObject({ requests: 0, accepts: 0 });
    });

    it('take a call back that tells nothing of the callee', () => {
      const breaker = circuitBreaker({ recovery });
      breaker.tryAcquire({ startedAt: 1 });
      breaker.release('ignored', 0, { startedAt: 1 });
      expect(breaker.snapshot().requests).toBe(0);
    });

    it('bear a clock that steps back', () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.double({ min: -2_000, max: 2_000, noNaN: true }), fc.boolean())), (steps) => {
          const clock = manualClock(1e6);
          const breaker = circuitBreaker({ clock, recovery, windowMs: 1_000, random: seededRandom(1) });
          for (const [ms, ok] of steps) {
            clock.jump(ms);
            if (breaker.tryAcquire()) breaker.release(ok ? 'success' : 'failure', 0);
            const { requests, accepts, rejectProbability } = breaker.snapshot();
            expect(accepts).toBeGreaterThanOrEqual(0);
            expect(requests).toBeGreaterThanOrEqual(accepts);
            expect(rejectProbability).toBeGreaterThanOrEqual(0);
            expect(rejectProbability).toBeLessThanOrEqual(1);
          }
        }),
      );
    });

    it('refuse nothing below minRequests', () => {
      const breaker = circuitBreaker({ recovery, minRequests: 50, random: () => 0 });
      for (let i = 0; i < 50; i++) {
        expect(breaker.tryAcquire({ startedAt: i })).toBe(true);
        breaker.release('failure', 0, { startedAt: i });
      }
      expect([50, 51].map((startedAt) => breaker.tryAcquire({ startedAt }))).toContain(false);
    });

    it('see a time-out as a failure, and a refusal further in or the caller’s abort as nothing', async () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery });
      const guarded = pipeline(breaker);
      const refusal = new RejectedError({ policy: 'other', reason: 'rate_limited', retryAfterMs: 0 });
      await expect(guarded.execute(() => Promise.reject(refusal))).rejects.toBe(refusal);
      const controller = new AbortController();
      const hanging = guarded.execute(() => new Promise(() => {}), { signal: controller.signal });
      controller.abort(new Error('gone'));
      await expect(hanging).rejects.toThrow('gone');
      expect(breaker.snapshot().requests).toBe(0);
      await expect(guarded.execute(() => Promise.reject(new TimeoutError('t', 5)))).rejects.toThrow(
        't gave up after 5 ms',
      );
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 0 });
    });

    it('in shadow mode refuse nothing and report what would have been refused', () => {
      const clock = manualClock();
      const refused: boolean[] = [];
      const breaker = circuitBreaker({
        clock,
        recovery,
        mode: 'shadow',
        random: () => 0,
        observer: (event) => event.type === 'rejected' && refused.push(event.shadow),
      });
      for (let i = 0; i < 100; i++) {
        expect(breaker.tryAcquire()).toBe(true);
        breaker.release('failure', 0);
      }
      expect(refused.length).toBeGreaterThan(50);
      expect(refused).not.toContain(false);
      expect(breaker.snapshot()).toMatchObject({ requests: 100, state: 'throttling' });
    });

    it('are left alone while the mode is off, also by calls that end after it', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery });
      breaker.tryAcquire();
      breaker.update({ mode: 'off' });
      breaker.release('success', 0, { startedAt: 0 });
      clock.jump(1);
      for (let i = 0; i < 100; i++) expect(breaker.tryAcquire()).toBe(true);
      breaker.release('failure', 0, { startedAt: 1 });
      clock.jump(1);
      breaker.update({ mode: 'enforce' });
      for (let i = 0; i < 100; i++) breaker.release('success', 0, { startedAt: 1 });
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 0 });
      breaker.tryAcquire();
      clock.jump(1);
      breaker.update({ k: 3 });
      breaker.release('success', 0, { startedAt: 2 });
      expect(breaker.snapshot()).toMatchObject({ requests: 2, accepts: 1 });
    });

    it('cost one look at the clock a call', async () => {
      const clock = manualClock();
      const now = vi.spyOn(clock, 'now');
      await pipeline(circuitBreaker({ clock, recovery })).execute(() => 1);
      expect(now).toHaveBeenCalledTimes(1);
    });

    it('go on with a clock that fails, or steps back by less than a window, as of one that stands still', () => {
      const at: number[] = [];
      const breaker = circuitBreaker({
        clock: manualClock(10_000),
        recovery,
        random: () => 0,
        windowMs: 1_000,
        observer: (event) => event.type === 'rejected' && at.push(event.at),
      });
      for (let i = 0; i < 12; i++) {
        breaker.tryAcquire({ startedAt: 10_000 });
        breaker.release('failure', 0, { startedAt: 10_000 });
      }
      at.length = 0;
      for (const startedAt of [10_001, NaN, Infinity, -Infinity, 9_500, 9_001, 10_000, 10_002])
        expect(breaker.tryAcquire({ startedAt })).toBe(false);
      expect(at).toEqual([...Array(7).fill(10_001), 10_002]);
      expect(breaker.snapshot()).toMatchObject({ requests: 20, state: 'throttling' });
    });

    it('start afresh with a clock that is set back by more than a window', () => {
      const states: unknown[] = [];
      const clock = manualClock(10_000);
      const breaker = circuitBreaker({
        clock,
        recovery,
        windowMs: 1_000,
        observer: (event) => event.type === 'circuit_state' && states.push([event.state, event.at]),
      });
      failing(breaker, 20);
      expect(breaker.snapshot()).toMatchObject({ requests: 20, state: 'throttling' });
      states.length = 0;
      clock.jump(-1_001);
      expect(breaker.tryAcquire()).toBe(true);
      expect(breaker.snapshot()).toEqual({ requests: 1, accepts: 0, rejectProbability: 0, state: 'closed' });
      expect(states).toEqual(recovery === 'fast' ? [['closed', 8_999]] : []);
      // Of the calls from before, which seem to be of the future, no more count than there were since.
      for (let i = 0; i < 3; i++) breaker.release('success', 0, { startedAt: 10_000 });
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      for (let i = 0; i < 3; i++) breaker.release('ignored', 0, { startedAt: 10_000 });
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      clock.jump(-2_000);
      breaker.tryAcquire();
      breaker.release('success', 0);
      expect(breaker.snapshot()).toMatchObject({ requests: 1, accepts: 1 });
      expect(states.length).toBeLessThan(2);
    });

    it('survive an update, which is all or nothing', () => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, recovery: 'sre', random: () => 0.5 });
      failing(breaker, 10);
      breaker.update({ k: 3 });
      expect(breaker.snapshot()).toMatchObject({ requests: 10 });
      expect(() => breaker.update({ minRequests: 100, k: 0 })).toThrow('k must be a finite number ≥ 1, got 0');
      expect(breaker.snapshot().rejectProbability).toBeGreaterThan(0);
      breaker.update({ minRequests: 100 });
      expect(breaker.snapshot().rejectProbability).toBe(0);
    });
  });

describe("recovery: 'fast'", () => {
  const end = (breaker: CircuitBreaker, verdict: 'success' | 'failure'): void => {
    if (breaker.tryAcquire()) breaker.release(verdict, 0);
  };

  it('begins when more than k calls have ended for each that succeeded', () => {
    const breaker = circuitBreaker({ clock: manualClock() });
    for (let i = 0; i < 20; i++) end(breaker, i % 2 ? 'failure' : 'success');
    expect(breaker.snapshot()).toMatchObject({ requests: 20, accepts: 10, state: 'closed' });
    end(breaker, 'failure');
    expect(breaker.snapshot()).toMatchObject({ requests: 21, accepts: 10, state: 'throttling' });
  });

  it('does not begin with a call that succeeds', () => {
    const breaker = circuitBreaker({ clock: manualClock(), minRequests: 10 });
    for (let i = 0; i < 9; i++) end(breaker, 'failure');
    end(breaker, 'success');
    expect(breaker.snapshot().state).toBe('closed');
    end(breaker, 'failure');
    expect(breaker.snapshot().state).toBe('throttling');
  });

  it('sends the calls that are in flight when it begins first off what the callee has earned', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock, random: () => 0.999 });
    for (let i = 0; i < 60; i++) breaker.tryAcquire();
    for (let i = 0; i < 10; i++) breaker.release('failure', 0);
    for (let i = 0; i < 30; i++) breaker.release('success', 0);
    clock.jump(400);
    // 58.5 are earned, of which 53.2 are released by now; 50 were in flight.
    const sent = Array.from({ length: 100 }, () => breaker.tryAcquire()).filter(Boolean);
    expect(sent.length).toBe(3);
  });

  it('counts calls that fail after longer than the window', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock, windowMs: 1_000 });
    for (let i = 0; i < 20; i++) breaker.tryAcquire();
    clock.jump(5_000);
    breaker.tryAcquire();
    for (let i = 0; i < 20; i++) breaker.release('failure', 5_000, { startedAt: 0 });
    expect(breaker.snapshot().state).toBe('throttling');
  });

  it('forgets what it counted when the callee is well again', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock });
    const slow = { startedAt: 0 };
    for (let i = 0; i < 10; i++) breaker.tryAcquire(slow);
    for (let i = 0; i < 50; i++) end(breaker, 'failure');
    for (let i = 0; i < 300; i++) {
      clock.jump(10);
      end(breaker, 'success');
    }
    const { requests, accepts, state } = breaker.snapshot();
    expect(state).toBe('closed');
    expect(accepts).toBe(requests);
    expect(requests).toBeLessThan(200);
    // Nor do calls count that began before: neither as accepted, nor to be taken back.
    for (let i = 0; i < 5; i++) breaker.tryAcquire();
    for (const verdict of ['success', 'ignored', 'success', 'ignored'] as const) breaker.release(verdict, 0, slow);
    expect(breaker.snapshot()).toMatchObject({ requests: requests + 5, accepts });
  });

  it.each(['enforce', 'shadow'] as const)('tells its state, when it changes: %s', (mode) => {
    const clock = manualClock();
    const events: unknown[] = [];
    const breaker = circuitBreaker({
      clock,
      mode,
      observer: (event) => event.type === 'circuit_state' && events.push(event),
    });
    expect([breaker.snapshot().state, events]).toEqual(['closed', []]);
    const shadow = mode === 'shadow';
    for (let i = 0; i < 10; i++) {
      breaker.tryAcquire();
      breaker.release('failure', 0);
    }
    expect(events).toEqual([{ type: 'circuit_state', policy: 'circuitBreaker', at: 0, state: 'throttling', shadow }]);
    clock.jump(20_000);
    breaker.tryAcquire();
    expect(events[1]).toEqual({
      type: 'circuit_state',
      policy: 'circuitBreaker',
      at: 20_000,
      state: 'closed',
      shadow,
    });
  });

  it('lets a call through when the time it gave has passed, and not before', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock });
    for (let i = 0; i < 10; i++) {
      breaker.tryAcquire();
      breaker.release('failure', 0);
    }
    for (let i = 0; i < 20; i++) {
      expect(breaker.tryAcquire()).toBe(false);
      const waitMs = breaker.retryAfterMs();
      expect(waitMs).toBeGreaterThan(0);
      clock.jump(waitMs - 0.001);
      expect(breaker.tryAcquire()).toBe(false);
      clock.jump(0.002);
      expect(breaker.tryAcquire()).toBe(true);
      breaker.release('failure', 0);
    }
  });

  it('in shadow mode a call that would have been refused gives nothing back', () => {
    let refused = 0;
    const breaker = circuitBreaker({
      clock: manualClock(),
      mode: 'shadow',
      observer: (event) => event.type === 'rejected' && refused++,
    });
    for (let i = 0; i < 10; i++) end(breaker, 'failure');
    for (let i = 0; i < 20; i++) {
      expect(breaker.tryAcquire({ startedAt: 1 })).toBe(true);
      breaker.release('ignored', 0, { startedAt: 1 });
    }
    expect(refused).toBe(20);
  });

  it.each([
    ['throws', [new Error('broken observer')]],
    ['is not there', []],
  ])('an observer that %s changes nothing for the call', async (_, reported) => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error));
    const breaker = circuitBreaker({
      clock: manualClock(),
      ...(reported.length > 0 && {
        observer: () => {
          throw new Error('broken observer');
        },
      }),
    });
    for (let i = 0; i < 10; i++) {
      breaker.tryAcquire({ startedAt: 1 });
      breaker.release('failure', 0, { startedAt: 1 });
    }
    await new Promise(setImmediate);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(thrown).toEqual(reported);
    expect(breaker.snapshot().state).toBe('throttling');
  });
});

it('a probe that tells nothing is no probe: the next call goes in its place', () => {
  const breaker = circuitBreaker({ clock: manualClock() });
  for (let i = 0; i < 20; i++) {
    if (breaker.tryAcquire({ startedAt: 1 })) breaker.release('failure', 0, { startedAt: 1 });
  }
  let at = 1;
  while (!breaker.tryAcquire({ startedAt: ++at }));
  for (let i = 0; i < 5; i++) {
    breaker.release('ignored', 0, { startedAt: at });
    expect(breaker.tryAcquire({ startedAt: ++at })).toBe(true);
  }
  breaker.release('failure', 0, { startedAt: at });
  expect(breaker.tryAcquire({ startedAt: ++at })).toBe(false);
});

it('keyed: one key’s failures are not another’s', async () => {
  const clock = manualClock();
  const breakers = keyed(() => circuitBreaker({ clock }));
  const guarded = pipeline(breakers);
  for (let i = 0; i < 20; i++) {
    await guarded.tryExecute(() => Promise.reject(new Error('down')), { key: 'a' }).catch(() => {});
  }
  expect(await guarded.tryExecute(() => 1, { key: 'a' })).toMatchObject({
    ok: false,
    rejection: { policy: 'keyed', reason: 'circuit_open' },
  });
  expect(await guarded.tryExecute(() => 1, { key: 'b' })).toEqual({ ok: true, value: 1 });
  expect(breakers.snapshot()).toEqual({ keys: 2 });
});
