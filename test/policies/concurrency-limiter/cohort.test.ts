/** What a cohort of calls shows, and when it has all of them. */
import { describe, expect, it } from 'vitest';
import { Cohort, type CohortPlan } from '../../../src/policies/concurrency-limiter/cohort.js';

const PLAN: CohortPlan = { minMs: 10, maxMs: 100, error: 0.125, rttMs: 4 };

type End = [startedAt: number, elapsedMs: number, verdict: 'success' | 'failure' | 'dropped' | 'ignored'];

/** A cohort that takes in calls after `from`, and has had these; each was one of two in flight. */
function cohortOf(calls: readonly End[], from = 0): Cohort {
  const cohort = new Cohort();
  cohort.restart(from);
  for (const [startedAt] of calls) cohort.admit(startedAt, 2);
  for (const call of calls) cohort.end(...call);
  return cohort;
}

const calls = (count: number, elapsedMs: number, verdict: End[2] = 'success'): End[] =>
  Array.from({ length: count }, () => [1, elapsedMs, verdict]);

/** Closed by the first look if it is time, and complete by the second one. */
const closesAt = (cohort: Cohort, at: number, plan = PLAN): boolean => {
  expect(cohort.isComplete(at, plan)).toBe(false);
  return cohort.isComplete(at + 1e-6, plan);
};

describe('a cohort takes in calls', () => {
  it.each([
    ['as exact as the plan asks for, but not within 3 response times at first', 32, 12, true],
    ['within 3 response times', 32, 11.999, false],
    ['not as exact', 31, 12, false],
    ['not as exact in the longest time but a bit', 31, 99.999, false],
    ['the longest time', 31, 100, true],
    ['the longest time, as few as may be', 20, 100, true],
    ['fewer in that', 19, 100, false],
    ['fewer in twice that but a bit', 19, 199.999, false],
    ['fewer in twice that', 19, 200, true],
    ['the fewest in twice that', 5, 200, true],
    ['one less than the fewest, ever', 4, 1e6, false],
  ])('%s: %i in %d ms is enough: %s', (_, count, passedMs, enough) => {
    expect(closesAt(cohortOf(calls(count, 1)), 1 + passedMs)).toBe(enough);
  });

  it('for its least time', () => {
    const plan = { ...PLAN, minMs: 30 };
    expect(closesAt(cohortOf(calls(32, 1)), 30.999, plan)).toBe(false);
    expect(closesAt(cohortOf(calls(32, 1)), 31, plan)).toBe(true);
  });

  it('for one response time, where they are all alike', () => {
    const cohort = new Cohort();
    for (let round = 0; round < 40; round++) {
      cohort.restart(0);
      for (let i = 0; i < 100; i++) cohort.admit(1, 1);
      for (let i = 0; i < 100; i++) cohort.end(1, 0.25, 'success');
      cohort.measure(50);
    }
    cohort.restart(0);
    for (let i = 0; i < 20; i++) cohort.admit(1, 1);
    for (let i = 0; i < 20; i++) cohort.end(1, 1, 'success');
    expect(closesAt(cohort, 20.999, { ...PLAN, rttMs: 20 })).toBe(false);
    expect(closesAt(cohort, 21, { ...PLAN, rttMs: 20 })).toBe(true);
  });

  it('that start later than it, and until it has closed', () => {
    const cohort = cohortOf(calls(32, 2));
    cohort.admit(0, 50);
    cohort.end(0, 50, 'success');
    expect(cohort.isComplete(21, PLAN)).toBe(false);
    cohort.admit(21, 2);
    cohort.admit(21.001, 50);
    cohort.end(21.001, 50, 'success');
    expect(cohort.isComplete(22, PLAN)).toBe(false);
    cohort.end(21, 2, 'success');
    expect(cohort.isComplete(22, PLAN)).toBe(true);
    expect(cohort.measure(22)).toMatchObject({ inflight: 2, rttMs: 2 });
  });
});

describe('a cohort that is closed', () => {
  /** 40 calls of 4 ms, of which so many are under way yet; closed at 20. */
  const closed = (open: number, verdict: End[2] = 'success'): Cohort => {
    const cohort = cohortOf(calls(40, 4, verdict).slice(open));
    for (let i = 0; i < open; i++) cohort.admit(1, 2);
    expect(cohort.isComplete(20, PLAN)).toBe(false);
    return cohort;
  };

  it('waits for all of its calls, one moment at least', () => {
    expect(closed(0).isComplete(20, PLAN)).toBe(false);
    expect(closed(0).isComplete(20.001, PLAN)).toBe(true);
  });

  it('waits for the last twentieth for one and a half response times', () => {
    expect(closed(2).isComplete(26, PLAN)).toBe(false);
    expect(closed(2).isComplete(26.001, PLAN)).toBe(true);
    expect(closed(3).isComplete(26.001, PLAN)).toBe(false);
  });

  it('waits for more, or without a response time, ten times its longest time', () => {
    for (const cohort of [closed(3), closed(2, 'failure')]) {
      expect(cohort.isComplete(1_020, PLAN)).toBe(false);
      expect(cohort.isComplete(1_020.001, PLAN)).toBe(true);
    }
  });

  it('counts those that are under way with the time that they have taken on average', () => {
    const cohort = closed(2);
    // Admitted between 1 and 20.
    expect(cohort.measure(30)?.rttMs).toBeCloseTo((38 * 4 + 2 * 19.5) / 40, 12);
    const square = (38 * 16 + 2 * 19.5 ** 2) / 40;
    const dispersion = 0.5 + (40 / 60) * ((square / 4.775 ** 2 - 1) * (40 / 39) - 0.5);
    expect(closed(2).measure(30)?.error).toBeCloseTo(Math.sqrt(dispersion / 40), 12);
    // None has ended: it is at least known that they take so long.
    expect(closed(40).measure(1_030.5)).toMatchObject({ rttMs: 1_020, successRatio: 1, droppedRatio: 0 });
  });
});

describe('a measurement', () => {
  it('is of all calls and their ends', () => {
    const cohort = new Cohort();
    cohort.restart(100);
    for (let i = 1; i <= 20; i++) cohort.admit(100 + i, i);
    for (let i = 1; i <= 12; i++) cohort.end(100 + i, i % 2 ? 2 : 6, 'success');
    for (let i = 13; i <= 16; i++) cohort.end(100 + i, 50, 'dropped');
    for (let i = 17; i <= 19; i++) cohort.end(100 + i, 1, 'failure');
    cohort.end(120, 1, 'ignored');
    cohort.isComplete(201, PLAN);
    // (20 / 16 − 1) · 16 / 15, weighed 12 to the 20 calls that stand for what is known.
    const dispersion = 0.5 + (12 / 32) * (4 / 15 - 0.5);
    expect(cohort.measure(301)).toEqual({
      inflight: 10.5,
      rttMs: 4,
      error: expect.closeTo(Math.sqrt(dispersion / 12), 12),
      throughput: 11 / 100,
      limited: false,
      droppedRatio: 0.25,
      successRatio: 12 / 19,
      spanMs: 200,
    });
  });

  it('takes the time of dropped calls where there is no success', () => {
    const cohort = cohortOf([
      [1, 30, 'dropped'],
      [2, 50, 'dropped'],
      [3, 1, 'failure'],
    ]);
    expect(cohort.measure(60)).toMatchObject({ rttMs: 40, droppedRatio: 1, successRatio: 0, throughput: 0 });
  });

  it('is none where no call has told anything', () => {
    const ends: End[] = [
      [1, 1, 'failure'],
      [2, 1, 'ignored'],
    ];
    expect(cohortOf(ends).measure(60)).toBeUndefined();
    expect(cohortOf([...ends, [3, 1, 'dropped']]).measure(60)).toBeDefined();
    expect(cohortOf([...ends, [3, 1, 'success']]).measure(60)).toBeDefined();
  });

  it('tells whether a call was refused, until the next', () => {
    const cohort = cohortOf(calls(2, 1));
    cohort.refuse();
    expect(cohort.measure(5)?.limited).toBe(true);
    cohort.restart(5);
    cohort.admit(6, 1);
    cohort.end(6, 1, 'success');
    expect(cohort.measure(9)?.limited).toBe(false);
  });

  it('of calls in no time is finite', () => {
    for (const verdict of ['success', 'dropped'] as const) {
      const cohort = cohortOf(calls(32, 0, verdict));
      cohort.isComplete(1, { ...PLAN, minMs: 0, rttMs: 0 });
      const { rttMs, throughput } = cohort.measure(1) ?? {};
      expect(rttMs).toBeCloseTo(1e-6, 12);
      expect(throughput).toBeCloseTo(verdict === 'success' ? 31e6 : 0, 0);
    }
  });

  it('of one success says nothing of how they differ, and of the first ones nothing is sure', () => {
    expect(cohortOf(calls(1, 7)).measure(60)?.error).toBe(Math.sqrt(0.5));
    expect(cohortOf(calls(3, 7)).measureFirst(60).error).toBe(1);
  });

  it('stays a number though all calls are alike to the last bit, for ever', () => {
    for (const elapsedMs of [0.1, 0.3, 0.7, 1.1, 3.3]) {
      const cohort = new Cohort();
      for (let round = 0; round < 40; round++) {
        cohort.restart(0);
        for (let i = 0; i < 100; i++) cohort.admit(1, 1);
        for (let i = 0; i < 100; i++) cohort.end(1, elapsedMs, 'success');
        expect(cohort.measure(50)?.error).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('has nothing of the cohort before, but how response times differ', () => {
    const fresh = cohortOf([[501, 3, 'success']], 500);
    const used = cohortOf([
      ...calls(1, 9),
      ...calls(30, 9, 'dropped'),
      ...calls(30, 9, 'failure'),
      ...calls(30, 9, 'ignored'),
    ]);
    used.refuse();
    used.admit(2, 40);
    used.isComplete(400, PLAN);
    used.restart(500);
    expect(used.hasFirstAnswers(1_000, 1)).toBe(false);
    used.admit(501, 2);
    used.end(501, 3, 'success');
    expect(used.measureFirst(520)).toEqual(fresh.measureFirst(520));
    expect(used.measure(520)).toEqual(fresh.measure(520));
  });

  it('heeds no end of a call that it has not taken in', () => {
    const cohort = cohortOf(calls(2, 4));
    cohort.end(1, 100, 'success');
    expect(cohort.measureFirst(25)).toMatchObject({ rttMs: 4, throughput: 2 / 20 });
    cohort.admit(2, 2);
    for (const startedAt of [-1, 0]) cohort.end(startedAt, 100, 'success');
    expect(cohort.measureFirst(25)).toMatchObject({ rttMs: 4, throughput: 2 / 20 });
  });

  it('begins with the first calls ever', () => {
    const cohort = new Cohort();
    cohort.admit(-1e9, 1);
    cohort.end(-1e9, 5, 'success');
    expect(cohort.measureFirst(25 - 1e9)).toMatchObject({ rttMs: 5, throughput: 1 / 20, limited: false });
  });
});

describe('the first answers', () => {
  it('are there for a time once a call has ended that tells something', () => {
    const cohort = cohortOf([
      [1, 1, 'failure'],
      [2, 1, 'ignored'],
    ]);
    cohort.admit(3, 1);
    cohort.admit(4, 1);
    expect(cohort.hasFirstAnswers(1e6, 0)).toBe(false);
    cohort.end(4, 16, 'dropped');
    cohort.end(3, 27, 'success');
    expect([cohort.hasFirstAnswers(29.999, 10), cohort.hasFirstAnswers(30, 10)]).toEqual([false, true]);
    expect(cohort.measureFirst(40)).toMatchObject({ rttMs: 27, throughput: 2 / 20, error: 1, droppedRatio: 0.5 });
  });
});
