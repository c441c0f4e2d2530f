import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Choice } from '../../src/balancer/choice.js';
import { Instance } from '../../src/balancer/instance.js';
import { SmoothChoice } from '../../src/balancer/smooth-choice.js';
import { TwoChoices } from '../../src/balancer/two-choices.js';

type Made = Choice<number>;
const CHOICES: [string, (random: () => number) => Made][] = [
  ['smooth', (random) => new SmoothChoice<number>(random)],
  ['two choices', (random) => new TwoChoices<number>(random)],
];

const make = (weights: readonly number[], choice: Made): Instance<number>[] =>
  weights.map((weight, i) => {
    const instance = new Instance(i, weight);
    choice.set(instance, weight);
    return instance;
  });

const countsOf = (choice: Made, size: number, picks: number): number[] => {
  const counts = new Array<number>(size).fill(0);
  for (let i = 0; i < picks; i++) (counts[choice.next(0)?.value as number] as number)++;
  return counts;
};

/** χ² of counts against the shares of the weights, over the instances that have one. */
function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const picks = counts.reduce((sum, n) => sum + n, 0);
  const total = weights.reduce((sum, w) => sum + w, 0);
  return counts.reduce((sum, count, i) => {
    const expected = (picks * (weights[i] as number)) / total;
    return expected === 0 ? sum : sum + (count - expected) ** 2 / expected;
  }, 0);
}

describe.each(CHOICES)('%s', (_, build) => {
  it('chooses by weight (χ²)', () => {
    const weights = [1, 2, 3, 5, 0.5, 10];
    const choice = build(seededRandom(1));
    make(weights, choice);
    // 5 degrees of freedom: 20.5 is exceeded once in a thousand times.
    expect(chiSquare(countsOf(choice, 6, 43_000), weights)).toBeLessThan(20.5);
  });

  it('still does after any changes of weight, and never chooses what has none', () => {
    const change = fc.record({ at: fc.nat(19), weight: fc.constantFrom(0, 0, 0.1, 1, 2, 7) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), fc.nat(), (changes, seed) => {
        const choice = build(seededRandom(seed));
        const weights = new Array<number>(20).fill(1);
        const instances = make(weights, choice);
        for (const { at, weight } of changes) {
          weights[at] = weight;
          choice.set(instances[at] as Instance<number>, weight);
          const chosen = choice.next(0);
          if (weights.every((one) => one === 0)) expect(chosen).toBeUndefined();
          else expect(weights[chosen?.value as number]).toBeGreaterThan(0);
        }
        if (weights.every((one) => one === 0)) return;
        // A turn under the old weight is the most that is between a change and its effect.
        countsOf(choice, 20, 2_000);
        const counts = countsOf(choice, 20, 5_000);
        // 19 degrees of freedom: 60 is exceeded once in 250,000 times.
        expect(chiSquare(counts, weights)).toBeLessThan(60);
      }),
      { numRuns: 100 },
    );
  });

  it('chooses nothing where there is nothing, and the only one where there is one', () => {
    const choice = build(seededRandom(1));
    expect(choice.next(0)).toBeUndefined();
    const [only] = make([0.3], choice);
    expect(choice.next(0)).toBe(only);
    choice.set(only as Instance<number>, 0);
    expect(choice.next(0)).toBeUndefined();
    choice.set(only as Instance<number>, 0);
    choice.set(only as Instance<number>, 2);
    expect(choice.next(0)).toBe(only);
  });
});

describe('smooth', () => {
  it('takes turns where weights are equal', () => {
    const choice = new SmoothChoice<number>(seededRandom(3));
    make([1, 1, 1, 1], choice);
    const first = Array.from({ length: 4 }, () => choice.next()?.value);
    expect([...first].sort()).toEqual([0, 1, 2, 3]);
    for (let i = 0; i < 40; i++) expect(choice.next()?.value).toBe(first[i % 4]);
  });

  it('spreads the turns of each evenly: in any stretch its share, give or take two', () => {
    const weight = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 12 }), fc.nat(), (weights, seed) => {
        const choice = new SmoothChoice<number>(seededRandom(seed));
        make(weights, choice);
        const total = weights.reduce((sum, one) => sum + one, 0);
        const picks = Array.from({ length: 400 }, () => choice.next()?.value as number);
        weights.forEach((one, i) => {
          const turns = picks.flatMap((pick, at) => (pick === i ? [at] : []));
          const gaps = [...turns, picks.length].map((at, turn) => at - (turns[turn - 1] ?? -1));
          expect(Math.max(...gaps)).toBeLessThanOrEqual((2 * total) / one + weights.length);
          expect(Math.abs(turns.length - (400 * one) / total)).toBeLessThanOrEqual(2 + (weights.length * one) / total);
        });
      }),
    );
  });

  it('begins with any of them, so that many clients do not all begin with the same', () => {
    const firsts = Array.from({ length: 3_000 }, (_, seed) => {
      const choice = new SmoothChoice<number>(seededRandom(seed));
      make([1, 1, 1], choice);
      return choice.next()?.value as number;
    });
    const counts = [0, 1, 2].map((i) => firsts.filter((first) => first === i).length);
    expect(chiSquare(counts, [1, 1, 1])).toBeLessThan(13.8);
  });

  it('keeps its shares by weights far apart', () => {
    const choice = new SmoothChoice<number>(seededRandom(1));
    make([1, 1_000, 1_000_000], choice);
    const counts = countsOf(choice, 3, 200_000);
    expect(counts[2]).toBeGreaterThan(199_700);
    expect(counts[1]).toBeGreaterThan(190);
    expect(counts[1]).toBeLessThan(210);
  });

  it('keeps them however long it has run', () => {
    const choice = new SmoothChoice<number>(seededRandom(1));
    const [tiny, half, whole] = make([1e-10, 0, 0], choice) as [Instance<number>, Instance<number>, Instance<number>];
    // As many turns as of a weight of 1,000 in 10^14 calls: a step of the largest weight would not show beside them.
    countsOf(choice, 3, 10);
    choice.set(half, 500_000);
    choice.set(whole, 1_000_000);
    choice.set(tiny, 0);
    const counts = countsOf(choice, 3, 30_000);
    expect(counts).toEqual([0, 10_000, 20_000]);
  });
});

describe('two choices', () => {
  it('takes the one with less response time × calls in flight', () => {
    const choice = new TwoChoices<number>(seededRandom(1));
    const [quick, slow] = make([1, 1], choice) as [Instance<number>, Instance<number>];
    quick.recordLatency(10, 0);
    slow.recordLatency(24, 0);
    const picks: number[] = [];
    for (let i = 0; i < 7; i++) {
      const next = choice.next(0) as Instance<number>;
      next.inFlight++;
      picks.push(next.value);
    }
    // 10 × 1, 10 × 2, then 24 × 1 before 10 × 3.
    expect(picks).toEqual([0, 0, 1, 0, 0, 1, 0]);
  });

  it('gives an instance that has not answered yet one call, and no more', () => {
    const choice = new TwoChoices<number>(seededRandom(1));
    const [known, fresh] = make([1, 1], choice) as [Instance<number>, Instance<number>];
    known.recordLatency(10, 0);
    expect(choice.next(0)).toBe(fresh);
    fresh.inFlight++;
    for (let i = 0; i < 20; i++) expect(choice.next(0)).toBe(known);
  });

  it('forgets a slow answer of which nothing new is heard', () => {
    const clock = manualClock();
    const choice = new TwoChoices<number>(seededRandom(1));
    const [quick, slow] = make([1, 1], choice) as [Instance<number>, Instance<number>];
    slow.recordLatency(1_000, clock.now());
    const until = (): number => {
      for (; clock.now() < 200_000; clock.jump(100)) {
        quick.recordLatency(10, clock.now());
        if (choice.next(clock.now()) === slow) break;
      }
      return clock.now();
    };
    // 1,000 · e^(−t / 10 s) < 10
    expect(until()).toBe(46_100);
  });

  it('draws two different ones', () => {
    const choice = new TwoChoices<number>(seededRandom(1));
    const weights = [1, 100, 1, 1];
    const instances = make(weights, choice);
    for (const instance of instances) instance.recordLatency(10, 0);
    (instances[1] as Instance<number>).recordLatency(1_000, 0);
    for (let i = 0; i < 1_000; i++) expect(choice.next(0)?.value).not.toBe(1);
  });
});
