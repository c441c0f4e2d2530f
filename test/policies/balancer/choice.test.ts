import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Choice } from '../../../src/policies/balancer/choice.js';
import { Instance } from '../../../src/policies/balancer/instance.js';
import { SmoothChoice } from '../../../src/policies/balancer/smooth-choice.js';
import { TwoChoices } from '../../../src/policies/balancer/two-choices.js';

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

  it('chooses the earliest, as one that looks at all of them does', () => {
    const step = fc.record({
      at: fc.nat(15),
      weight: fc.oneof(fc.constant(0), fc.double({ min: 0.1, max: 9, noNaN: true })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.nat(), (steps, seed) => {
        const choice = new SmoothChoice<number>(seededRandom(seed));
        const random = seededRandom(seed);
        const instances = Array.from({ length: 16 }, (_, i) => new Instance(i, 1));
        const deadlines = new Map<number, number>();
        let now = 0;
        for (const { at, weight } of steps) {
          choice.set(instances[at] as Instance<number>, weight);
          const deadline = deadlines.get(at);
          if (weight === 0) deadlines.delete(at);
          else if (deadline === undefined) deadlines.set(at, now + random() / weight);
          else deadlines.set(at, Math.min(deadline, now + 1 / weight));
          const chosen = choice.next();
          expect(chosen === undefined).toBe(deadlines.size === 0);
          if (chosen === undefined) continue;
          now = Math.min(...deadlines.values());
          expect(deadlines.get(chosen.value)).toBe(now);
          deadlines.set(chosen.value, now + 1 / chosen.share);
        }
      }),
    );
  });

  it('lets those that wait keep their turn before one that comes at the same moment', () => {
    const choice = new SmoothChoice<number>(() => 0);
    make([1, 2], choice);
    expect(Array.from({ length: 9 }, () => choice.next()?.value)).toEqual([0, 1, 1, 0, 1, 1, 0, 1, 1]);
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

  it('keeps the turns of all when it has run so long', () => {
    const choice = new SmoothChoice<number>(seededRandom(1));
    make([1e-10, 1e-10, 1e-10], choice);
    const [a, b, c, ...rest] = Array.from({ length: 30 }, () => choice.next()?.value);
    expect(new Set([a, b, c]).size).toBe(3);
    rest.forEach((one, i) => {
      expect(one).toBe([a, b, c][i % 3]);
    });
  });
});

describe('two choices', () => {
  /** What is chosen by two draws; `costly` loses against any other. */
  const chosen = (weights: readonly number[], draws: [first: number, second: number], costly?: number) => {
    const random = [...draws];
    const choice = new TwoChoices<number>(() => random.shift() as number);
    for (const instance of make(weights, choice)) instance.recordLatency(instance.value === costly ? 20 : 10, 0);
    return choice.next(0)?.value;
  };

  it('draws the first by weight of all, the second by weight of the others', () => {
    const weights = [1, 2, 3, 4];
    for (const [of10, first] of [
      [0, 0],
      [0.99, 0],
      [1, 1],
      [2.99, 1],
      [3, 2],
      [6, 3],
      [9.99, 3],
    ] as const)
      expect(chosen(weights, [of10 / 10, 0])).toBe(first);
    for (const [first, of, second] of [
      [0, 0, 1],
      [0, 1.99, 1],
      [0, 2, 2],
      [0, 5, 3],
      [1, 0.99, 0],
      [1, 1, 2],
      [1, 4, 3],
      [2, 2.99, 1],
      [2, 3, 3],
      [3, 0, 0],
      [3, 1, 1],
      [3, 5.99, 2],
    ] as const)
      expect(chosen(weights, [([0, 1, 3, 6][first] as number) / 10, of / (10 - (first + 1))], first)).toBe(second);
  });

  it('is led by no rounding to where there is nothing', () => {
    expect(chosen([0.001, 0.001, 0.1], [0.5, 1 - 2 ** -53])).toBe(2);
  });

  it('has room for many, each once, whose weights change', () => {
    const choice = new TwoChoices<number>(seededRandom(1));
    const instances = make(new Array(100).fill(1), choice);
    for (const instance of instances) choice.set(instance, instance.value < 99 ? 0.001 : 1_000);
    expect(countsOf(choice, 100, 1_000)[99]).toBeGreaterThan(990);
    for (const instance of instances) choice.set(instance, 0);
    expect(choice.next(0)).toBeUndefined();
  });

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

  it('forgets it as fast under a clock that was set', () => {
    const slow = new Instance('slow', 1);
    slow.recordLatency(1_000, 1e7);
    for (const byMs of [-5e6, 9e6]) {
      slow.shift(byMs);
      expect(slow.cost(1e7 + byMs)).toBe(1_000);
      expect(slow.cost(1e7 + byMs + 10_000)).toBeCloseTo(1_000 / Math.E);
      slow.shift(-byMs);
    }
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
