import {
  type Context,
  type DeadlineOptions,
  deadline,
  isRejected,
  pipeline,
  type ResilienceEvent,
  type Verdict,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const SECOND = 1_000;

/** A gate that has measured `times`, the last of them at 0. */
function measured(times: readonly number[], options: DeadlineOptions) {
  const gate = deadline({ clock: manualClock(), ...options });
  for (const _ of times) expect(gate.tryAcquire({ startedAt: 0, receivedAt: 0 })).toBe(true);
  for (const ms of times) gate.release('success', ms, { startedAt: 0 });
  return gate;
}

/** A call that is let in whatever its age, and ends so. */
function ends(gate: ReturnType<typeof deadline>, verdict: Verdict, ms: number, ctx?: Partial<Context>): void {
  gate.update({ mode: 'shadow' });
  gate.tryAcquire(ctx);
  gate.update({ mode: 'enforce' });
  gate.release(verdict, ms, ctx);
}

/** Whether `gate` takes a call of this age at 500. */
const takes = (gate: ReturnType<typeof deadline>, ageMs: number, deadlineAt?: number): boolean =>
  gate.tryAcquire({
    startedAt: 500,
    receivedAt: 500 - ageMs,
    ...(deadlineAt !== undefined && { deadline: deadlineAt }),
  });

describe('a given margin', () => {
  it('refuses exactly the calls that are older than maxAgeMs less the margin', () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.integer({ min: 1, max: 1_000 }), fc.nat(2_000), (marginMs, more, ageMs) => {
        const gate = deadline({ maxAgeMs: marginMs + more, marginMs, clock: manualClock() });
        expect(takes(gate, ageMs)).toBe(ageMs <= more);
        if (ageMs > more) expect(gate.reason).toBe('too_old');
      }),
    );
  });

  it('refuses exactly the calls with less time left than the margin, or none', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.integer({ min: -500, max: 1_000 }), fc.nat(100), (marginMs, leftMs, ageMs) => {
        const gate = deadline({ marginMs, clock: manualClock() });
        const admitted = leftMs > 0 && leftMs >= marginMs;
        expect(takes(gate, ageMs, 500 + leftMs)).toBe(admitted);
        if (!admitted) expect(gate.reason).toBe('deadline_exceeded');
      }),
    );
  });

  it('takes budgetMs for the deadline of calls that have none, and only of those', () => {
    const gate = deadline({ budgetMs: 300, marginMs: 100, clock: manualClock() });
    expect([takes(gate, 200), takes(gate, 201)]).toEqual([true, false]);
    expect(gate.reason).toBe('deadline_exceeded');
    expect(takes(gate, 400, 600)).toBe(true);
    expect(takes(gate, 0, 599)).toBe(false);
  });

  it('has maxAgeMs hold whatever the deadline, and says so', () => {
    const gate = deadline({ maxAgeMs: 300, budgetMs: 10_000, marginMs: 0, clock: manualClock() });
    expect([takes(gate, 300, 9_000), takes(gate, 301, 9_000)]).toEqual([true, false]);
    expect(gate.reason).toBe('too_old');
    expect([takes(gate, 10, 490), gate.reason]).toEqual([false, 'deadline_exceeded']);
  });

  it('takes an age below 0, from a clock that stepped back, for 0', () => {
    const gate = deadline({ maxAgeMs: 300, budgetMs: 300, marginMs: 299, clock: manualClock() });
    expect(takes(gate, -1e9)).toBe(true);
    const slow = measured([5_000], { maxAgeMs: SECOND });
    expect([takes(slow, -1e9), slow.reason]).toEqual([false, 'too_old']);
    const late = measured([5_000], { budgetMs: SECOND });
    expect([takes(late, -1e9), late.reason]).toEqual([false, 'deadline_exceeded']);
  });

  it('is not measured away: all that are late are refused, for ever', () => {
    const gate = measured([1, 1, 1], { maxAgeMs: 300, marginMs: 200 });
    for (let at = 0; at < 60 * SECOND; at += 500)
      expect(gate.tryAcquire({ startedAt: at, receivedAt: at - 150 })).toBe(false);
  });

  it('must leave some time', () => {
    expect(() => deadline({ maxAgeMs: 300, marginMs: 300 })).toThrow(
      "deadline: marginMs must be a finite number ≥ 0 and < 300 or 'auto', got 300",
    );
    const gate = deadline({ maxAgeMs: 300, marginMs: 200 });
    expect(() => gate.update({ budgetMs: 100 })).toThrow(
      'deadline.update: marginMs must be a finite number ≥ 0 and < 100',
    );
    expect(takes(gate, 90)).toBe(true);
    expect(() => deadline({ marginMs: -1 })).toThrow(
      new RangeError("deadline: marginMs must be a finite number ≥ 0 or 'auto', got -1"),
    );
  });
});

describe('the measured margin', () => {
  it('is 0 before the first answer: then the limits alone hold', () => {
    const gate = deadline({ maxAgeMs: 300, budgetMs: 300, clock: manualClock() });
    expect([takes(gate, 299), takes(gate, 301)]).toEqual([true, false]);
    expect(gate.snapshot()).toEqual({ samples: 0, medianMs: 0, marginMs: 0 });
  });

  it('is what 95 % of the calls stay under', () => {
    const gate = measured([...Array(61).fill(50), 400, 400, 400], { maxAgeMs: SECOND });
    expect(gate.snapshot()).toEqual({ samples: 64, medianMs: 50, marginMs: 50 });
    expect([takes(gate, 950), takes(gate, 951)]).toEqual([true, false]);
  });

  it('takes no more than half of the time for caution', () => {
    const gate = measured([...Array(50).fill(5), ...Array(14).fill(900)], { maxAgeMs: SECOND });
    expect([takes(gate, 500), takes(gate, 501)]).toEqual([true, false]);
    expect(takes(gate, 0, 540)).toBe(true);
  });

  it('but the median, however little time is left then', () => {
    const gate = measured(Array(64).fill(800), { maxAgeMs: SECOND });
    expect([takes(gate, 200), takes(gate, 201)]).toEqual([true, false]);
  });

  it('is not moved by failures, quick or slow', () => {
    const gate = measured(Array(10).fill(50), { maxAgeMs: SECOND });
    const before = gate.snapshot();
    for (const ms of [0, 1, 5_000, 1e9]) for (let i = 0; i < 64; i++) ends(gate, 'failure', ms, { startedAt: 0 });
    expect(gate.snapshot()).toEqual(before);
  });

  it('is not lowered by calls that were given up or refused further in', () => {
    const gate = measured(Array(10).fill(50), { maxAgeMs: SECOND });
    const before = gate.snapshot();
    for (const verdict of ['dropped', 'ignored'] as const)
      for (let i = 0; i < 64; i++) ends(gate, verdict, 49, { startedAt: 0 });
    expect(gate.snapshot()).toEqual(before);
  });

  it('counts a call that was given up after longer as twice its time, but as no more than there was', () => {
    const gate = measured([50], { maxAgeMs: SECOND });
    for (let i = 0; i < 4; i++) ends(gate, 'ignored', 60 * 2 ** i, { startedAt: 0, receivedAt: 0 });
    expect(gate.snapshot()).toEqual({ samples: 5, medianMs: 240, marginMs: 960 });
    ends(gate, 'dropped', 970, { startedAt: 0, receivedAt: 0 });
    expect(gate.snapshot().marginMs).toBe(SECOND);
    ends(gate, 'dropped', 7_000, { startedAt: 0, receivedAt: 0 });
    expect(gate.snapshot().marginMs).toBe(7_000);
  });

  it('of a call that was given up it asks the clock where no context says when it began', () => {
    const gate = deadline({ clock: manualClock(SECOND) });
    ends(gate, 'dropped', 400, { deadline: 1_200 });
    expect(gate.snapshot()).toEqual({ samples: 1, medianMs: 600, marginMs: 600 });
    ends(gate, 'dropped', 700);
    expect(gate.snapshot().marginMs).toBe(1_400);
  });

  it('counts an answer in no time, but not a call that was given up in no time', () => {
    const gate = deadline({ clock: manualClock() });
    ends(gate, 'dropped', 0);
    expect(gate.snapshot().samples).toBe(0);
    for (const ms of [50, 0]) ends(gate, 'success', ms);
    expect(gate.snapshot()).toEqual({ samples: 2, medianMs: 0, marginMs: 50 });
  });

  it('does not refuse fresh calls while less than half of the calls are given up', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 31 }), fc.nat(499), (dropped, ageMs) => {
        const gate = measured(Array(33).fill(20), { maxAgeMs: SECOND });
        for (const one of dropped)
          gate.release(one ? 'dropped' : 'success', one ? 30_000 : 20, { startedAt: 0, receivedAt: 0 });
        expect(takes(gate, ageMs)).toBe(true);
      }),
    );
  });

  it('is not poisoned by a broken clock', () => {
    const gate = measured([50], { maxAgeMs: SECOND });
    for (const ms of [NaN, Infinity, -Infinity, -1]) ends(gate, 'success', ms);
    expect(gate.snapshot()).toEqual({ samples: 1, medianMs: 50, marginMs: 50 });
  });
});

describe('liveness', () => {
  const outcome = fc.record({
    verdict: fc.constantFrom<Verdict>('success', 'failure', 'dropped', 'ignored'),
    elapsedMs: fc.oneof(fc.nat(100), fc.nat(100_000)),
  });

  it('after any history a fresh call gets through within a second, and any call that is not lost within ten', () => {
    fc.assert(
      fc.property(fc.array(outcome, { minLength: 1, maxLength: 100 }), fc.nat(999), (history, ageMs) => {
        const gate = deadline({ maxAgeMs: SECOND, clock: manualClock() });
        let last = 0;
        let longest = 0;
        for (let at = 0, i = 0; at < 60 * SECOND; at += 50) {
          const ctx = { startedAt: at, receivedAt: at - ageMs };
          if (!gate.tryAcquire(ctx)) continue;
          longest = Math.max(longest, at - last);
          last = at;
          const { verdict, elapsedMs } = history[i++ % history.length] as { verdict: Verdict; elapsedMs: number };
          gate.release(verdict, elapsedMs, ctx);
        }
        expect(Math.max(longest, 60 * SECOND - last)).toBeLessThanOrEqual((ageMs <= 500 ? 1 : 10) * SECOND + 50);
      }),
    );
  });

  it('does not let through what is lost already, not even to measure', () => {
    const gate = measured(Array(64).fill(5_000), { maxAgeMs: SECOND });
    for (let at = 0; at < 60 * SECOND; at += 500) {
      expect(gate.tryAcquire({ startedAt: at, receivedAt: at - 1_001 })).toBe(false);
      expect(gate.tryAcquire({ startedAt: at, receivedAt: at, deadline: at })).toBe(false);
    }
  });

  it('one call in time, and what made it impossible is forgotten', () => {
    const gate = measured(Array(64).fill(5_000), { maxAgeMs: SECOND });
    const fresh = (startedAt: number) => ({ startedAt, receivedAt: startedAt });
    expect([gate.tryAcquire(fresh(999)), gate.tryAcquire(fresh(1_000)), gate.tryAcquire(fresh(1_001))]).toEqual([
      false,
      true,
      false,
    ]);
    gate.release('success', 20, fresh(1_000));
    expect(gate.snapshot()).toEqual({ samples: 1, medianMs: 20, marginMs: 20 });
    expect(gate.tryAcquire(fresh(1_020))).toBe(true);
  });

  it('a call with less than half of its time left is let through to measure only after ten seconds', () => {
    const at = (startedAt: number, ageMs: number) => {
      const gate = measured(Array(64).fill(5_000), { maxAgeMs: SECOND });
      return gate.tryAcquire({ startedAt, receivedAt: startedAt - ageMs });
    };
    expect([at(999, 500), at(1_000, 500), at(9_999, 501), at(10_000, 501)]).toEqual([false, true, false, true]);
  });

  it('what shadow mode has measured leaves the first call after it to measure again', () => {
    const gate = deadline({ maxAgeMs: SECOND, mode: 'shadow', clock: manualClock() });
    const old = { startedAt: 5_000, receivedAt: 0 };
    expect([gate.reason, gate.tryAcquire(old)]).toEqual(['too_old', true]);
    gate.release('success', 5_000, old);
    gate.update({ mode: 'enforce' });
    const fresh = { startedAt: 10_000, receivedAt: 10_000 };
    expect([gate.tryAcquire(fresh), gate.tryAcquire(fresh)]).toEqual([true, false]);
  });

  it('a probe that took too long changes nothing', () => {
    const gate = measured(Array(64).fill(5_000), { maxAgeMs: SECOND });
    expect(gate.tryAcquire({ startedAt: 1_000, receivedAt: 1_000 })).toBe(true);
    ends(gate, 'success', 1_001, { startedAt: 1_000 });
    expect(gate.snapshot()).toMatchObject({ samples: 64, medianMs: 5_000 });
    expect(gate.tryAcquire({ startedAt: 1_999, receivedAt: 1_999 })).toBe(false);
  });

  it('a clock that steps back an hour does not silence it for an hour', () => {
    const gate = measured(Array(64).fill(5_000), { maxAgeMs: SECOND });
    const back = -3_600_000;
    expect(gate.tryAcquire({ startedAt: back, receivedAt: back })).toBe(false);
    expect(gate.tryAcquire({ startedAt: back + SECOND, receivedAt: back + SECOND })).toBe(true);
  });
});

describe('as a gate', () => {
  it('gives no advice when to come back, and refuses with its name and reason', async () => {
    const clock = manualClock(5_000);
    const guard = pipeline(deadline({ maxAgeMs: SECOND, clock, name: 'age' }));
    const refused = await guard.tryExecute(() => 1, { receivedAt: 3_000 });
    expect(refused).toEqual({ ok: false, rejection: { policy: 'age', reason: 'too_old', retryAfterMs: 0 } });
    const error = await guard.execute(() => 1, { deadline: 5_000 }).catch((e: unknown) => e);
    expect(isRejected(error) && [error.policy, error.reason, error.retryAfterMs]).toEqual([
      'age',
      'deadline_exceeded',
      0,
    ]);
  });

  it('measures the calls of a pipeline', async () => {
    const clock = manualClock();
    const gate = deadline({ clock });
    const call = pipeline(gate).execute(() => new Promise<void>((resolve) => void clock.setTimer(resolve, 70)));
    await clock.advance(70);
    await call;
    expect(gate.snapshot()).toEqual({ samples: 1, medianMs: 70, marginMs: 70 });
  });

  it('asks its clock where no context says when', () => {
    const clock = manualClock(1_000);
    const gate = deadline({ clock, maxAgeMs: 100 });
    expect([gate.tryAcquire({ receivedAt: 900 }), gate.tryAcquire({ receivedAt: 899 }), gate.tryAcquire()]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('tells its observer; in shadow mode it refuses nothing, and off it does nothing', () => {
    const events: ResilienceEvent[] = [];
    const gate = deadline({ clock: manualClock(), maxAgeMs: 100, observer: (event) => events.push(event) });
    const old = { startedAt: 500, receivedAt: 0 };
    expect(gate.tryAcquire(old)).toBe(false);
    gate.update({ mode: 'shadow' });
    expect(gate.tryAcquire(old)).toBe(true);
    gate.release('success', 30, old);
    expect(gate.snapshot().samples).toBe(1);
    gate.update({ mode: 'off' });
    expect(gate.tryAcquire(old)).toBe(true);
    gate.release('success', 90, old);
    expect(gate.snapshot().samples).toBe(1);
    const told = { type: 'rejected', policy: 'deadline', at: 500, reason: 'too_old', retryAfterMs: 0 };
    expect(events).toEqual([
      { ...told, shadow: false },
      { ...told, shadow: true },
    ]);
  });

  it('update keeps what was measured', () => {
    const gate = measured(Array(5).fill(50), { maxAgeMs: SECOND });
    gate.update({ maxAgeMs: 200 });
    expect([takes(gate, 150), takes(gate, 151)]).toEqual([true, false]);
    gate.update({ marginMs: 120 });
    expect([takes(gate, 80), takes(gate, 81), gate.snapshot().marginMs]).toEqual([true, false, 120]);
    gate.update({ marginMs: 'auto', maxAgeMs: Infinity });
    expect([takes(gate, 1e9), gate.snapshot().marginMs]).toEqual([true, 50]);
  });
});
