import { circuitBreaker, pipeline, RejectedError } from 'evenkeel';
import { compareReports, type Expectations, type Report, type Scenario, simulate } from 'evenkeel/testing';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { niceTicks } from '../../../../src/testing/simulator/report/line-chart.js';
import { panelOf } from '../../../../src/testing/simulator/report/panels.js';
import { Histogram } from '../../../../src/testing/simulator/run/histogram.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

const SCENARIO: Scenario = {
  name: 'outage <1>',
  seed: 5,
  durationMs: 10_000,
  intervalMs: 1_000,
  load: { arrivals: 'constant', ratePerSecond: 100, tier: 1, key: 'a' },
  client: { pipeline: ({ clock, random }) => pipeline(circuitBreaker({ clock, random, k: 1.1 })) },
  backend: {
    workers: 4,
    serviceTimeMs: 20,
    schedule: [
      { atMs: 4_000, outage: 'refuse' },
      { atMs: 6_000, outage: 'none' },
    ],
  },
};
let report: Report;
beforeAll(async () => {
  report = await simulate(SCENARIO);
});

const failure = (check: () => void): string => {
  try {
    check();
  } catch (error) {
    return String(error);
  }
  return 'none';
};

describe('report.assert', () => {
  it('is silent where all is as expected', () => {
    report.assert({});
    report.assert({
      offered: { min: 999, max: 999 },
      goodputRatio: { min: 0.5, max: 1 },
      p99Ms: { max: 21 },
      refusedBy: { circuit_open: { min: 1 }, rate_limited: { max: 0 } },
      tiers: { 1: { errors: { min: 1 } } },
      keys: {
        a: {
          goodputRatio: [
            { min: 0.99, toMs: 4_000 },
            { max: 0.1, fromMs: 4_000, toMs: 6_000 },
          ],
        },
      },
      backends: { backend: { busyRatio: { min: 0.2 }, wasted: { max: 0 } } },
    });
  });

  it('names every figure that is out of bounds: what was wanted, and what it is', () => {
    const { goodputRatio, refusedBy } = report.totals;
    expect(
      failure(() =>
        report.assert({
          offered: { min: 1_000 },
          goodputRatio: [{ min: 0.99 }, { min: 0.2, max: 0.3, fromMs: 2_000, toMs: 3_000 }],
          p50Ms: { max: 1, fromMs: 5_000, toMs: 6_000 },
          refusedBy: { circuit_open: { max: 0 }, too_old: { min: 1 } },
          backends: { backend: { busyRatio: { min: 0.9, toMs: 3_000 } } },
        }),
      ).split('\n'),
    ).toEqual([
      'Error: outage <1>, seed 5:',
      '  offered from 0 to 10000 ms: wanted ≥ 1000, got 999',
      `  goodputRatio from 0 to 10000 ms: wanted ≥ 0.99, got ${Number(goodputRatio.toPrecision(4))}`,
      '  goodputRatio from 2000 to 3000 ms: wanted ≥ 0.2 and ≤ 0.3, got 1',
      '  p50Ms from 5000 to 6000 ms: wanted ≤ 1, got nothing to tell it by',
      `  refusedBy.circuit_open from 0 to 10000 ms: wanted ≤ 0, got ${refusedBy.circuit_open}`,
      '  refusedBy.too_old from 0 to 10000 ms: wanted ≥ 1, got 0',
      expect.stringMatching(/^ {2}backends\.backend\.busyRatio from 0 to 3000 ms: wanted ≥ 0\.9, got 0\.49/),
    ]);
  });

  it('reads nothing offered where a tier or a key made no call in that time', async () => {
    report.assert({
      tiers: { 2: { offered: { max: 0 }, goodputPerSecond: { max: 0 }, refusedBy: { too_old: { max: 0 } } } },
    });
    const load = { arrivals: 'constant', ratePerSecond: 10 } as const;
    const late = await simulate({ ...SCENARIO, load: [load, { ...load, key: 'late', fromMs: 5_000 }] });
    late.assert({
      keys: {
        late: {
          offered: [
            { max: 0, toMs: 5_000 },
            { min: 49, fromMs: 5_000 },
          ],
        },
      },
    });
    expect(failure(() => late.assert({ keys: { late: { goodputRatio: { min: 0, toMs: 5_000 } } } }))).toMatch(
      / {2}keys\.late\.goodputRatio from 0 to 5000 ms: wanted ≥ 0, got nothing to tell it by$/,
    );
  });

  it('lists a wrong name with the figures that are out of bounds', () => {
    const expectations = {
      goodputRatio: { min: 0.95 },
      tiers: { 4: { goodput: { min: 1 } } },
      keys: { k: { goodput: { min: 1 } } },
      offered: { min: 1_000 },
    };
    expect(failure(() => report.assert(expectations)).split('\n')).toEqual([
      'TypeError: report.assert:',
      expect.stringMatching(/^ {2}goodputRatio from 0 to 10000 ms: wanted ≥ 0\.95, got 0\.6/),
      '  tiers.4.goodput from 0 to 10000 ms: wanted ≥ 1, got 0',
      '  keys.k.goodput: there is no k; there are a',
      '  offered from 0 to 10000 ms: wanted ≥ 1000, got 999',
    ]);
  });

  it('has as many digits as tell a figure from its bound', () => {
    const { goodputRatio } = report.totals;
    const rounded = Number(goodputRatio.toPrecision(4));
    expect(rounded).not.toBe(goodputRatio);
    const bound = rounded > goodputRatio ? { min: rounded } : { max: rounded };
    expect(failure(() => report.assert({ goodputRatio: bound }))).toContain(`got ${goodputRatio}`);
    expect(failure(() => report.assert({ goodputRatio: { min: 2 } }))).toContain(`got ${rounded}`);
  });

  it('takes a key that is called refusedBy', async () => {
    const load = { arrivals: 'constant', ratePerSecond: 10, key: 'refusedBy', fromMs: 5_000 } as const;
    const odd = await simulate({ ...SCENARIO, load });
    odd.assert({ keys: { refusedBy: { offered: { min: 49 }, refusedBy: { too_old: { max: 0, toMs: 5_000 } } } } });
    expect(failure(() => odd.assert({ keys: { refusedBy: { goodputs: { max: 0 } } as never } }))).toContain(
      'there is no goodputs; there are offered, admitted,',
    );
  });

  it("takes the library's reasons, a back-end's too, and those that the run has seen", async () => {
    const seen = await simulate({
      ...SCENARIO,
      client: {
        pipeline: ({ clock }) =>
          pipeline({
            name: 'own',
            clock,
            run: (): Promise<never> =>
              Promise.reject(new RejectedError({ policy: 'own', reason: 'my_own' as never, retryAfterMs: 0 })),
          }),
      },
    });
    const of = (...reasons: string[]): Expectations => ({
      refusedBy: Object.fromEntries(reasons.map((reason) => [reason, { max: 0 }])),
    });
    seen.assert(of('circuit_open', 'no_instance', 'backend:queue_full', 'backend:too_old'));
    seen.assert({ tiers: { 1: { refusedBy: { my_own: { min: 999 } } }, 2: { refusedBy: { my_own: { max: 0 } } } } });
    for (const reason of ['circuit_opne', 'queue_full', 'backend:my_own', 'backend:']) {
      expect(failure(() => seen.assert(of(reason)))).toMatch(
        `TypeError: report.assert:\n  refusedBy.${reason}: there is no ${reason}; there are circuit_open, `,
      );
    }
    expect(failure(() => report.assert(of('my_own')))).toContain('there is no my_own');
    expect(failure(() => report.assert({ tiers: { 2: of('circuit_opne') } }))).toContain(
      'tiers.2.refusedBy.circuit_opne: there is no circuit_opne',
    );
  });

  it.each([
    [undefined, 'report.assert: expectations must be an object, got undefined'],
    [[], 'report.assert: expectations must be an object, got an array'],
    [{ tiers: { 5: { offered: { min: 1 } } } }, 'tiers.5.offered: there is no 5; there are 1, 2, 3, 4'],
    [{ tiers: { 2: { fromMs: { min: 1 } } } }, 'tiers.2.fromMs: there is no fromMs; there are offered,'],
    [{ tiers: [{ min: 1 }] }, '  tiers: it is no figure'],
    [{ tiers: { 2: [{ min: 1 }] } }, '  tiers.2: it is no figure'],
    [{ backends: { backend: { goodput: { min: 1 } } } }, 'there is no goodput; there are received, answered,'],
    [{ goodput_ratio: { min: 1 } }, 'goodput_ratio: there is no goodput_ratio; there are fromMs, toMs, offered,'],
    [
      { backends: { other: { busyRatio: { min: 1 } } } },
      'backends.other.busyRatio: there is no other; there are backend',
    ],
    [
      { goodputRatio: { minimum: 1 } },
      'report.assert: goodputRatio: unknown field minimum; there are min, max, fromMs, toMs',
    ],
    [{ goodputRatio: { min: 2, max: 1 } }, 'report.assert: goodputRatio: max must be a number ≥ 2, got 1'],
    [{ goodputRatio: { min: 'all' } }, 'report.assert: goodputRatio: min must be a number, got "all"'],
    [{ goodputRatio: { fromMs: 10_000 } }, 'fromMs must be a finite number ≥ 0 and < 10000, got 10000'],
    [{ goodputRatio: 0.95 }, 'report.assert: goodputRatio must be an object, got 0.95'],
    [
      { goodputRatio: { min: 0, fromMs: 1_001, toMs: 1_999 } },
      'no interval begins from 1001 to 1999 ms; they are 1000 ms long',
    ],
    [{ goodputRatio: { toMs: 9_000 } }, 'report.assert: goodputRatio: needs min, max or both: it bounds nothing'],
    [{ goodputRatio: [] }, 'report.assert: goodputRatio: an empty array bounds nothing'],
    [{ tiers: { min: 1 } }, 'report.assert: tiers.min must be an object, got 1'],
  ])('refuses %j', (expectations, message) => {
    expect(failure(() => report.assert(expectations as never))).toContain(message);
  });
});

describe('a report', () => {
  it('has the figures of any stretch of time', () => {
    expect(report.between(0, 10_000)).toEqual(report.totals);
    expect(report.between(2_000, 3_000)).toMatchObject({
      fromMs: 2_000,
      toMs: 3_000,
      offered: 100,
      goodput: 100,
      goodputPerSecond: 100,
    });
    expect(() => report.between(3_000, 2_000)).toThrow('report.between: toMs must be a finite number > 3000, got 2000');
  });

  it('is plain data in JSON, null where nothing is known', () => {
    const data = JSON.parse(JSON.stringify(report));
    expect(Object.keys(data)).toEqual(['name', 'seed', 'durationMs', 'intervalMs', 'totals', 'series']);
    expect(data.series[5]).toMatchObject({ goodput: 0, goodputRatio: 0, p99Ms: null });
    expect(data.series).toHaveLength(10);
  });

  it('draws itself, for light and dark, with all that the scenario has', () => {
    const svg = report.toSvg();
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg).toContain('outage &lt;1&gt;');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    for (const title of [
      'Calls per second',
      'Refused calls per second: circuit open',
      'Latency',
      'Busy workers',
      'client: circuitBreaker: rejectProbability',
    ])
      expect(svg).toContain(title);
    expect(svg).not.toContain('Waiting calls');
  });

  it('is a table of text, alone and beside others', async () => {
    const bare = await simulate({ ...SCENARIO, client: { retries: 2 } });
    const both = compareReports({ bare, guarded: report });
    const lines = both.toText().split('\n');
    expect(lines[0]).toMatch(/^ +bare +guarded$/);
    expect(lines.find((line) => line.startsWith('tries a call'))).toMatch(/1\.\d+ +0\.\d+$/);
    expect(report.toText()).toMatch(/^ +outage <1>\noffered +999\n/);
    const svg = both.toSvg();
    for (const text of ['bare', 'guarded', 'Goodput', 'Calls at back-ends']) expect(svg).toContain(text);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(compareReports({ bare }, 'A title').toSvg()).toContain('A title');
    expect(() => compareReports({})).toThrow(
      'compareReports: number of reports must be a finite number ≥ 1 and ≤ 5, got 0',
    );
    for (const [reports, message] of [
      [undefined, 'compareReports: reports must be an object, got undefined'],
      [null, 'compareReports: reports must be an object, got null'],
      [[bare], 'compareReports: reports must be an object, got an array'],
      [{ bare, a: 1 }, 'compareReports: a must be a report, got 1'],
    ] as const)
      expect(() => compareReports(reports as never)).toThrow(message);
  });

  it('compares by tier and key, the busiest and all others, and names what back-ends refused', async () => {
    const load = (key: string, tier: 1 | 2) => ({ arrivals: 'constant', ratePerSecond: 10, key, tier }) as const;
    const few = await simulate({ ...SCENARIO, load: [load('x', 1), load('y', 2)] });
    const svg = compareReports({ few }).toSvg();
    for (const of of ['tier 1', 'tier 2', 'key x', 'key y'])
      expect(svg).toContain(`Goodput of ${of}, calls per second`);
    const titlesOf = (report: Report): string[] =>
      [
        ...compareReports({ report })
          .toSvg()
          .matchAll(/Goodput of (.*?), calls/g),
      ].map(([, title]) => title as string);
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    const busyLast = keys.map((key, i) => ({ ...load(key, 1), ratePerSecond: 1 + i }));
    const busiest = ['key f', 'key e', 'key d', 'key c', 'all other keys'];
    expect(titlesOf(await simulate({ ...SCENARIO, load: busyLast }))).toEqual(busiest);
    expect(titlesOf(await simulate({ ...SCENARIO, load: busyLast.slice(2) }))).toEqual(
      keys.slice(2).map((key) => `key ${key}`),
    );
    // What the report itself has put together is no key.
    const tail = Array.from({ length: 40 }, (_, i) => ({ ...load(`x${i}`, 1), ratePerSecond: 0.5 }));
    expect(titlesOf(await simulate({ ...SCENARIO, load: [...busyLast, ...tail] }))).toEqual(busiest);
    const narrow = await simulate({ ...SCENARIO, client: {}, backend: { serviceTimeMs: 5_000, queue: 0 } });
    expect(narrow.toText()).toMatch(/^ {2}refused +\d/m);
    expect(few.toText()).not.toMatch(/^ {2}lost/m);
  });

  it('draws a run in which nothing happens', async () => {
    const empty = await simulate({ ...SCENARIO, load: { arrivals: 'constant', ratePerSecond: 0 } });
    expect(empty.toSvg()).not.toMatch(/NaN|Infinity|undefined/);
    expect(empty.toText()).toContain('–');
  });
});

describe('the histogram', () => {
  it('gives quantiles within 2.2 %, and exact means and maxima, also of two together', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.02, max: 1e7, noNaN: true }), { minLength: 1 }),
        fc.integer({ min: 0, max: 100 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (times, cut, ratio) => {
          const histogram = new Histogram();
          const other = new Histogram();
          times.forEach((ms, i) => {
            (i < cut ? histogram : other).add(ms);
          });
          histogram.addAll(other);
          const sorted = [...times].sort((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil(ratio * sorted.length)) - 1] as number;
          expect(Math.abs(histogram.quantile(ratio) / exact - 1)).toBeLessThan(0.0222);
          expect(histogram.max).toBe(sorted.at(-1));
          expect(histogram.mean).toBeCloseTo(times.reduce((a, b) => a + b, 0) / times.length, 3);
          expect(histogram.count).toBe(times.length);
        },
      ),
    );
  });

  it('holds 0, and knows nothing when empty', () => {
    const histogram = new Histogram();
    expect([histogram.mean, histogram.max, histogram.quantile(0.5)]).toEqual([NaN, NaN, NaN]);
    histogram.add(0);
    expect([histogram.mean, histogram.max, histogram.quantile(0.5)]).toEqual([0, 0, 0]);
  });
});

it('a panel holds as many points as there may be intervals', () => {
  const points = Array.from({ length: 100_000 }, (_, i) => [i, i % 7] as const);
  const lines = (['red', 'green', 'blue'] as const).map((colour) => ({ colour, points }));
  expect(panelOf('title', 150, [...lines, { colour: 'grey', points: [[0, Number.NaN]] }])).toMatchObject({ max: 6 });
  expect(panelOf('title', 150, lines, 100).max).toBe(100);
});

it('ticks are round, begin at 0 and reach what is drawn', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e12, noNaN: true }), (most) => {
      const ticks = niceTicks(most);
      expect(ticks[0]).toBe(0);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(most * (1 - 1e-6));
      expect(ticks.length).toBeLessThanOrEqual(6);
    }),
  );
  expect([niceTicks(0), niceTicks(NaN), niceTicks(180)]).toEqual([
    [0, 1],
    [0, 1],
    [0, 50, 100, 150, 200],
  ]);
});
