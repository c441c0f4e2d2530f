import {
  type Clock,
  type Context,
  derive,
  dynamicTimeout,
  type Gate,
  type Policy,
  pipeline,
  RejectedError,
  systemClock,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../simulation/recording-gate.js';

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock(1_000);
});

/** A middleware that writes down when it is entered and left. */
const recorder = (name: string, log: string[]): Policy => ({
  name,
  async run(ctx, next) {
    log.push(`> ${name}`);
    try {
      return await next(ctx);
    } finally {
      log.push(`< ${name}`);
    }
  },
});

const setting = (changes: Partial<Context>): Policy => ({
  name: 'setting',
  run: (ctx, next) => next(derive(ctx, changes as Partial<typeof ctx>)),
});

const refusing = (name = 'gate'): RecordingGate => new RecordingGate(name, clock, { admit: ['no'], retryAfter: [7.5] });

describe('order', () => {
  it('runs the first policy outermost', async () => {
    const log: string[] = [];
    const policies = pipeline(recorder('a', log), recorder('b', log), recorder('c', log));
    await policies.execute(() => log.push('function'));
    expect(log).toEqual(['> a', '> b', '> c', 'function', '< c', '< b', '< a']);
  });

  it('asks gates from the outside in and gives permits back from the inside out', async () => {
    const log: string[] = [];
    const gate = (name: string, admit: boolean) => {
      const made = new RecordingGate(name, clock, { admit: [admit ? 'yes' : 'no'] });
      vi.spyOn(made, 'tryAcquire').mockImplementation(() => log.push(`> ${name}`) > 0 && admit);
      vi.spyOn(made, 'release').mockImplementation(() => log.push(`< ${name}`) && undefined);
      return made;
    };
    await pipeline(gate('a', true), gate('b', true)).execute(() => log.push('function'));
    expect(log.splice(0)).toEqual(['> a', '> b', 'function', '< b', '< a']);
    await pipeline(gate('a', true), gate('b', true), gate('c', false), gate('d', true)).tryExecute(() =>
      log.push('function'),
    );
    expect(log).toEqual(['> a', '> b', '> c', '< b', '< a']);
  });

  it('is what describe tells, with the second of a name told apart', () => {
    const log: string[] = [];
    const gate = (name: string): RecordingGate => new RecordingGate(name, clock);
    const policies = pipeline(gate('limit'), recorder('log', log), gate('limit'), gate('limit'), recorder('log', log));
    expect(policies.describe()).toBe('limit (gate)\nlog\nlimit#2 (gate)\nlimit#3 (gate)\nlog#2');
    expect(pipeline().describe()).toBe('');
  });

  it('gives the policies as they were given, and cannot be changed through them', () => {
    const given = [refusing('a'), refusing('b')];
    const policies = pipeline(...given);
    given.pop();
    expect(policies.policies.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(() => (policies.policies as Policy[]).pop()).toThrow(TypeError);
  });
});

describe('the function', () => {
  const stacks: [string, () => Policy[]][] = [
    ['no policies', () => []],
    ['a gate', () => [new RecordingGate('gate', clock)]],
    ['a middleware', () => [setting({})]],
    ['gates around a middleware', () => [new RecordingGate('a', clock), setting({}), new RecordingGate('b', clock)]],
  ];

  it.each(stacks)('may return a value, a promise or any thenable: %s', async (_, stack) => {
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
    const thenable = { then: (resolve: (value: string) => void) => resolve('thenable') };
    const policies = pipeline(...stack());
    expect(await policies.execute(() => 'value')).toBe('value');
    expect(await policies.execute(async () => 'promise')).toBe('promise');
    expect(await policies.execute(() => thenable as unknown as PromiseLike<string>)).toBe('thenable');
    expect(await policies.execute(() => undefined)).toBe(undefined);
    expect(await policies.tryExecute(() => 'value')).toEqual({ ok: true, value: 'value' });
  });

  it.each(stacks)('may throw at once or reject, with anything: %s', async (_, stack) => {
    const policies = pipeline(...stack());
    for (const error of [new Error('broken'), 'text', undefined, null, 0]) {
      const throwing = (): never => {
        throw error;
      };
      for (const fn of [throwing, () => Promise.reject(error)]) {
        await expect(policies.execute(fn)).rejects.toBe(error);
        await expect(policies.tryExecute(fn)).rejects.toBe(error);
        await expect(policies.wrap(fn)()).rejects.toBe(error);
      }
    }
  });

  it.each(stacks)('is called with the context, once a call: %s', async (_, stack) => {
    const fn = vi.fn((ctx: Context) => [ctx.key, ctx.tier, ctx.cost, ctx.attempt, ctx.deadline]);
    expect(await pipeline(...stack()).execute(fn, { key: 'k' })).toEqual(['k', 3, 1, 0, Infinity]);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it('must be a function', async () => {
    for (const fn of [undefined, null, 5, {}] as never[]) {
      await expect(pipeline(refusing()).execute(fn)).rejects.toThrow(TypeError);
      await expect(pipeline(refusing()).tryExecute(fn)).rejects.toThrow(TypeError);
    }
  });
});

describe('refusals', () => {
  it('reject with a RejectedError that has the label in the pipeline', async () => {
    const fn = vi.fn();
    const gates = [new RecordingGate('gate', clock), refusing()];
    const error = await pipeline(...gates)
      .execute(fn)
      .catch((e) => e);
    expect(error).toBeInstanceOf(RejectedError);
    expect(error).toMatchObject({ policy: 'gate#2', reason: 'rate_limited', retryAfterMs: 7.5 });
    expect(fn).not.toHaveBeenCalled();
  });

  it('tell the gates further out nothing about the callee', async () => {
    const outer = new RecordingGate('outer', clock);
    await pipeline(outer, refusing()).tryExecute(() => 1);
    await pipeline(outer, setting({}), refusing()).tryExecute(() => 1);
    await expect(pipeline(outer, refusing()).execute(() => 1)).rejects.toBeInstanceOf(RejectedError);
    expect(outer.verdicts).toEqual(['ignored', 'ignored', 'ignored']);
    expect(outer.permitsInUse).toBe(0);
  });

  it('are judged as a RejectedError by the classify of a gate further out', async () => {
    const classify = vi.fn(() => 'dropped' as const);
    const outer = Object.assign(new RecordingGate('outer', clock), { classify });
    for (const stack of [
      [outer, refusing()],
      [outer, setting({}), refusing()],
    ]) {
      await pipeline(...stack).tryExecute(() => 1, { key: 'k' });
      const [outcome, ctx] = classify.mock.lastCall as unknown as [{ ok: boolean; error: unknown }, Context];
      expect(outcome.ok).toBe(false);
      expect(outcome.error).toBeInstanceOf(RejectedError);
      expect(outcome.error).toMatchObject({ policy: 'gate', retryAfterMs: 7.5 });
      expect(ctx.key).toBe('k');
    }
    expect(outer.verdicts).toEqual(['dropped', 'dropped']);
  });

  it.each([
    ['outermost', () => [refusing()]],
    ['behind a gate', () => [new RecordingGate('outer', clock), refusing()]],
    ['behind a middleware', () => [setting({}), refusing()]],
    [
      'behind gates and a timeout',
      () => [new RecordingGate('outer', clock), dynamicTimeout({ limitMs: 9, maxMs: 9, clock }), refusing()],
    ],
  ] as [string, () => Policy[]][])('are a value to tryExecute: %s', async (_, stack) => {
    const rejection = { policy: 'gate', reason: 'rate_limited', retryAfterMs: 7.5 };
    const result = await pipeline(...stack()).tryExecute(() => 1);
    expect(result).toEqual({ ok: false, rejection });
    expect(JSON.stringify(result)).toBe(JSON.stringify({ ok: false, rejection }));
    expect((result as { rejection: object }).rejection).not.toBeInstanceOf(Error);
    expect(clock.waiting).toBe(0);
  });

  it('of another pipeline, thrown by the function, are the function’s own affair', async () => {
    const other = pipeline(refusing('other'));
    for (const stack of [[], [new RecordingGate('gate', clock)], [setting({}), new RecordingGate('gate', clock)]]) {
      await expect(pipeline(...stack).tryExecute(() => other.execute(() => 1))).rejects.toMatchObject({
        policy: 'other',
      });
      await expect(pipeline(...stack).tryExecute((ctx) => other.execute(() => 1, ctx))).rejects.toMatchObject({
        policy: 'other',
      });
    }
  });

  it('may be replaced by a middleware', async () => {
    const fallback: Policy = {
      name: 'fallback',
      run: <C, R>(ctx: C, next: (ctx: C) => Promise<R>) => next(ctx).catch(() => 'other' as R),
    };
    expect(await pipeline(fallback, refusing()).tryExecute(() => 'value')).toEqual({ ok: true, value: 'other' });
  });
});

describe('tryExecute', () => {
  afterEach(() => vi.restoreAllMocks());

  it('makes no error object when the outermost gates refuse', async () => {
    const assign = vi.spyOn(Object, 'create');
    const trace = vi.spyOn(Error, 'captureStackTrace');
    const policies = pipeline(new RecordingGate('a', clock), refusing(), new RecordingGate('c', clock), setting({}));
    const made = (): number => assign.mock.calls.filter(([prototype]) => prototype instanceof Error).length;
    await policies.tryExecute(() => 1);
    expect(made()).toBe(0);
    // The same does make one where it is thrown: the test can tell.
    await policies.execute(() => 1).catch(() => {});
    expect(made()).toBe(1);
    expect(trace).not.toHaveBeenCalled();
  });
});

describe('wrap', () => {
  it('passes the arguments on behind the context, and makes init from them', async () => {
    const fn = pipeline(new RecordingGate('gate', clock)).wrap(
      (ctx, id: string, count: number) => [ctx.key, ctx.tier, id, count],
      (id) => ({ key: `user ${id}`, tier: 1 }),
    );
    expect(await fn('a', 2)).toEqual(['user a', 1, 'a', 2]);
    expect(await fn('b', 3)).toEqual(['user b', 1, 'b', 3]);
  });

  it('takes an init for all calls', async () => {
    expect(await pipeline().wrap((ctx) => ctx.key, { key: 'all' })()).toBe('all');
    expect(await pipeline().wrap((ctx) => ctx.key)()).toBe(undefined);
  });

  it('rejects with what making the init throws', async () => {
    const fn = pipeline().wrap(
      () => 1,
      () => {
        throw new Error('no key');
      },
    );
    await expect(fn()).rejects.toThrow('no key');
  });
});

describe('configuration', () => {
  it('refuses two clocks, and names who has them', () => {
    const other = manualClock();
    const stack = [setting({}), new RecordingGate('a', clock), new RecordingGate('b', other)];
    expect(() => pipeline(...stack)).toThrow(
      new TypeError('pipeline: all policies must share one clock; b has another than a'),
    );
    expect(() => pipeline(new RecordingGate('a', clock), new RecordingGate('a', other))).toThrow(
      /a#2 has another than a$/,
    );
    expect(() => pipeline(new RecordingGate('a', clock), dynamicTimeout({ limitMs: 1, maxMs: 1 }))).toThrow(
      /dynamicTimeout has another/,
    );
  });

  it('gives calls the clock of the policies, or the system clock where they have none', async () => {
    const clockOf = (...stack: Policy[]): Promise<Clock> => pipeline(...stack).execute((ctx) => ctx.clock);
    expect(await clockOf(setting({}), new RecordingGate('gate', clock))).toBe(clock);
    expect(await clockOf(setting({}))).toBe(systemClock);
  });

  it.each([undefined, null, 5, 'gate', {}, { name: 'x' }, { run: () => {} }, { name: 5, run: () => {} }])(
    'refuses %o for a policy, and says which argument it is',
    (policy) => {
      expect(() => pipeline(setting({}), policy as never)).toThrow(/^pipeline: argument 2 must be a policy/);
    },
  );
});

describe('clock reads', () => {
  /** How often the clock is read in one call of `fn` under `stack`. */
  async function reads(stack: (clock: Clock) => Policy[], fn: () => unknown = () => 1): Promise<number> {
    let count = 0;
    const counting: Clock = {
      now: () => {
        count++;
        return clock.now();
      },
      setTimer: (run, ms) => clock.setTimer(run, ms),
      clearTimer: (timer) => clock.clearTimer(timer),
    };
    const policies = pipeline(...stack(counting));
    count = 0;
    await policies.execute(fn).catch(() => {});
    return count;
  }
  /** A gate that never looks at the clock by itself. */
  const quiet = (name: string, of: Clock, usesElapsed: boolean | undefined, admit = true): Gate => ({
    name,
    clock: of,
    reason: 'rate_limited',
    usesElapsed,
    tryAcquire: () => admit,
    release: () => {},
    retryAfterMs: () => 0,
    run: () => Promise.reject(new Error('not fused')),
  });
  const gates = (of: Clock, ...uses: (boolean | undefined)[]): Policy[] =>
    uses.map((one, i) => quiet(`g${i}`, of, one));
  const fail = () => Promise.reject(new Error('x'));

  it('are one on the way in and one on the way out, whatever the number of gates', async () => {
    expect(await reads((of) => gates(of, true))).toBe(2);
    expect(await reads((of) => gates(of, true, undefined, true, true, true))).toBe(2);
    expect(await reads((of) => gates(of, undefined, undefined), fail)).toBe(2);
    expect(await reads((of) => gates(of, false, true, false))).toBe(2);
  });

  it('are none on the way out when no gate uses the elapsed time', async () => {
    expect(await reads((of) => gates(of, false, false, false))).toBe(1);
    expect(await reads((of) => gates(of, false), fail)).toBe(1);
    expect(await reads((of) => [quiet('g', of, true, false)])).toBe(1);
    expect(await reads((of) => [quiet('a', of, false), quiet('b', of, true, false)])).toBe(1);
  });
});
