import { describe, expect, it } from 'vitest';
import { Throttle } from '../../../src/policies/circuit-breaker/throttle.js';

/** Never draws for a part of a right. */
const cautious = (): Throttle => new Throttle(() => 1);

/** How many of `calls` calls at `now` get through. */
const sent = (throttle: Throttle, now: number, calls: number): number => {
  let count = 0;
  for (let i = 0; i < calls; i++) if (throttle.admit(now)) count++;
  return count;
};

describe('Throttle', () => {
  it('sends 1 + 0.95 (k − 1) calls for each accepted one, spread over the next moments', () => {
    for (const [k, rights] of [
      [2, 195],
      [3, 290],
      [1, 105],
    ] as const) {
      const throttle = cautious();
      throttle.enter(0, 0);
      for (let i = 0; i < 100; i++) throttle.settle(true, 0, k);
      expect(sent(throttle, 0, 500)).toBe(0);
      expect(sent(throttle, 40, 500)).toBe(Math.floor(rights / 2));
      let all = Math.floor(rights / 2);
      for (let now = 41; now < 99; now++) all += sent(throttle, now, 500);
      expect(all).toBeGreaterThan(rights * 0.75);
      expect(all).toBeLessThanOrEqual(rights);
    }
  });

  it('draws for a part of a right, and for nothing else', () => {
    const drawnAt = (part: number, roll: number): [sent: boolean, draws: number] => {
      let draws = 0;
      const throttle = new Throttle(() => {
        draws++;
        return roll;
      });
      throttle.enter(0, 0);
      // Each call that is given back and was not sent in the throttling is one right more.
      for (let i = 0; i < Math.floor(part); i++) throttle.refund(1);
      if (part % 1 > 0) throttle.settle(true, 0, 2);
      return [throttle.admit(40), draws];
    };
    const half = (1.95 * 40) / 80;
    expect([drawnAt(half, half), drawnAt(half, half - 0.001)]).toEqual([
      [false, 1],
      [true, 1],
    ]);
    expect([drawnAt(0, -1), drawnAt(1, 2), drawnAt(1 + half, 2)]).toEqual([
      [false, 0],
      [true, 0],
      [true, 0],
    ]);
  });

  it('halves what is over one right in a second, and takes no time that runs back', () => {
    const throttle = cautious();
    throttle.enter(0, 0);
    for (let i = 0; i < 100; i++) throttle.settle(true, 0, 2);
    expect(throttle.admit(40)).toBe(true);
    // Of 96.5 there are 48.75 left, and 93.75 of the 97.5 that were pending are new.
    expect(throttle.admit(30)).toBe(true);
    expect(throttle.admit(1_040)).toBe(true);
    expect(sent(throttle, 1_040, 500)).toBe(140);
  });

  it('forgives the debt of the entry a second after it, to the instant', () => {
    const throttle = cautious();
    throttle.enter(0, 50);
    expect(throttle.admit(960)).toBe(true);
    for (let i = 0; i < 20; i++) throttle.settle(true, 0, 2);
    // 39 are earned; in 40 ms half of what is pending becomes rights.
    expect(sent(throttle, 1_000, 500)).toBe(0);
    expect(sent(throttle, 1_040, 500)).toBe(8);
  });

  it('keeps little of what a lull left unspent', () => {
    const throttle = cautious();
    throttle.enter(0, 0);
    for (let i = 0; i < 100; i++) throttle.settle(true, 0, 2);
    expect(throttle.admit(1e6)).toBe(true);
    expect(sent(throttle, 1e6 + 10_000, 500)).toBeLessThan(25);
  });

  it('sends the calls that were in flight at the entry first off the rights, for a second', () => {
    const inDebt = cautious();
    inDebt.enter(0, 50);
    for (let i = 0; i < 20; i++) inDebt.settle(true, 0, 2);
    expect(sent(inDebt, 500, 500)).toBe(0);
    expect(sent(inDebt, 999, 500)).toBe(1);
    for (let i = 0; i < 20; i++) inDebt.settle(true, 999, 2);
    expect(sent(inDebt, 1_100, 500)).toBeGreaterThan(10);
  });

  it('gives a right back that was not used, but none to a call from before the entry', () => {
    const ready = (): Throttle => {
      const throttle = cautious();
      throttle.enter(0, 0);
      for (let i = 0; i < 10; i++) throttle.settle(true, 0, 2);
      expect(sent(throttle, 40, 5)).toBe(5);
      return throttle;
    };
    const [used, unused, early] = [ready(), ready(), ready()];
    for (let i = 0; i < 5; i++) unused.refund(40);
    for (let i = 0; i < 5; i++) early.refund(0);
    const left = sent(used, 40, 100);
    expect(sent(unused, 40, 100)).toBe(left + 5);
    expect(sent(early, 40, 100)).toBe(left);
  });

  it('a probe that was not used may be made again at once', () => {
    const throttle = cautious();
    throttle.enter(0, 0);
    expect([throttle.admit(2_000), throttle.admit(2_000)]).toEqual([true, false]);
    throttle.refund(2_000);
    expect([throttle.admit(2_000), throttle.admit(2_000)]).toEqual([true, false]);
    expect([throttle.admit(2_100), throttle.admit(2_101)]).toEqual([true, false]);
    throttle.refund(2_000);
    expect([throttle.admit(2_199), throttle.admit(2_200)]).toEqual([false, true]);
  });

  it('is over after a second of calls without a refusal, by those sent in it, half as tolerant as the formula', () => {
    const run = (accepts: number, failures: number, sentAt: number, every: number): number => {
      const throttle = cautious();
      throttle.enter(0, 0);
      expect(throttle.admit(50)).toBe(false);
      for (let i = 0; i < 2_000; i++) throttle.settle(true, 0, 2);
      for (let i = 0; i < accepts; i++) throttle.settle(true, sentAt, 2);
      for (let i = 0; i < failures; i++) throttle.settle(false, sentAt, 2);
      let now = 50;
      while (!throttle.isOver(2) && now < 20_000) {
        now += every;
        throttle.admit(now);
      }
      return now;
    };
    expect(run(10, 5, 51, 10)).toBe(1_050);
    expect(run(10, 6, 51, 10)).toBe(20_000);
    expect(run(0, 0, 51, 10)).toBe(20_000);
    expect(run(10, 0, 50, 10)).toBe(20_000);
    // Of a silence only so much counts.
    expect(run(10, 0, 51, 1_000)).toBe(5_050);
  });

  it('probes after 100 ms, then 200, and in the end every 550 ms; after a success soon again', () => {
    const throttle = cautious();
    throttle.enter(0, 0);
    const gaps: number[] = [];
    let now = 0;
    for (let last = 0; gaps.length < 6; now++) {
      if (!throttle.admit(now)) continue;
      gaps.push(now - last);
      last = now;
      throttle.settle(gaps.length === 5, now, 1);
    }
    // The probes of the first second put it in debt: from then on it is as careful as in an outage.
    expect(gaps).toEqual([100, 200, 550, 550, 550, 100]);
  });

  it('reports the share that is refused at present', () => {
    const throttle = cautious();
    throttle.enter(0, 0);
    expect(throttle.rejectProbability).toBe(0);
    for (let now = 1; now < 90; now++) throttle.admit(now);
    expect(throttle.rejectProbability).toBe(1);
    for (let i = 0; i < 2_000; i++) throttle.settle(true, 90, 2);
    for (let now = 90; now < 1_000; now++) throttle.admit(now);
    expect(throttle.rejectProbability).toBeLessThan(0.01);
  });
});
