/** Reports of short runs and of runs with different back-ends, and what a back-end knows of itself. */
import { type Context, derive, type Policy, pipeline } from 'evenkeel';
import { type BackendEnv, compareReports, type Report, type Scenario, simulate } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';

const SHORT: Scenario = {
  seed: 1,
  durationMs: 2_000,
  load: { arrivals: 'constant', ratePerSecond: 100 },
  backend: { workers: 4, serviceTimeMs: 20 },
};

it('a short run is drawn in milliseconds, a long one in seconds', async () => {
  const short = (await simulate(SHORT)).toSvg();
  expect(short).toContain('>time, ms</text>');
  expect(short).toContain(' calls in 2,000 ms of virtual time');
  const long = (await simulate({ ...SHORT, durationMs: 5_000 })).toSvg();
  expect(long).toContain('>time, s</text>');
  expect(long).toContain(' calls in 5 s of virtual time');
});

it('a table says nothing of a back-end that a run did not have', async () => {
  const [one, other] = await Promise.all(
    ['one', 'other'].map((name) => simulate({ ...SHORT, backend: { workers: 4, serviceTimeMs: 20, name } })),
  );
  const lines = compareReports({ one: one as never, other: other as never })
    .toText()
    .split('\n');
  const place = lines.findIndex((line) => /^other$/.test(line));
  expect(lines.slice(place + 1, place + 3)).toEqual([
    expect.stringMatching(/^ {2}received +– +\d+$/),
    expect.stringMatching(/^ {2}busy +– +[\d.]+ %$/),
  ]);
});

it('a comparison shows load amplification and waiting calls only where there are any', async () => {
  const calm = compareReports({ calm: await simulate(SHORT) }).toSvg();
  const slow = { workers: 1, serviceTimeMs: 20 };
  const jammed = compareReports({
    jammed: await simulate({ ...SHORT, client: { timeoutMs: 100, retries: 2 }, backend: slow }),
  }).toSvg();
  for (const title of ['Calls at back-ends for each call of a user', 'Calls that wait at the back-ends']) {
    expect(calm).not.toContain(title);
    expect(jammed).toContain(title);
  }
});

describe('a comparison of runs that differ in their load', () => {
  const rate = (ratePerSecond: number): Partial<Scenario> => ({ load: { arrivals: 'constant', ratePerSecond } });
  const dashes = (svg: string): string[] =>
    [...svg.matchAll(/<path class="line dashes (\w+)" d="M[^"h]*"\/>/g)].map(([, colour]) => colour as string);
  const subtitle = (svg: string): string =>
    [...svg.matchAll(/<text class="minor" x="64" y="(?:52|68)">(.*?)</g)].map(([, text]) => text).join(' ');

  it('draws what was offered to each, in its colour; once where that is the same', async () => {
    const [few, many] = (await Promise.all([10, 50].map((n) => simulate({ ...SHORT, ...rate(n) })))) as [
      Report,
      Report,
    ];
    const svg = compareReports({ few, many }).toSvg();
    expect(dashes(svg)).toEqual(['red', 'green']);
    expect(svg.match(/>offered</g)).toHaveLength(1);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const slow = await simulate({ ...SHORT, ...rate(10), backend: { serviceTimeMs: 60 } });
    expect(dashes(compareReports({ few, slow }).toSvg())).toEqual(['grey']);
  });

  it('is called by the name that all have, else by what they are called', async () => {
    const a = await simulate({ ...SHORT, name: 'A' });
    const b = await simulate({ ...SHORT, name: 'B' });
    expect(compareReports({ one: a, two: a }).toSvg()).toContain('class="title" x="64" y="30">A</text>');
    expect(compareReports({ one: a, two: b }).toSvg()).toContain('class="title" x="64" y="30">one, two</text>');
    expect(compareReports({ one: a, two: b }, 'Title').toSvg()).toContain('class="title" x="64" y="30">Title</text>');
  });

  it('tells seeds and durations, by one scale of time', async () => {
    const short = await simulate({ ...SHORT, seed: 7 });
    const long = await simulate({ ...SHORT, durationMs: 10_000 });
    const both = compareReports({ short, long });
    const svg = both.toSvg();
    expect(subtitle(svg)).toMatch(/\. Virtual time 2,000 ms \/ 10 s, seeds 7 \/ 1\.$/);
    expect(svg).toContain('>time, s</text>');
    // The middle of its last interval of 20 ms, at 1.99 of 10 s.
    expect(/<path class="line {2}red" d="M[^"h]*L([\d.]+) [\d.]+"/.exec(svg)?.[1]).toBe('179');
    expect(both.toText().split('\n').slice(1, 3)).toEqual([
      expect.stringMatching(/^virtual time +2,000 ms +10,000 ms$/),
      expect.stringMatching(/^seed +7 +1$/),
    ]);
    const alike = compareReports({ short, again: short });
    expect(subtitle(alike.toSvg())).toMatch(/\. Virtual time, seed 7\.$/);
    expect(alike.toText()).not.toMatch(/^(virtual time|seed)/m);
  });

  it('has room for long names: paths lose their folders first', async () => {
    const run = await simulate(SHORT);
    const svg = compareReports({
      'x/short.ts': run,
      'examples/scenarios/first-of-all-files.ts#bare': run,
      [`a/${'b'.repeat(40)}.ts`]: run,
    }).toSvg();
    const names = [...svg.matchAll(/<path class="line {2}\w+" d="M[\d.]+ [\d.]+h18"\/><text [^>]*>(.*?)</g)].map(
      ([, text]) => text,
    );
    expect(names.slice(0, 3)).toEqual(['x/short.ts', '…t-of-all-files.ts#bare', `…${'b'.repeat(19)}.ts`]);
    expect(names[1]).toHaveLength(23);
    for (const [, x, text] of svg.matchAll(/<text class="minor" x="([\d.]+)" y="[\d.]+">(.*?)</g))
      expect(Number(x) + 6 * (text as string).length).toBeLessThan(760);
  });
});

it.each([
  ['two of its four workers', { workers: 4 }, 0.5],
  ['no end of workers', { workers: Infinity }, 0],
  ['no worker at all', { workers: 0, queue: 5 }, 1],
])('a back-end with %s busy knows its share', async (_, backend, share) => {
  let env: BackendEnv | undefined;
  const seen: number[] = [];
  const look: Policy = {
    name: 'look',
    run: (ctx, next) => {
      ctx.clock.setTimer(() => seen.push(env?.busyRatio() as number), 15);
      return next(ctx);
    },
  };
  await simulate({
    ...SHORT,
    // One each 10 ms, of 20 ms: two under way at 15 ms after an arrival.
    client: { pipeline: () => pipeline(look) },
    backend: {
      serviceTimeMs: 20,
      ...backend,
      pipeline: (given) => {
        env = given;
        return pipeline();
      },
    },
  });
  expect(seen.length).toBeGreaterThan(100);
  expect(new Set(seen.slice(5, 100))).toEqual(new Set([share]));
});

it('there is no share of busy workers where there is no end of them, or has been', async () => {
  const backend = { workers: 4, serviceTimeMs: 20, schedule: [{ atMs: 1_000, workers: Infinity }] };
  const report = await simulate({ ...SHORT, backend });
  expect(report.totals.backends.backend?.busyRatio).toBe(Number.NaN);
  expect(report.between(0, 1_000).backends.backend?.busyRatio).toBeCloseTo(0.5, 1);
  expect(report.between(1_000, 2_000).backends.backend).toMatchObject({
    busyRatio: Number.NaN,
    inFlight: expect.closeTo(2, 1),
  });
  expect(report.toText()).toMatch(/^ {2}busy +–$/m);
});

it('report.assert passes over what is undefined, and refuses a bound that is none, and what is no figure', async () => {
  const report = await simulate(SHORT);
  report.assert({ goodput: { min: 100 }, tiers: { 1: undefined }, keys: undefined } as never);
  expect(() => report.assert({ goodputRatio: [{ min: 0 }, null] } as never)).toThrow(
    'report.assert: goodputRatio: a bound must be an object, got null',
  );
  expect(() => report.assert({ backends: { backend: [{ min: 1 }] } } as never)).toThrow(
    'backends.backend: it is no figure',
  );
});

it('a policy may name the back-end by an object with its name', async () => {
  const choose: Policy = {
    name: 'choose',
    run: (ctx, next) => next(derive(ctx, { instance: { name: 'b' } } as Partial<Context>)),
  };
  const { totals } = await simulate({
    ...SHORT,
    client: { pipeline: () => pipeline(choose) },
    backend: [
      { name: 'a', serviceTimeMs: 1 },
      { name: 'b', serviceTimeMs: 1 },
    ],
  });
  expect([totals.backends.a?.received, totals.backends.b?.received]).toEqual([0, totals.offered]);
});

it('a back-end that two back-ends call is one', async () => {
  const shared = { backend: { name: 'store', serviceTimeMs: 1 } };
  const { totals } = await simulate({
    ...SHORT,
    backend: [
      { name: 'a', serviceTimeMs: 1, calls: shared },
      { name: 'b', serviceTimeMs: 1, calls: shared },
    ],
  });
  expect(Object.keys(totals.backends).sort()).toEqual(['a', 'b', 'store']);
  expect(totals.backends.store?.received).toBe(totals.offered);
});

it('a caller who goes in the very moment its work begins is no harm to others', async () => {
  let caller = new AbortController();
  const signalled: Policy = {
    name: 'signalled',
    run: (ctx, next) => {
      caller = new AbortController();
      return next(derive(ctx, { signal: caller.signal }));
    },
  };
  let begun = 0;
  const third: Policy = {
    name: 'third',
    run: (ctx, next) => {
      if (++begun % 3 === 0) caller.abort(new Error('gone'));
      return next(ctx);
    },
  };
  const { totals } = await simulate({
    ...SHORT,
    client: { pipeline: () => pipeline(signalled) },
    backend: { serviceTimeMs: 5, workers: 1, pipeline: () => pipeline(third) },
  });
  expect(totals).toMatchObject({ offered: 199, goodput: 133, errors: 66, unfinished: 0 });
});

it('a key that comes late is drawn from the beginning, as one that has no calls yet', async () => {
  const load = { arrivals: 'constant', ratePerSecond: 100 } as const;
  const late = await simulate({
    ...SHORT,
    load: [
      { ...load, key: 'a' },
      { ...load, key: 'b', fromMs: 1_000 },
    ],
  });
  expect(late.series[0]?.keys.b).toBe(undefined);
  const svg = compareReports({ late }).toSvg();
  expect(svg).toContain('Goodput of key b, calls per second');
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

it('is the same on a host without setImmediate', async () => {
  // Each event takes a turn of the host there, and a turn a millisecond.
  const short = { ...SHORT, durationMs: 200 };
  const usual = await simulate(short);
  vi.stubGlobal('setImmediate', undefined);
  vi.resetModules();
  try {
    const there = await import('evenkeel/testing');
    expect((await there.simulate(short)).toJSON()).toEqual(usual.toJSON());
  } finally {
    vi.unstubAllGlobals();
  }
});

it('is the same under fake timers, which nobody moves on', { timeout: 10_000 }, async () => {
  const usual = await simulate(SHORT);
  vi.useFakeTimers();
  try {
    expect((await simulate(SHORT)).toJSON()).toEqual(usual.toJSON());
  } finally {
    vi.useRealTimers();
  }
});

it('has round intervals also where the duration is a hair off', async () => {
  const load = { arrivals: 'constant', ratePerSecond: 1 } as const;
  const { intervalMs, series } = await simulate({ ...SHORT, load, durationMs: 49_999.999_999_999_99 });
  expect([intervalMs, series.length]).toEqual([1_000, 50]);
});
