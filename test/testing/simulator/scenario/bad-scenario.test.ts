import { pipeline, retry } from 'evenkeel';
import { type ClientEnv, type Scenario, simulate } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

const GOOD: Scenario = {
  seed: 1,
  durationMs: 1_000,
  load: { arrivals: 'constant', ratePerSecond: 10 },
  backend: { serviceTimeMs: 10 },
};
const backend = (changes: object): object => ({ backend: { serviceTimeMs: 10, ...changes } });
const load = (changes: object): object => ({ load: { ...GOOD.load, ...changes } });

it.each<[object, string]>([
  [{ seed: 1.5 }, 'simulate: seed must be a whole number'],
  [{ seed: undefined }, 'simulate: seed must be'],
  [{ durationMs: 0 }, 'simulate: durationMs must be a finite number > 0, got 0'],
  [{ intervalMs: 2_000 }, 'simulate: intervalMs must be a finite number > 0 and ≤ 1000, got 2000'],
  [{ intervalMs: 1e-6 }, 'simulate: intervalMs must be ≥ durationMs / 100000, 0.01, got 0.000001'],
  [{ name: '' }, 'simulate: name must be a string that is not empty'],
  [
    { wrong: 1 },
    'simulate: unknown option wrong; there are name, seed, durationMs, intervalMs, load, clockSteps, client, backend',
  ],
  [
    { client: { timeout: 1 } },
    'simulate: client: unknown option timeout; there are route, timeoutMs, retries, retryDelayMs, cancels, pipeline',
  ],
  [{ load: undefined }, 'simulate: load must be a load, or an array of them, got undefined'],
  [{ load: [] }, 'simulate: load must be a load, or an array of them, got an empty array'],
  [{ load: 5 }, 'simulate: load must be a load, or an array of them, got 5'],
  [{ load: [GOOD.load, null] }, 'simulate: load[1] must be an object, got null'],
  [
    load({ arrivals: 'often' }),
    "simulate: load: arrivals must be 'constant' or 'poisson' or 'bursts' or 'users', got \"often\"",
  ],
  [load({ ratePerSecond: -1 }), 'simulate: load: ratePerSecond must be a finite number ≥ 0, got -1'],
  [
    load({
      ratePerSecond: [
        { atMs: 5, ratePerSecond: 1 },
        { atMs: 4, ratePerSecond: 1 },
      ],
    }),
    'simulate: load: ratePerSecond[1]: atMs must be ≥ the one before, 5, got 4',
  ],
  [
    load({ ratePerSecond: [{ atMs: 5 }] }),
    'simulate: load: ratePerSecond[0]: ratePerSecond must be a finite number ≥ 0, got undefined',
  ],
  [load({ ratePerSecond: [5] }), 'simulate: load: ratePerSecond[0] must be an object, got 5'],
  [load({ tier: 5 }), 'simulate: load: tier must be 1, 2, 3, 4 or a function, got 5'],
  [load({ key: 5 }), 'simulate: load: key must be a string or a function, got 5'],
  [load({ tier: () => 9 }), 'simulate: load: tier: its result must be 1, 2, 3 or 4, got 9'],
  [load({ tier: () => Number.NaN }), 'simulate: load: tier: its result must be 1, 2, 3 or 4, got NaN'],
  [load({ key: () => 9 }), 'simulate: load: key: its result must be a string, got 9'],
  [load({ fromMs: 5_000 }), 'simulate: load: fromMs must be ≤ the durationMs, 1000, got 5000'],
  [load({ cost: -1 }), 'simulate: load: cost must be a finite number ≥ 0, got -1'],
  [load({ fromMs: 500, toMs: 400 }), 'simulate: load: toMs must be ≥ fromMs, which is 500, got 400'],
  [
    load({ rate: 5 }),
    'simulate: load: unknown option rate; there are arrivals, toMs, fromMs, tier, key, cost, ratePerSecond',
  ],
  [load({ thinkTimeMs: 5 }), "simulate: load: thinkTimeMs has no meaning where arrivals is 'constant'"],
  [load({ users: 5 }), "simulate: load: users has no meaning where arrivals is 'constant'"],
  [
    load({ arrivals: 'bursts', calls: 1, everyMs: 1 }),
    "simulate: load: ratePerSecond has no meaning where arrivals is 'bursts'",
  ],
  [{ load: { arrivals: 'bursts', calls: 0, everyMs: 5 } }, 'simulate: load: calls must be a whole number ≥ 1, got 0'],
  [
    { load: { arrivals: 'bursts', calls: 1, everyMs: 0 } },
    'simulate: load: everyMs must be a finite number > 0, got 0',
  ],
  [{ load: { arrivals: 'users', users: 2 } }, 'simulate: load: thinkTimeMs must be a number ≥ 0, a function, or {'],
  [{ backend: undefined }, 'simulate: backend must be a back-end, or an array of them, got undefined'],
  [{ backend: [] }, 'simulate: backend must be a back-end, or an array of them, got an empty array'],
  [{ backend: {} }, 'simulate: backend: serviceTimeMs must be a number ≥ 0, a function, or {'],
  [
    { backend: [{ serviceTimeMs: 1 }, { serviceTimeMs: -1 }] },
    'simulate: backend[1]: serviceTimeMs must be a finite number ≥ 0, got -1',
  ],
  [backend({ serviceTimeMs: { distribution: 'normal' } }), 'simulate: backend: serviceTimeMs: distribution must be'],
  [backend({ serviceTimeMs: { distribution: 'exponential' } }), 'simulate: backend: serviceTimeMs: meanMs must be'],
  [
    backend({ serviceTimeMs: { distribution: 'exponential', meanMs: 1, sigma: 2 } }),
    'simulate: backend: serviceTimeMs: unknown option sigma',
  ],
  [
    backend({ serviceTimeMs: { distribution: 'uniform', minMs: 2, maxMs: 1 } }),
    'simulate: backend: serviceTimeMs: maxMs must be ≥ minMs, which is 2, got 1',
  ],
  [
    backend({ serviceTimeMs: { distribution: 'lognormal', medianMs: 2, p99Ms: 1 } }),
    'simulate: backend: serviceTimeMs: p99Ms must be ≥ medianMs, which is 2, got 1',
  ],
  [backend({ workers: -1 }), 'simulate: backend: workers must be a whole number ≥ 0 or Infinity, got -1'],
  [backend({ workers: 1.5 }), 'simulate: backend: workers must be a whole number ≥ 0 or Infinity, got 1.5'],
  [backend({ queue: -1 }), 'simulate: backend: queue must be a whole number ≥ 0 or Infinity, got -1'],
  [backend({ queue: 0.5 }), 'simulate: backend: queue must be a whole number ≥ 0 or Infinity, got 0.5'],
  [backend({ slowdown: 0 }), 'simulate: backend: slowdown must be a finite number > 0, got 0'],
  [backend({ order: 'random' }), "simulate: backend: order must be 'fifo' or 'lifo' or 'adaptive', got \"random\""],
  [backend({ outage: true }), "simulate: backend: outage must be 'none' or 'refuse' or 'hang', got true"],
  [backend({ errorRatio: 1.5 }), 'simulate: backend: errorRatio must be a finite number ≥ 0 and ≤ 1, got 1.5'],
  [
    backend({ errorRatio: () => 2 }),
    'simulate: backend: errorRatio: its result must be a finite number ≥ 0 and ≤ 1, got 2',
  ],
  [backend({ wrokers: 5 }), 'simulate: backend: unknown option wrokers'],
  [backend({ pipeline: 5 }), 'simulate: backend: pipeline must be a function, got 5'],
  [
    backend({ schedule: [{ outage: 'hang' }] }),
    'simulate: backend: schedule[0]: atMs must be a finite number ≥ 0, got undefined',
  ],
  [
    backend({ schedule: [{ atMs: 1, workers: 'many' }] }),
    'simulate: backend: schedule[0]: workers must be a whole number ≥ 0 or Infinity, got "many"',
  ],
  [
    backend({ schedule: [{ atMs: 2 }, { atMs: 1 }] }),
    'simulate: backend: schedule[1]: atMs must be ≥ the one before, 2, got 1',
  ],
  [
    backend({ schedule: [{ atMs: 2, name: 'b' }] }),
    'simulate: backend: schedule[0]: unknown option name; there are atMs, errorRatio, workers, serviceTimeMs, slowdown, queue, order, errorTimeMs, outage',
  ],
  [
    {
      backend: [
        { serviceTimeMs: 1, name: 'a' },
        { serviceTimeMs: 1, name: 'a' },
      ],
    },
    'simulate: backend[1]: name must be another than that of a back-end before, got "a"',
  ],
  [
    backend({ calls: { backend: { serviceTimeMs: 1, queue: 'x' } } }),
    'simulate: backend: calls: backend: queue must be a whole number ≥ 0 or Infinity, got "x"',
  ],
  [
    backend({ calls: [{ client: { retries: 0.5 }, backend: { serviceTimeMs: 1 } }] }),
    'simulate: backend: calls[0]: client: retries must be a whole number ≥ 0, got 0.5',
  ],
  [{ client: { timeoutMs: 0 } }, 'simulate: client: timeoutMs must be a number > 0, got 0'],
  [
    { client: { route: 'nearest' } },
    "simulate: client: route must be 'round-robin', 'random' or a function, got \"nearest\"",
  ],
  [{ client: { route: () => 7 } }, 'simulate: client: route: its result must be a place from 0 to 0, got 7'],
  [{ client: { route: () => '0' } }, 'simulate: client: route: its result must be a place from 0 to 0, got "0"'],
  [
    { client: { pipeline: ({ watch }: ClientEnv) => watch('x', 5 as never) } },
    'simulate: client: watch("x"): snapshot must be a function, got 5',
  ],
  [
    { load: [{ arrivals: 'users', users: 5, thinkTimeMs: 0 }], backend: { serviceTimeMs: 10, outage: 'refuse' } },
    'simulate: load[0]: thinkTimeMs must be > 0 while calls are answered at once, as at 0 ms: the users would call for ever',
  ],
  [{ client: { retryDelayMs: 'long' } }, 'simulate: client: retryDelayMs must be'],
  [{ client: { cancels: 1 } }, 'simulate: client: cancels must be true or false, got 1'],
  [{ client: 5 }, 'simulate: client must be an object, got 5'],
  [{ clockSteps: [{ atMs: 1 }] }, 'simulate: clockSteps[0]: byMs must be a finite number, got undefined'],
])('refuses %j', async (changes, message) => {
  await expect(simulate({ ...GOOD, ...changes } as Scenario)).rejects.toThrow(message);
});

it('refuses what is no scenario, and what are no options', async () => {
  await expect(simulate(undefined as never)).rejects.toThrow('simulate: scenario must be an object, got undefined');
  await expect(simulate(GOOD, { onProgress: 5 as never })).rejects.toThrow(
    'simulate: onProgress must be a function, got 5',
  );
});

describe('what a function of the scenario throws is no failed call:', () => {
  const fail = (): never => {
    throw new Error('mine');
  };
  const failing = { serviceTimeMs: 10, errorRatio: 1 };
  it.each<[string, object]>([
    ['serviceTimeMs', backend({ serviceTimeMs: fail })],
    ['errorTimeMs', backend({ ...failing, errorTimeMs: fail })],
    ['errorRatio', backend({ errorRatio: fail })],
    ['retryDelayMs', { client: { retries: 1, retryDelayMs: fail }, backend: failing }],
    ['route', { client: { route: fail } }],
    ['tier', load({ tier: fail })],
    ['key', load({ key: fail })],
    ['thinkTimeMs', { load: { arrivals: 'users', users: 1, thinkTimeMs: fail } }],
  ])('%s', async (_, changes) => {
    await expect(simulate({ ...GOOD, ...changes } as Scenario)).rejects.toThrow(/^mine$/);
    const { client } = changes as Scenario;
    // A policy that takes it for a failure changes nothing.
    const guarded = { ...client, pipeline: ({ clock }: ClientEnv) => pipeline(retry({ clock })) };
    await expect(simulate({ ...GOOD, ...changes, client: guarded } as Scenario)).rejects.toThrow(/^mine$/);
  });

  it('also where it is no error', async () => {
    const scenario = backend({
      serviceTimeMs: () => {
        throw undefined;
      },
    });
    await expect(simulate({ ...GOOD, ...scenario } as Scenario)).rejects.toBe(undefined);
  });
});

it('lets many users call at once whose calls take time, without a pause between them', async () => {
  const users = { arrivals: 'users', users: 11_000, thinkTimeMs: 0 } as const;
  const { totals } = await simulate({
    ...GOOD,
    durationMs: 15,
    load: users,
    backend: { serviceTimeMs: 10, workers: Infinity },
  });
  expect(totals.offered).toBe(22_000);
});

it('refuses a back-end that calls itself', async () => {
  const loop: Scenario['backend'] = { serviceTimeMs: 1, name: 'loop' };
  loop.calls = { backend: loop };
  await expect(simulate({ ...GOOD, backend: loop })).rejects.toThrow(
    'simulate: backend: calls: backend: a back-end that calls itself',
  );
});

it('neither keeps nor changes a scenario', async () => {
  const scenario = structuredClone(GOOD);
  const running = simulate(scenario);
  scenario.durationMs = 5;
  (scenario.backend as { serviceTimeMs: number }).serviceTimeMs = 5_000;
  expect((await running).totals).toEqual((await simulate(GOOD)).totals);
});
