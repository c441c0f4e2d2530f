import {
  type Clock,
  type Context,
  derive,
  dynamicTimeout,
  type Gate,
  type Next,
  type Policy,
  pipeline,
  systemClock,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

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
  run: (ctx, next) => next(derive<typeof ctx>(ctx, changes)),
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
      const error = new TypeError(`pipeline: execute needs a function, got ${typeof fn}`);
      await expect(pipeline(refusing()).execute(fn)).rejects.toStrictEqual(error);
      await expect(pipeline(refusing()).tryExecute(fn)).rejects.toStrictEqual(error);
      expect(() => pipeline().wrap(fn)).toThrow(new TypeError(`pipeline: wrap needs a function, got ${typeof fn}`));
    }
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

  it.each([undefined, null, 5, 'gate', [], {}, { name: 'x' }, { run: () => {} }, { name: 5, run: () => {} }])(
    'refuses %o for a policy, and says which argument it is',
    (policy) => {
      expect(() => pipeline(setting({}), policy as never)).toThrow(
        new TypeError(
          `pipeline: argument 2 must be a policy, an object with name and run, got ${Array.isArray(policy) ? 'an array' : typeof policy}`,
        ),
      );
    },
  );

  it.each(['tryAcquire', 'release', 'retryAfterMs'])(
    'takes what has no %s for a policy that is no gate',
    async (part) => {
      const { name, tryAcquire, release, retryAfterMs } = refusing();
      const run = vi.fn((ctx: Context, next: Next<Context, unknown>) => next(ctx));
      const policy = { name, tryAcquire, release, retryAfterMs, run } as Record<string, unknown>;
      delete policy[part];
      const policies = pipeline(policy as unknown as Policy);
      expect(policies.describe()).toBe(name);
      expect(await policies.execute(() => 'value')).toBe('value');
      expect(run).toHaveBeenCalledOnce();
    },
  );
});

describe('the elapsed time that a gate is told', () => {
  const elapsed = ({ log }: RecordingGate): unknown[] =>
    log.flatMap(({ event, rest }) => (event === 'release' ? [rest[1]] : []));

  it('counts from the start of the attempt, which a policy that waits sets anew', async () => {
    const [outer, inner] = [new RecordingGate('outer', clock), new RecordingGate('inner', clock)];
    const waiting: Policy = {
      name: 'waiting',
      run: (ctx, next) => {
        clock.jump(100);
        return next(derive(ctx, { startedAt: clock.now() }));
      },
    };
    await pipeline(outer, waiting, inner).execute(() => clock.jump(7), { receivedAt: 3 });
    await pipeline(outer, waiting, inner)
      .execute(() => Promise.reject(clock.jump(8)))
      .catch(() => {});
    expect([elapsed(outer), elapsed(inner)]).toEqual([
      [107, 108],
      [7, 8],
    ]);
  });

  it('is the same where a time limit inside has measured it', async () => {
    const gates = ['a', 'b'].map((name) => new RecordingGate(name, clock));
    const policies = pipeline(...gates, dynamicTimeout({ limitMs: 9, maxMs: 9, clock }));
    await policies.execute(() => clock.jump(7));
    await policies.execute(() => Promise.reject(clock.jump(8))).catch(() => {});
    expect(gates.map(elapsed)).toEqual([
      [7, 8],
      [7, 8],
    ]);
  });

  it('is never negative, not even when the clock steps back', async () => {
    const gate = new RecordingGate('gate', clock);
    const limit = dynamicTimeout({ limitMs: 9, maxMs: 9, clock });
    for (const stack of [[gate], [gate, limit]]) {
      await pipeline(...stack).execute(() => clock.jump(-20));
      await pipeline(...stack)
        .execute(() => Promise.reject(clock.jump(-20)))
        .catch(() => {});
    }
    expect(elapsed(gate)).toEqual([0, 0, 0, 0]);
  });

  it('is 0 where no gate of the step asks for it', async () => {
    const told: unknown[] = [];
    const release = (_verdict: unknown, elapsedMs: number): number => told.push(elapsedMs);
    const policies = pipeline(Object.assign(new RecordingGate('gate', clock, { usesElapsed: false }), { release }));
    await policies.execute(() => clock.jump(7));
    await policies.execute(() => Promise.reject(clock.jump(8))).catch(() => {});
    expect(told).toEqual([0, 0]);
  });
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
    // A clock without setTimerAt is read once more.
    const limit = (of: Clock) => dynamicTimeout({ limitMs: 9, maxMs: 9, clock: of });
    expect(await reads((of) => [...gates(of, true, true), limit(of)])).toBe(3);
    expect(await reads((of) => [...gates(of, true, true), limit(of)], fail)).toBe(3);
  });

  it('are none on the way out when no gate uses the elapsed time', async () => {
    expect(await reads((of) => gates(of, false, false, false))).toBe(1);
    expect(await reads((of) => gates(of, false), fail)).toBe(1);
    expect(await reads((of) => [quiet('g', of, true, false)])).toBe(1);
    expect(await reads((of) => [quiet('a', of, false), quiet('b', of, true, false)])).toBe(1);
  });
});
