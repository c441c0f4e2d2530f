import type { Tier } from 'evenkeel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Admission, placeOf } from '../../../src/policies/priority/admission.js';

const THRESHOLD = 0.8;
const PLACES = 512;
const KEEP = Math.exp(-0.01);

const load = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, THRESHOLD, 1));
/** What is offered each step, by place, and the loads and shares of the admitted that are served, step by step. */
const history = fc.record({
  offered: fc.array(fc.tuple(fc.nat(PLACES - 1), fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 40 }),
  steps: fc.array(fc.tuple(load, fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 60 }),
});

/** One step: offers what is given; gives how many were admitted. */
function turn(
  admission: Admission,
  offered: readonly (readonly [number, number])[],
  at: number,
  servedRatio: number,
): number {
  let admitted = 0;
  for (const [place, count] of offered) for (let i = 0; i < count; i++) if (admission.offer(place)) admitted++;
  for (let i = 0; i < Math.floor(admitted * servedRatio); i++) admission.serve();
  admission.step(at, THRESHOLD, 1, KEEP);
  return admitted;
}

it('1 and 2: whatever has happened, who is admitted is more important than who is not', () => {
  fc.assert(
    fc.property(history, ({ offered, steps }) => {
      const admission = new Admission();
      for (const [at, served] of steps) {
        turn(admission, offered, at, served);
        const admitted = Array.from(
          { length: PLACES },
          (_, place) => place < admission.cutoff && admission.offer(place),
        );
        expect(admitted.lastIndexOf(true)).toBe(admission.cutoff - 1);
        expect(admission.cutoff).toBeGreaterThanOrEqual(1);
        for (let place = admission.cutoff; place < PLACES; place += 37) expect(admission.offer(place)).toBe(false);
      }
    }),
  );
});

it('3: one step takes at most half of what is admitted, and adds at most a quarter', () => {
  fc.assert(
    fc.property(history, ({ offered, steps }) => {
      const admission = new Admission();
      for (const [at, served] of steps) {
        const before = admission.ratio;
        turn(admission, offered, at, served);
        expect(admission.ratio).toBeGreaterThanOrEqual(before * 0.5 - 1e-12);
        expect(admission.ratio).toBeLessThanOrEqual(Math.max(before * 1.25, before + 0.004) + 1e-12);
        expect(at < THRESHOLD || admission.ratio <= before).toBe(true);
      }
    }),
  );
});

it('4: all are admitted again within 250 steps of the end of the overload, also when nothing is said to be served', () => {
  fc.assert(
    fc.property(history, fc.boolean(), ({ offered, steps }, tells) => {
      const admission = new Admission();
      for (const [at, served] of steps) turn(admission, offered, at, served);
      let took = 0;
      for (; admission.shedding && took < 1_000; took++) turn(admission, offered, 0, tells ? 1 : 0);
      expect(took).toBeLessThanOrEqual(250);
      expect([admission.cutoff, admission.ratio, admission.target]).toEqual([PLACES, 1, 1]);
    }),
    { numRuns: 30 },
  );
});

it('6: the admitted share is the target, to the mass of one level', () => {
  fc.assert(
    fc.property(history, ({ offered, steps }) => {
      const admission = new Admission();
      const total = offered.reduce((sum, [, count]) => sum + count, 0);
      const byPlace = new Map<number, number>();
      for (const [place, count] of offered) byPlace.set(place, (byPlace.get(place) ?? 0) + count);
      for (const [at, served] of steps) {
        turn(admission, offered, at, served);
        const admitted = [...byPlace].reduce((sum, [place, n]) => sum + (place < admission.cutoff ? n : 0), 0) / total;
        expect(admitted).toBeGreaterThanOrEqual(admission.target - 1e-9);
        expect(admitted).toBeLessThanOrEqual(admission.target + Math.max(...byPlace.values()) / total + 1e-9);
      }
    }),
  );
});

describe('the target', () => {
  /** All places alike, `served` of each step's calls at the given load, until nothing changes any more. */
  function settled(masses: readonly number[], servedRatio: number, at: number): Admission {
    const admission = new Admission();
    const total = masses.reduce((a, b) => a + b);
    for (let i = 0; i < 40; i++) {
      masses.forEach((mass, tier) => {
        for (let n = 0; n < mass; n++) admission.offer(placeOf((tier + 1) as Tier, ((n * 128) / mass) | 0));
      });
      for (let n = 0; n < servedRatio * total; n++) admission.serve();
      admission.step(at, THRESHOLD, 1, 0.9);
    }
    return admission;
  }

  it('is drawn to a boundary between tiers that is near, from both sides', () => {
    for (const served of [0.43, 0.47, 0.5, 0.55, 0.57])
      expect(settled([64, 64, 64, 64], served, THRESHOLD).cutoff).toBe(256);
  });

  it('is a boundary to the place, however the shares round', () => {
    const mass = fc.integer({ min: 10, max: 30 });
    fc.assert(
      fc.property(fc.tuple(mass, mass, mass, mass), (masses) => {
        const admission = new Admission();
        const [first = 0, second = 0] = masses;
        for (let i = 0; i < 30; i++) {
          masses.forEach((count, tier) => {
            for (let n = 0; n < count; n++) admission.offer(placeOf((tier + 1) as Tier, 127));
          });
          for (let n = 0; n < first + second; n++) admission.serve();
          admission.step(THRESHOLD, THRESHOLD, 1, KEEP);
        }
        expect(admission.cutoff).toBe(256);
      }),
    );
  });

  it('is inside a tier where none is', () => {
    const { cutoff, target } = settled([64, 64, 64, 64], 0.61, THRESHOLD);
    expect(target).toBeGreaterThan(0.55);
    expect(target).toBeLessThan(0.7);
    expect(cutoff).toBeGreaterThan(256);
    expect(cutoff).toBeLessThan(384);
  });

  it('grows with the ratio, without a jump where the tiers are large', () => {
    const targets = Array.from({ length: 101 }, (_, i) => settled([64, 64, 64, 64], i / 100, THRESHOLD).target);
    targets.slice(1).forEach((target, i) => {
      expect(target - (targets[i] as number)).toBeGreaterThanOrEqual(-1e-9);
      expect(target - (targets[i] as number)).toBeLessThan(0.08);
    });
    expect([targets[0], targets[100]]).toEqual([expect.closeTo(0), 1]);
  });

  it('cuts a small tier only for a ratio in its middle third', () => {
    // From 0.32 to 0.36 of all.
    const cut = (served: number) => settled([64, 8, 64, 64], served, THRESHOLD).cutoff;
    expect([0.3, 0.325, 0.33].map(cut)).toEqual([128, 128, 128]);
    expect([0.35, 0.36, 0.4].map(cut)).toEqual([256, 256, 256]);
    expect(cut(0.34)).toBeGreaterThan(128);
    expect(cut(0.34)).toBeLessThan(256);
  });

  it('at a load over the threshold it is below what is served, and more so the higher', () => {
    const at = (value: number) => settled([256, 1, 1, 1], 0.6, value).ratio;
    expect(at(0.8)).toBeCloseTo(0.6, 1);
    expect(at(0.9)).toBeCloseTo(0.48, 1);
    expect(at(1)).toBeCloseTo(0.36, 1);
  });
});

it('the histogram is of what is offered: a cutoff that fits stays, where one of the admitted would creep to nothing', () => {
  const admission = new Admission();
  const offered = Array.from({ length: 128 }, (_, i) => [i * 4, 1] as const);
  for (let i = 0; i < 50; i++) turn(admission, offered, 1, 0.5);
  const before = admission.cutoff;
  expect(before).toBeLessThan(400);
  for (let i = 0; i < 1_000; i++) turn(admission, offered, THRESHOLD, 1);
  expect(admission.cutoff).toBeGreaterThan(before * 0.9);
});

it.each([
  // Below the threshold: what is served and up to a quarter more, but at most a quarter more than until now.
  [0.5, 45, 0, 1, 0.5625],
  [0.5, 48, 0.4, 1, 0.51],
  [0.4, 100, 0, 1, 0.5],
  // Or, where next to nothing is served, a little for each step that has passed.
  [0.5, 0, 0, 10, 0.54],
  [0.5, 0, 0.4, 1, 0.501],
  // Over it: less than is served, but never more than until now, nor less than half of that.
  [0.8, 60, 0.8, 1, 0.6],
  [0.8, 60, 0.9, 1, 0.48],
  [0.8, 80, 1, 1, 0.48],
  [0.8, 90, 0.8, 1, 0.8],
  [0.8, 0, 0.8, 1, 0.4],
  // Work from before does not make more than all.
  [0.9, 200, 1, 1, 0.6],
])(
  'at a ratio of %d, with %d of 100 served at a load of %d, after %d steps it is %d',
  (ratio, served, at, steps, next) => {
    const admission = new Admission();
    admission.ratio = ratio;
    for (let i = 0; i < 100; i++) admission.offer(0);
    for (let i = 0; i < served; i++) admission.serve();
    admission.step(at, THRESHOLD, steps, KEEP);
    expect(admission.ratio).toBeCloseTo(next, 12);
  },
);

it('the ratio is drawn to the boundaries between tiers: straight lines between 15 %, or a third of a tier, off them', () => {
  const targetAt = (ratio: number): number => {
    const admission = new Admission();
    admission.ratio = ratio;
    for (let i = 0; i < 400; i++) {
      admission.offer(placeOf(((i % 4) + 1) as Tier, 5));
      admission.serve();
    }
    admission.step(THRESHOLD, THRESHOLD, 1, KEEP);
    return admission.target;
  };
  const sticks = [
    [0.1, (0.1 / 0.2125) * 0.25],
    [0.2125, 0.25],
    [0.25, 0.25],
    [0.2875, 0.25],
    [0.3, 0.25 + (0.0125 / 0.1375) * 0.25],
    [0.43, 0.5],
    [0.57, 0.5],
    [0.58, 0.5 + (0.005 / (2 / 3 - 0.575)) * 0.25],
    [0.67, 0.75],
    [0.83, 0.75],
    [0.87, 0.75 + (0.87 - 0.75 - 0.25 / 3) * 3],
    [0.92, 1],
  ] as const;
  for (const [ratio, target] of sticks) expect(targetAt(ratio)).toBeCloseTo(target, 9);
});

it('before anything was offered, and after however long an overload, it is a number', () => {
  const admission = new Admission();
  admission.step(1, THRESHOLD, Infinity, 0);
  expect(admission).toMatchObject({ shedding: true, ratio: 0.6, target: 1, cutoff: PLACES });
  for (let i = 0; i < 1_200; i++) turn(admission, [[200, 1]], 1, 0);
  expect(admission).toMatchObject({ shedding: true, target: expect.closeTo(0), cutoff: 256 });
});

it('forgets by what each step is told to keep', () => {
  const admission = new Admission();
  for (let i = 0; i < 100; i++) {
    admission.offer(0);
    admission.serve();
  }
  admission.step(THRESHOLD, THRESHOLD, 1, 0.5);
  // Of 50 served of 50, and 0 of 50 since.
  for (let i = 0; i < 50; i++) admission.offer(511);
  admission.step(THRESHOLD, THRESHOLD, 1, 0.5);
  expect(admission.ratio).toBeCloseTo(0.5, 12);
});

it('half way below the threshold, a quarter of what would be let in at a load of 0', () => {
  const admission = new Admission();
  for (let i = 0; i < 5; i++) turn(admission, [[0, 100]], 1, 0);
  const steps = [0, 0.4].map((at) => {
    const before = admission.ratio;
    admission.step(at, THRESHOLD, 1, KEEP);
    return admission.ratio - before;
  });
  expect(steps).toEqual([expect.closeTo(0.004, 9), expect.closeTo(0.001, 9)]);
});

it('below the threshold nothing is shed that was not before', () => {
  const admission = new Admission();
  for (let i = 0; i < 100; i++) {
    expect(turn(admission, [[511, 10]], 0.79, 0)).toBe(10);
    expect(admission.shedding).toBe(false);
  }
});

it('however long the overload, somebody is admitted', () => {
  const admission = new Admission();
  for (let i = 0; i < 2_000; i++)
    turn(
      admission,
      [
        [128, 1],
        [300, 3],
        [20, 1],
        [511, 50],
      ],
      1,
      0,
    );
  expect(admission.cutoff).toBe(128);
});
