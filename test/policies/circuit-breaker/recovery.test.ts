import { type Clock, circuitBreaker } from 'evenkeel';
import { describe, expect, it } from 'vitest';
import { limitedTo, longestGap, mostInASecond, offer, outage, refusedRatio } from '../../simulation/callee.js';

const fast = (clock: Clock, random: () => number) => circuitBreaker({ clock, random });
const sre = (clock: Clock, random: () => number) => circuitBreaker({ clock, random, recovery: 'sre' });

const ARRIVALS = ['constant', 'poisson'] as const;
const SECOND = 1_000;

describe('a total outage', () => {
  for (const perSecond of [100, 300, 1_000])
    for (const arrivals of ARRIVALS)
      for (const latencyMs of [0, 20, 200])
        it(`of ${perSecond}/s, ${arrivals}, ${latencyMs} ms: one or two calls a second get through`, () => {
          for (const seed of [1, 2, 3]) {
            const from = 15 * SECOND;
            const calls = offer(fast, {
              durationMs: 60 * SECOND,
              perSecond,
              arrivals,
              latencyMs,
              seed,
              callee: outage(from, Infinity),
            });
            const afterTwoWindows = from + 20 * SECOND;
            expect(mostInASecond(calls, afterTwoWindows)).toBeLessThanOrEqual(2);
            expect(longestGap(calls, afterTwoWindows, 59 * SECOND)).toBeLessThan(SECOND);
          }
        });

  it('the bare formula lets a second pass without a probe', () => {
    const calls = offer(sre, {
      durationMs: 60 * SECOND,
      perSecond: 100,
      arrivals: 'poisson',
      latencyMs: 20,
      seed: 1,
      callee: outage(0, Infinity),
    });
    expect(longestGap(calls, 20 * SECOND, 59 * SECOND)).toBeGreaterThan(SECOND);
  });
});

describe('recovery', () => {
  for (const perSecond of [100, 1_000])
    for (const arrivals of ARRIVALS)
      for (const outageMs of [500, 2_000, 6_000, 12_000, 60_000, 600_000])
        it(`at ${perSecond}/s, ${arrivals}, from ${outageMs / SECOND} s of outage: below 5 % within 3 s`, () => {
          for (const latencyMs of [0, 20, 100]) {
            const from = 15 * SECOND;
            const well = from + outageMs;
            const calls = offer(fast, {
              durationMs: well + 20 * SECOND,
              perSecond,
              arrivals,
              latencyMs,
              seed: latencyMs,
              callee: outage(from, well),
            });
            expect(refusedRatio(calls, well + 3 * SECOND, well + 20 * SECOND)).toBe(0);
            const reported = calls.filter((call) => call.at > well + 3 * SECOND).map((call) => call.rejectProbability);
            expect(Math.max(...reported)).toBeLessThan(0.05);
          }
        });

  it('the bare formula needs more than ten times as long', () => {
    const from = 15 * SECOND;
    const well = from + 60 * SECOND;
    const calls = offer(sre, {
      durationMs: well + 60 * SECOND,
      perSecond: 100,
      arrivals: 'constant',
      latencyMs: 20,
      seed: 1,
      callee: outage(from, well),
    });
    expect(refusedRatio(calls, well + 3 * SECOND, well + 10 * SECOND)).toBeGreaterThan(0.9);
  });
});

describe('a callee that takes C a second', () => {
  const cases = [
    [200, 50],
    [500, 50],
    [500, 100],
    [1_000, 50],
    [1_000, 100],
    [1_000, 250],
    [1_000, 400],
  ] as const;
  for (const [perSecond, capacity] of cases)
    for (const arrivals of ARRIVALS)
      it(`C = ${capacity} of ${perSecond}/s, ${arrivals}: never more than 1.1·k·C in any second, and all it can take`, () => {
        for (const latencyMs of [0, 20])
          for (const seed of [1, 2, 3]) {
            const callee = limitedTo(capacity);
            const calls = offer(fast, { durationMs: 40 * SECOND, perSecond, arrivals, latencyMs, seed, callee });
            expect(mostInASecond(calls)).toBeLessThanOrEqual(1.1 * 2 * capacity);
            const taken = calls.filter((call) => call.taken && call.at > 2 * SECOND).length;
            expect(taken).toBeGreaterThanOrEqual(0.95 * 38 * capacity);
          }
      });

  it('the bare formula sends more', () => {
    const load = { durationMs: 10 * SECOND, perSecond: 1_000, arrivals: 'constant', latencyMs: 0, seed: 1 } as const;
    expect(mostInASecond(offer(sre, { ...load, callee: limitedTo(50) }))).toBeGreaterThan(1.1 * 2 * 50);
  });

  for (const perSecond of [500, 1_000])
    for (const arrivals of ARRIVALS)
      it(`recovering from an outage to a tenth of ${perSecond}/s, ${arrivals}: the same bound`, () => {
        const capacity = perSecond / 10;
        for (const latencyMs of [0, 20, 100])
          for (const outageMs of [6_000, 30_000]) {
            const well = 15 * SECOND + outageMs;
            const callee = outage(15 * SECOND, well, limitedTo(capacity));
            const calls = offer(fast, {
              durationMs: well + 30 * SECOND,
              perSecond,
              arrivals,
              latencyMs,
              seed: outageMs,
              callee,
            });
            expect(mostInASecond(calls, well)).toBeLessThanOrEqual(1.1 * 2 * capacity);
            const taken = calls.filter((call) => call.taken && call.at > well + 3 * SECOND).length;
            expect(taken).toBeGreaterThanOrEqual(0.95 * 27 * capacity);
          }
      });

  it('does not flap where the capacity is the load over k', () => {
    for (const capacity of [450, 490, 505]) {
      const states: string[] = [];
      const observed = (clock: Clock, random: () => number) =>
        circuitBreaker({
          clock,
          random,
          observer: (event) => event.type === 'circuit_state' && states.push(event.state),
        });
      offer(observed, {
        durationMs: 60 * SECOND,
        perSecond: 1_000,
        arrivals: 'poisson',
        latencyMs: 20,
        seed: 1,
        callee: limitedTo(capacity),
      });
      expect(states.length).toBeLessThanOrEqual(1);
    }
  });
});

describe('a healthy callee', () => {
  it('is never refused, whatever the arrivals', () => {
    for (const arrivals of ARRIVALS)
      for (const latencyMs of [0, 50, 5_000]) {
        const calls = offer(fast, {
          durationMs: 30 * SECOND,
          perSecond: 500,
          arrivals,
          latencyMs,
          seed: 1,
          callee: () => true,
        });
        expect(refusedRatio(calls, 0, 30 * SECOND)).toBe(0);
      }
  });

  it('is not refused in a burst of 5,000 calls at once, though none has been answered yet', () => {
    const breaker = circuitBreaker();
    const startedAt = 1;
    for (let i = 0; i < 5_000; i++) expect(breaker.tryAcquire({ startedAt })).toBe(true);
    for (let i = 0; i < 5_000; i++) breaker.release('success', 500, { startedAt });
    expect(breaker.tryAcquire({ startedAt: 501 })).toBe(true);
  });
});

it('a flapping callee is always found well again', () => {
  for (const [upMs, downMs] of [
    [1_000, 1_000],
    [5_000, 5_000],
    [300, 700],
  ] as const) {
    const callee = (at: number) => at > 100 * SECOND || at % (upMs + downMs) < upMs;
    const calls = offer(fast, {
      durationMs: 120 * SECOND,
      perSecond: 300,
      arrivals: 'poisson',
      latencyMs: 5,
      seed: 1,
      callee,
    });
    expect(refusedRatio(calls, 103 * SECOND, 120 * SECOND)).toBe(0);
  }
});
