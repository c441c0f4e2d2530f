/**
 * THE property of the pipeline: adjacent gates, retries and a time limit run as one step, and nobody can tell. The same
 * stack runs twice, as it is (fused) and with each of these hidden in a plain policy (nested), on the same virtual time;
 * all that the caller, the function, each middleware and each gate see must be the same.
 *
 * Logs are compared per policy and key, not across them: in which microtask of an instant a policy hears of a call differs,
 * the order within a policy does not. So nothing here makes one call depend on what another does in the same instant:
 * every call has a key of its own, by which gates and function decide; the timeout is a constant one; each call has its
 * own signal.
 */
import {
  type Context,
  derive,
  dynamicTimeout,
  earlierErrors,
  type Next,
  type Pipeline,
  type Policy,
  pipeline,
  RejectedError,
  retry,
  TimeoutError,
  waitUntil,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  facts,
  firstStep,
  type GateScript,
  type LogEntry,
  RecordingGate,
  shapeOf,
} from '../../simulation/recording-gate.js';

const MIDDLEWARES = ['pass', 'derive', 'twice', 'again', 'swallow', 'throw', 'throw after', 'wait'] as const;
type MiddlewareKind = (typeof MIDDLEWARES)[number];
/** What shares a step with gates. */
const FUSIBLES = [
  'timeout',
  'retry',
  'retry at once',
  'retry later',
  'retry what classify says',
  'retry without budget',
] as const;
type FusibleKind = (typeof FUSIBLES)[number];

const BEHAVIOURS = [
  'value',
  'throw',
  'reject',
  'refuse',
  'time out',
  'jump',
  'later',
  'fail later',
  'hang',
  'hang deaf',
  'fail when aborted',
  'abort the caller',
  'body',
  'body that breaks off',
  'body that hangs',
] as const;
type Behaviour = (typeof BEHAVIOURS)[number];

const HANGS: readonly Behaviour[] = ['hang', 'hang deaf', 'fail when aborted', 'body that hangs'];

interface Call {
  atMs: number;
  by: 'execute' | 'tryExecute' | 'wrap';
  abort: 'never' | 'before' | number;
  init: Partial<Context>;
}
interface Scenario {
  stack: (MiddlewareKind | FusibleKind | GateScript)[];
  behaviours: Behaviour[];
  calls: Call[];
}

const list = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(arbitrary, { minLength: 1, maxLength: 4 });
/** `usual` most of the time, so that most calls get deep into the stack. */
const mostly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3 * others.length, arbitrary: fc.constant(usual) }, ...others.map((one) => fc.constant(one)));

const gateScripts: fc.Arbitrary<GateScript> = fc.record({
  admit: list(mostly<'yes' | 'no' | 'throw'>('yes', 'no', 'throw')),
  release: list(mostly<'ok' | 'throw'>('ok', 'throw')),
  classify: fc.option(list(fc.constantFrom('success', 'failure', 'dropped', 'ignored', 'throw', 'nonsense')), {
    nil: undefined,
  }),
  retryAfter: list(mostly<number | 'throw'>(0, 12.5, 'throw')),
  reason: fc.constantFrom('rate_limited', 'circuit_open'),
  usesElapsed: fc.constantFrom(undefined, true, false),
  captureStack: mostly(false, true),
  holds: fc.constantFrom(undefined, 'work'),
  abandonedMs: fc.constantFrom(undefined, 0, 20, Infinity),
});

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  stack: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: gateScripts },
      { weight: 2, arbitrary: fc.constantFrom(...MIDDLEWARES) },
      { weight: 4, arbitrary: fc.constantFrom(...FUSIBLES) },
    ),
    {
      minLength: 1,
      maxLength: 6,
    },
  ),
  behaviours: list(fc.constantFrom(...BEHAVIOURS)),
  calls: fc.array(
    fc.record({
      atMs: fc.integer({ min: 0, max: 20 }),
      by: fc.constantFrom('execute', 'tryExecute', 'wrap'),
      abort: fc.oneof(fc.constantFrom('never' as const, 'before' as const), fc.integer({ min: 0, max: 25 })),
      init: fc.record(
        {
          tier: fc.constantFrom(1, 4),
          cost: fc.constantFrom(0, 2),
          deadline: fc.constantFrom(5, Infinity),
          receivedAt: fc.constant(-3),
        },
        { requiredKeys: [] },
      ),
    }) as fc.Arbitrary<Call>,
    { minLength: 1, maxLength: 4 },
  ),
});

const sleep = (clock: ManualClock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimer(resolve, ms);
  });

function fusible(kind: FusibleKind, name: string, clock: ManualClock, log: LogEntry[]): Policy {
  if (kind === 'timeout') return dynamicTimeout({ limitMs: 9, maxMs: 9, clock, name });
  const note = (event: string, key: string | undefined, ...rest: unknown[]): void => {
    log.push({ key, event, at: clock.now(), ctx: undefined, rest });
  };
  return retry({
    name,
    clock,
    budget: [],
    random: () => 0,
    backoff: () =>
      kind === 'retry later' ? 4 : kind === 'retry at once' || kind === 'retry what classify says' ? 0 : 1,
    maxRetries: kind === 'retry without budget' ? 0 : 2,
    retryOn: (error, ctx) => {
      note('retryOn', ctx.key, ctx.attempt, shapeOf(error));
      return true;
    },
    ...(kind === 'retry what classify says' && {
      classify: (outcome, ctx) => {
        note('classify', ctx.key, ctx.attempt, outcome.ok ? outcome.value : shapeOf(outcome.error));
        if (firstStep(ctx.key) % 3 === 2) throw new Error(`classify of ${name}`);
        return ctx.attempt % 2 === 0 ? 'failure' : 'success';
      },
    }),
  });
}

const isFusible = (kind: MiddlewareKind | FusibleKind): kind is FusibleKind =>
  (FUSIBLES as readonly string[]).includes(kind);

const hidden = (policy: Policy): Policy => ({
  name: policy.name,
  clock: policy.clock,
  run: (ctx, next) => policy.run(ctx, next),
});

function middleware(kind: MiddlewareKind, name: string, clock: ManualClock, log: LogEntry[]): Policy {
  const nextAttempt = ({ attempt, key }: Context): Partial<Context> => ({
    attempt: attempt + 1,
    key: `${key}.${name}`,
    startedAt: clock.now(),
  });
  const kinds: Record<MiddlewareKind, <C extends Context, R>(ctx: C, next: Next<C, R>) => Promise<R>> = {
    pass: (ctx, next) => next(ctx),
    derive: (ctx, next) => next(derive(ctx, { key: `${ctx.key}.${name}`, cost: 3, deadline: 50 })),
    twice: async (ctx, next) => {
      await next(ctx);
      return next(derive<typeof ctx>(ctx, nextAttempt(ctx)));
    },
    again: async (ctx, next) => {
      try {
        return await next(ctx);
      } catch {
        return next(derive<typeof ctx>(ctx, nextAttempt(ctx)));
      }
    },
    // Neither is async: what `next` throws at once would go past them.
    swallow: <C extends Context, R>(ctx: C, next: Next<C, R>) =>
      next(ctx).catch((error: unknown) => ({ swallowed: shapeOf(error) }) as R),
    throw: () => {
      throw new Error(`${name} throws at once`);
    },
    'throw after': (ctx, next) =>
      next(ctx).finally(() => {
        throw new Error(`${name} throws after`);
      }),
    wait: async (ctx, next) => {
      await sleep(clock, 3);
      return next(derive(ctx, { startedAt: clock.now() }));
    },
  };
  const run = kinds[kind];
  return {
    name,
    clock,
    run: (ctx, next) => {
      const note = (event: string, result?: unknown): void => {
        log.push({ key: ctx.key, event, at: clock.now(), ctx: facts(ctx), rest: [shapeOf(result)] });
      };
      note('in');
      const promise = run(ctx, next);
      promise.then(
        (value) => note('value', value),
        (error) => note('error', error),
      );
      return promise;
    },
  };
}

/** Runs the scenario and returns all that anybody could see of it. */
async function observe(scenario: Scenario, nested: boolean): Promise<Record<string, unknown>> {
  const clock = manualClock();
  late = [];
  const gates: RecordingGate[] = [];
  const logs: Record<string, LogEntry[]> = {};
  const stack = scenario.stack.map((one, i): Policy => {
    if (typeof one === 'string') {
      const name = `m${i}`;
      logs[name] = [];
      if (!isFusible(one)) return middleware(one, name, clock, logs[name]);
      const policy = fusible(one, name, clock, logs[name]);
      return nested ? hidden(policy) : policy;
    }
    const gate = new RecordingGate(`g${i}`, clock, one);
    gates.push(gate);
    return nested ? hidden(gate) : gate;
  });
  const policies: Pipeline = pipeline(...stack);

  const functionLog: LogEntry[] = [];
  const behave = (ctx: Context, caller: AbortController): unknown => {
    const { key } = ctx;
    const note = (event: string, ...rest: unknown[]): void => {
      functionLog.push({ key, event, at: clock.now(), ctx: facts(ctx), rest });
    };
    const behaviour = scenario.behaviours[firstStep(key) % scenario.behaviours.length] as Behaviour;
    note(behaviour);
    switch (behaviour) {
      case 'throw':
        throw new Error(`function ${key} throws`);
      case 'reject':
        return Promise.reject(`function ${key} rejects`);
      case 'refuse':
        throw new RejectedError({ policy: 'of another pipeline', reason: 'too_old', retryAfterMs: 7 });
      case 'time out':
        return Promise.reject(new TimeoutError('of another pipeline', 5));
      case 'jump':
        clock.jump(6);
        return key;
      case 'later':
        return sleep(clock, 6).then(() => key);
      case 'fail later':
        return sleep(clock, 6).then(() => Promise.reject(new Error(`function ${key} fails later`)));
      case 'hang':
      case 'fail when aborted':
        return new Promise((_, reject) => {
          ctx.signal.addEventListener('abort', () => {
            note('aborted', shapeOf(ctx.signal.reason));
            reject(behaviour === 'hang' ? ctx.signal.reason : new Error('after the abort'));
          });
        });
      case 'hang deaf':
        return new Promise(() => {});
      case 'body':
        waitUntil(ctx, sleep(clock, 6));
        return key;
      case 'body that breaks off':
        waitUntil(
          ctx,
          sleep(clock, 6).then(() => Promise.reject(new Error('broken off'))),
        );
        return key;
      case 'body that hangs':
        waitUntil(ctx, new Promise(() => {}));
        return key;
      case 'abort the caller':
        caller.abort(`by function ${key}`);
        return key;
      default:
        return key;
    }
  };

  const outcomes: unknown[] = scenario.calls.map(() => 'pending');
  scenario.calls.forEach(({ atMs, by, abort, init }, i) => {
    clock.setTimer(() => {
      const caller = new AbortController();
      if (abort === 'before') caller.abort(`caller ${i}`);
      else if (abort !== 'never') clock.setTimer(() => caller.abort(new Error(`caller ${i}`)), abort);
      const given = { ...init, key: `call ${i}`, ...(abort !== 'never' && { signal: caller.signal }) };
      const fn = (ctx: Context): unknown => behave(ctx, caller);
      const call = by === 'wrap' ? policies.wrap(fn, given)() : policies[by](fn, given);
      call.then(
        (value) => {
          outcomes[i] = [clock.now(), 'value', value];
        },
        (error) => {
          outcomes[i] = [clock.now(), 'error', shapeOf(error), earlierErrors(error).map(shapeOf)];
        },
      );
    }, atMs);
  });
  await clock.advance(1_000);

  // Only work that never ends may hold a permit.
  const permits = gates.map(({ name, permitsInUse }) => [name, permitsInUse]);
  for (const gate of gates) {
    const mayHold = scenario.behaviours.some((one) => HANGS.includes(one));
    if (!mayHold) expect([gate.name, gate.permitsInUse]).toEqual([gate.name, 0]);
  }
  for (const gate of gates) logs[gate.name] = gate.log;
  logs.function = functionLog;
  return {
    outcomes,
    permits,
    late: late.sort(),
    ...Object.fromEntries(Object.entries(logs).map(([who, log]) => [who, byKey(log)])),
  };
}

const byKey = (log: LogEntry[]): Map<string | undefined, LogEntry[]> => {
  const keys = new Set(log.map(({ key }) => key).sort());
  return new Map([...keys].map((key) => [key, log.filter((entry) => entry.key === key)]));
};

/** What reaches the host alone: errors of what happens after the answer. */
let late: unknown[] = [];
const { queueMicrotask } = globalThis;
beforeEach(() => {
  vi.stubGlobal('queueMicrotask', (fn: () => void) =>
    queueMicrotask(() => {
      try {
        fn();
      } catch (error) {
        late.push(shapeOf(error));
      }
    }),
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
});

it('policies side by side and the same policies one in another are indistinguishable', async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const fused = await observe(scenario, false);
      const nested = await observe(scenario, true);
      expect(fused).toEqual(nested);
    }),
    // Fewer under mutation testing, which runs it a thousand times.
    { numRuns: process.env.MUTATION_TESTS === undefined ? 2_500 : 250 },
  );
});
