/**
 * The property of fused-and-nested.test.ts with the library's own policies: the same stack as it is, where the linker fuses
 * what it can, and with each policy hidden in a plain one. Everything that anybody can see must be the same: outcomes and
 * when they came, errors of earlier tries, the calls of the function and the fate of their signals, what each observer was
 * told in which order, and the snapshots of all policies and budgets at the end.
 *
 * Calls begin and timers fall due at times of their own, so that no two things happen at the same instant by accident.
 */
import {
  AbortScope,
  balancer,
  type Classify,
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  defaultClassify,
  dynamicTimeout,
  earlierErrors,
  fallback,
  hedge,
  keyed,
  keyedRateLimiter,
  type Policy,
  pipeline,
  type ResilienceEvent,
  rateLimiter,
  ratioBudget,
  retry,
  retryWindow,
  tierShedder,
  tokenBudget,
  waitUntil,
} from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { facts, shapeOf } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

interface Made {
  policy: Policy;
  snapshots?: (() => unknown)[];
}
interface Place {
  name: string;
  clock: ManualClock;
  random: () => number;
  observer: (event: ResilienceEvent) => void;
  classify?: Classify;
}
type Make = (place: Place, variant: number) => Made;

const withSnapshot = (policy: Policy & { snapshot(): unknown }): Made => ({
  policy,
  snapshots: [() => policy.snapshot()],
});
/** Which of `list` a variant, 0 to 11, has. */
const pick = <T>(variant: number, list: readonly T[]): T => list[variant % list.length] as T;

/** How long permits are kept: not at all, for a short time, for ever, for longer than the test. */
const ABANDONED_MS = [0, 3.37, Infinity, 30_000];

const limits = (variant: number) => ({
  load: () => 1,
  minLimit: 1,
  maxLimit: 1 + (variant % 2),
  abandonedMs: pick(variant >> 1, ABANDONED_MS),
});

const KINDS: Record<string, Make> = {
  rateLimiter: (place, variant) =>
    withSnapshot(
      rateLimiter({
        ...place,
        limit: 3,
        windowMs: 7.3,
        algorithm: pick(variant, ['log', 'buckets', 'counter'] as const),
      }),
    ),
  keyedRateLimiter: (place) => withSnapshot(keyedRateLimiter({ ...place, limit: 2, windowMs: 8.9 })),
  breaker: (place, variant) =>
    withSnapshot(circuitBreaker({ ...place, windowMs: 40, minRequests: 1 + (variant % 3), k: 1.1 })),
  'keyed breaker': ({ name, ...place }) => {
    const gate = keyed((key) => circuitBreaker({ ...place, name: `${name} ${key}`, windowMs: 40, minRequests: 2 }), {
      name,
    });
    // Which makes the gate of the calls without a key, as the linker does.
    expect(gate.clock).toBe(place.clock);
    return { policy: gate, snapshots: [() => [undefined, 'a', 'b'].map((key) => gate.peek(key)?.snapshot())] };
  },
  limiter: (place, variant) => withSnapshot(concurrencyLimiter({ ...place, ...limits(variant) })),
  'keyed limiter': ({ name, ...place }, variant) => {
    const gate = keyed((key) => concurrencyLimiter({ ...place, name: `${name} ${key}`, ...limits(variant) }), { name });
    expect(gate.clock).toBe(place.clock);
    return { policy: gate, snapshots: [() => [undefined, 'a', 'b'].map((key) => gate.peek(key)?.snapshot())] };
  },
  'adaptive limiter': (place, variant) =>
    withSnapshot(concurrencyLimiter({ ...place, load: () => 1, abandonedMs: pick(variant, ABANDONED_MS) })),
  queue: (place, variant) =>
    withSnapshot(
      concurrencyLimiter({
        ...place,
        ...limits(variant),
        queue: { maxSize: 2, maxWaitMs: 5.9, order: pick(variant, ['fifo', 'adaptive-lifo'] as const) },
      }),
    ),
  deadline: (place, variant) =>
    withSnapshot(
      deadline({ ...place, budgetMs: 14.7, maxAgeMs: 11.3, marginMs: pick(variant, [0, 2.1, 'auto'] as const) }),
    ),
  tierShedder: (place) => {
    let asked = 0;
    return withSnapshot(
      tierShedder({ ...place, load: () => (asked++ % 3 === 2 ? 0.1 : 0.97), windowMs: 9, hour: () => 1 }),
    );
  },
  balancer: (place, variant) => {
    const instances = balancer({
      ...place,
      instances: ['a', 'b'],
      choice: pick(variant, ['smooth', 'latency'] as const),
      consecutiveFailures: 2,
      abandonedMs: pick(variant >> 1, ABANDONED_MS),
    });
    return { policy: instances.policy() as Policy, snapshots: [() => instances.snapshot()] };
  },
  hedge: (place, variant) => {
    const budget = tokenBudget({ maxTokens: 4 });
    const made = withSnapshot(
      hedge({ ...place, afterMs: pick(variant, [0, 1.71, 4.3]), budget: variant % 2 === 0 ? [] : budget }),
    );
    return { ...made, snapshots: [...(made.snapshots ?? []), () => budget.snapshot()] };
  },
  fallback: (place, variant) =>
    withSnapshot(
      fallback(
        (error) => {
          if (variant % 3 === 0) throw new Error(`no answer for ${JSON.stringify(shapeOf(error))}`);
          return `instead of ${JSON.stringify(shapeOf(error))}`;
        },
        {
          name: place.name,
          observer: place.observer,
          fallbackOn: (error) => variant % 2 === 0 || error instanceof Error,
        },
      ),
    ),
  retry: (place, variant) => {
    const { clock, observer } = place;
    const budgets = [tokenBudget({ maxTokens: 4 }), ratioBudget({ clock }), retryWindow({ clock, observer })];
    const budget = variant % 4 === 3 ? [] : (budgets[variant % 4] as (typeof budgets)[number]);
    const made = withSnapshot(
      retry({
        ...place,
        budget,
        backoff: () => pick(variant >> 1, [0, 0, 1.13]),
        maxRetries: 1 + (variant % 2),
        ...(variant > 8 && {
          classify: ({ ok }: { ok: boolean }, { attempt }: Context) => (ok && attempt > 0 ? 'success' : 'failure'),
        }),
      }),
    );
    return { ...made, snapshots: [...(made.snapshots ?? []), ...budgets.map((one) => () => one.snapshot())] };
  },
  timeout: (place, variant) =>
    withSnapshot(dynamicTimeout({ ...place, limitMs: 5.17, maxMs: pick(variant, [5.17, 9.7]), samples: 2 })),
  async: ({ name, clock }) => ({ policy: { name, clock, run: async (ctx, next) => await next(ctx) } }),
  'async with finally': ({ name, clock }) => ({
    policy: {
      name,
      clock,
      run: async (ctx, next) => {
        try {
          return await next(ctx);
        } finally {
          await null;
        }
      },
    },
  }),
  'deaf wait': ({ name, clock }) => ({
    policy: {
      name,
      clock,
      run: async (ctx, next) => {
        await sleep(clock, 2.39);
        return next(ctx);
      },
    },
  }),
};

const BEHAVIOURS = [
  'value',
  'object',
  'throw',
  'reject',
  'later',
  'fail later',
  'hang deaf',
  'listen',
  'listen in two async functions',
  'answer on abort',
  'abort the caller',
  'abort the caller and hang',
  'body',
  'body that breaks off',
  'body that hangs',
] as const;
type Behaviour = (typeof BEHAVIOURS)[number];

interface Call {
  atMs: number;
  abort: 'never' | 'before' | number;
  by: 'signal' | 'scope';
  init: Partial<Context>;
}
interface Scenario {
  stack: { kind: string; variant: number }[];
  behaviours: Behaviour[];
  calls: Call[];
}

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  stack: fc.array(fc.record({ kind: fc.constantFrom(...Object.keys(KINDS)), variant: fc.nat({ max: 11 }) }), {
    minLength: 2,
    maxLength: 6,
  }),
  behaviours: fc.array(fc.constantFrom(...BEHAVIOURS), { minLength: 1, maxLength: 5 }),
  calls: fc.array(
    fc.record({
      atMs: fc.integer({ min: 0, max: 20 }),
      abort: fc.oneof(
        fc.constantFrom('never' as const, 'never' as const, 'before' as const),
        fc.integer({ min: 0, max: 15 }),
      ),
      by: fc.constantFrom('signal' as const, 'scope' as const),
      init: fc.record(
        {
          tier: fc.constantFrom(1, 2, 4),
          cost: fc.constantFrom(0, 2),
          deadline: fc.constantFrom(12, 30),
          key: fc.constantFrom('a', 'b'),
        },
        { requiredKeys: [] },
      ) as fc.Arbitrary<Partial<Context>>,
    }) as fc.Arbitrary<Call>,
    { minLength: 1, maxLength: 6 },
  ),
});

const sleep = (clock: ManualClock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });

const hidden = (policy: Policy, clock: ManualClock): Policy => ({
  name: policy.name,
  clock,
  run: (ctx, next) => policy.run(ctx, next),
});

const aborted = ({ signal }: Context): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

const never = new Promise<never>(() => {});

async function twoFunctions(ctx: Context): Promise<never> {
  const inner = async (): Promise<never> => {
    try {
      return await aborted(ctx);
    } finally {
      await null;
    }
  };
  try {
    return await inner();
  } finally {
    await null;
  }
}

type Logged = ResilienceEvent | { type: 'classify'; at: number; ok: boolean; attempt: number };
const byTime = (a: Logged, b: Logged): number => a.at - b.at || (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Runs the scenario and returns all that anybody could see of it. */
async function observe(scenario: Scenario, nested: boolean): Promise<Record<string, unknown>> {
  const clock = manualClock();
  const events: Record<string, Logged[]> = {};
  const snapshots: Record<string, (() => unknown)[]> = {};
  const stack = scenario.stack.map(({ kind, variant }, i) => {
    const name = `${i} ${kind}`;
    const log: Logged[] = [];
    const { policy, snapshots: own = [] } = (KINDS[kind] as Make)(
      {
        name,
        clock,
        random: seededRandom(i + 1),
        observer: (event) => log.push(event),
        // Judges as the default does, and tells when.
        ...(variant % 2 === 1 && {
          classify: (outcome, ctx) => {
            log.push({ type: 'classify', at: clock.now(), ok: outcome.ok, attempt: ctx.attempt });
            return defaultClassify(outcome, ctx);
          },
        }),
      },
      variant,
    );
    events[name] = log;
    snapshots[name] = own;
    return nested || policy.clock === undefined ? hidden(policy, clock) : policy;
  });
  const guard = pipeline(...stack);

  const called: unknown[][] = scenario.calls.map(() => []);
  const signals: [string, AbortSignal][] = [];
  const behave = (ctx: Context, i: number, abort: (reason: unknown) => void): unknown => {
    const mine = called[i] as unknown[];
    const name = `${i}.${mine.length}`;
    const behaviour = pick(i + mine.length, scenario.behaviours);
    mine.push([behaviour, clock.now(), facts(ctx)]);
    const { signal } = ctx;
    if (behaviour !== 'value') signals.push([name, signal]);
    switch (behaviour) {
      case 'object':
        return { name };
      case 'throw':
        throw new Error(`${name} throws`);
      case 'reject':
        return Promise.reject(new Error(`${name} rejects`));
      case 'later':
        return sleep(clock, 3.03).then(() => ({ name }));
      case 'fail later':
        return sleep(clock, 3.03).then(() => Promise.reject(new Error(`${name} fails`)));
      case 'hang deaf':
        return never;
      case 'listen':
        return aborted(ctx);
      case 'listen in two async functions':
        return twoFunctions(ctx);
      case 'answer on abort':
        return aborted(ctx).catch(() => ({ name }));
      case 'abort the caller':
        abort(new Error(`${name} aborts`));
        return { name };
      case 'abort the caller and hang':
        abort(new Error(`${name} aborts`));
        return never;
      case 'body':
        waitUntil(ctx, sleep(clock, 4.7));
        return { name };
      case 'body that breaks off':
        waitUntil(
          ctx,
          sleep(clock, 4.7).then(() => Promise.reject(new Error('broken off'))),
        );
        return { name };
      case 'body that hangs':
        waitUntil(ctx, never);
        return { name };
      default:
        return name;
    }
  };

  const outcomes: unknown[] = scenario.calls.map(() => 'pending');
  scenario.calls.forEach(({ atMs, abort, by, init }, i) => {
    clock.setTimer(
      () => {
        const caller = by === 'signal' ? new AbortController() : new AbortScope();
        const signal = caller instanceof AbortController ? caller.signal : caller;
        if (abort === 'before') caller.abort(new Error(`caller ${i}`));
        else if (abort !== 'never') clock.setTimer(() => caller.abort(new Error(`caller ${i}`)), abort);
        guard
          .execute((ctx) => behave(ctx, i, (reason) => caller.abort(reason)), { ...init, signal })
          .then(
            (value) => {
              outcomes[i] = [clock.now(), 'value', value];
            },
            (error) => {
              outcomes[i] = [clock.now(), 'error', shapeOf(error), earlierErrors(error).map(shapeOf)];
            },
          );
      },
      atMs + i * 0.01,
    );
  });
  await clock.advance(300);
  // Two attempts at once that an abort ends in the same instant end in any order.
  if (stack.some(({ name }) => name.endsWith('hedge'))) for (const log of Object.values(events)) log.sort(byTime);
  return {
    outcomes,
    called,
    events,
    signals: signals.map(([name, { aborted, reason }]) => [name, aborted, shapeOf(reason)]).sort(),
    snapshots: Object.fromEntries(Object.entries(snapshots).map(([name, own]) => [name, own.map((take) => take())])),
  };
}

it('policies of the library are the same side by side and one in another', async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const fused = await observe(scenario, false);
      const nested = await observe(scenario, true);
      expect(fused).toEqual(nested);
      scenario.calls.forEach(({ atMs, abort }, i) => {
        if (typeof abort !== 'number') return;
        const [endedAt] = (fused.outcomes as [number][])[i] as [number];
        expect(endedAt).toBeLessThanOrEqual(atMs + i * 0.01 + abort + 1e-9);
      });
    }),
    { numRuns: process.env.MUTATION_TESTS === undefined ? 700 : 60 },
  );
});
