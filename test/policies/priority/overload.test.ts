/**
 * Four tiers of 25 requests a second at a worker that does 50 a second, with room for 25 in its queue; the load is how full
 * that is. A minute, the start included, in which everybody is let in until the queue is filled.
 */
import { type Clock, type Gate, tierShedder } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { dagor } from '../../simulation/dagor.js';
import { serve } from '../../simulation/queue.js';
import { type Arrivals, servedRatios, tieredLoad } from '../../simulation/tiers.js';

const SECOND = 1_000;
const UNTIL = 60 * SECOND;
const SEEDS = [1, 2, 3, 4, 5];

type Make = (clock: Clock, load: () => number) => Gate;
const ours: Make = (clock, load) => tierShedder({ clock, load, random: seededRandom(1), hour: () => 495_000 });
const theirs: Make = (_, load) => dagor({ overloaded: () => load() >= 0.8 });

interface Case {
  arrivals?: Arrivals;
  perSecond?: readonly number[];
  serviceMs?: (at: number) => number;
  room?: number;
  workers?: number;
  seed?: number;
  users?: number;
}

function run(
  atDoor: Make | undefined,
  { arrivals = 'jittered', perSecond = [25, 25, 25, 25], seed = 1, users, ...rest }: Case,
) {
  const requests = tieredLoad(arrivals, perSecond, UNTIL, seededRandom(seed), users);
  return serve(requests, (clock, fill) => ({
    serviceMs: () => 20,
    room: 25,
    ...rest,
    // The last ones in the queue are served.
    untilMs: UNTIL + 5 * SECOND,
    ...(atDoor && { atDoor: atDoor(clock, fill) }),
  }));
}

const ratios = (atDoor: Make | undefined, one: Case): number[] => servedRatios(run(atDoor, one), 0, UNTIL);
const goodput = (served: ReturnType<typeof run>): number => served.filter(({ fate }) => fate === 'served').length / 60;

describe('capacity for exactly two tiers', () => {
  for (const arrivals of ['together', 'in turn', 'jittered'] as const)
    it(`${arrivals}: tiers 1 and 2 are served to 99 % and more, 3 and 4 to 2 % and less`, () => {
      for (const seed of SEEDS) {
        const [first = 0, second = 0, third = 1, fourth = 1] = ratios(ours, { arrivals, seed });
        expect(Math.min(first, second)).toBeGreaterThanOrEqual(0.99);
        expect(Math.max(third, fourth)).toBeLessThanOrEqual(0.02);
        expect(goodput(run(ours, { arrivals, seed }))).toBeGreaterThan(49.5);
      }
    });

  it("DAGOR's own α and β serve tier 2 to less than 97 %, and unprotected all tiers fare alike", () => {
    for (const seed of SEEDS) expect(ratios(theirs, { arrivals: 'in turn', seed })[1]).toBeLessThan(0.97);
    expect(ratios(theirs, { arrivals: 'together' })[1]).toBeLessThan(0.97);
    for (const ratio of ratios(undefined, {})) expect(Math.abs(ratio - 0.5)).toBeLessThan(0.05);
  });

  it('arrivals at random, where a queue of 25 loses 2 % even of two tiers alone: tier 1 still 98 %, tier 4 out', () => {
    for (const seed of SEEDS) {
      const [first = 0, second = 0, third = 1, fourth = 1] = ratios(ours, { arrivals: 'poisson', seed });
      expect(first).toBeGreaterThanOrEqual(0.98);
      expect(second).toBeGreaterThanOrEqual(0.84);
      expect(third).toBeLessThanOrEqual(0.2);
      expect(fourth).toBeLessThanOrEqual(0.02);
    }
  });

  it('ten times the size, at random: the noise is a third', () => {
    const big = { arrivals: 'poisson', perSecond: [250, 250, 250, 250], room: 250, workers: 10 } as const;
    const [first = 0, second = 0, third = 1, fourth = 1] = ratios(ours, big);
    expect(first).toBeGreaterThanOrEqual(0.999);
    expect(second).toBeGreaterThanOrEqual(0.97);
    expect(third).toBeLessThanOrEqual(0.03);
    expect(fourth).toBeLessThanOrEqual(0.02);
  });
});

describe('other capacities', () => {
  it.each([
    [20, [0.8, 0, 0, 0]],
    [40, [1, 0.6, 0, 0]],
    [60, [1, 1, 0.4, 0]],
    [80, [1, 1, 1, 0.2]],
    [95, [1, 1, 1, 0.8]],
  ])('%d a second of 100: all of it used, by the most important', (capacity, expected) => {
    const served = run(ours, { serviceMs: () => 1_000 / capacity, room: capacity / 2 });
    expect(goodput(served)).toBeGreaterThan(0.99 * capacity);
    servedRatios(served, 0, UNTIL).forEach((ratio, i) => {
      expect(Math.abs(ratio - (expected[i] as number))).toBeLessThan(0.03);
    });
  });

  it('enough for all: nobody is refused', () => {
    const served = run(ours, { serviceMs: () => 7, arrivals: 'poisson' });
    expect(served.filter(({ fate }) => fate !== 'served')).toEqual([]);
  });

  it('half of it goes away in mid-run: tier 1 does not notice', () => {
    const served = run(ours, { serviceMs: (at) => (at < 30 * SECOND ? 20 : 40) });
    const [first = 0, second = 1] = servedRatios(served, 32 * SECOND, UNTIL);
    expect(first).toBeGreaterThanOrEqual(0.99);
    expect(second).toBeLessThanOrEqual(0.02);
    expect(servedRatios(served, 30 * SECOND, 32 * SECOND)[0]).toBeGreaterThanOrEqual(0.9);
  });

  it('it comes back in mid-run: all are served 3 s later', () => {
    const served = run(ours, { serviceMs: (at) => (at < 30 * SECOND ? 20 : 5) });
    for (const ratio of servedRatios(served, 33 * SECOND, UNTIL)) expect(ratio).toBe(1);
  });
});

it('whole users are served: of the two hosts that a request needs, both take it or neither', () => {
  const served = [1, 2].map((seed) =>
    run(ours, { serviceMs: () => 1_000 / 60, room: 30, seed, users: 300 }).filter(
      (one) => one.tier === 3 && one.at > 10 * SECOND,
    ),
  );
  const [here, there] = served.map((all) => new Map(all.map(({ key, fate }) => [key, fate === 'served'])));
  const both = [...(here ?? [])].filter(([key]) => there?.has(key));
  expect(both.length).toBeGreaterThan(200);
  // By chance it would be 0.4² + 0.6², which is 52 %.
  expect(both.filter(([key, taken]) => taken === there?.get(key)).length / both.length).toBeGreaterThan(0.8);
});
