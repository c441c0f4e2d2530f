import { type Context, derive, dynamicTimeout, type Policy, pipeline, type Tier } from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock(1_000);
});

const setting = (changes: Partial<Context>): Policy => ({
  name: 'setting',
  run: (ctx, next) => next(derive<typeof ctx>(ctx, changes)),
});

describe('init', () => {
  const contextOf = (init: Partial<Context>): Promise<Context> =>
    pipeline(new RecordingGate('gate', clock)).execute((ctx) => ctx, init);

  it('gives the call its facts', async () => {
    const init = { key: 'k', tier: 1, cost: 0, deadline: 5_000, receivedAt: 900, attempt: 2 } as const;
    expect(await contextOf(init)).toMatchObject({ ...init, startedAt: 1_000 });
  });

  it('may leave all of them out', async () => {
    const { attempt, key, tier, cost, startedAt, receivedAt, deadline } = await contextOf({});
    expect({ attempt, key, tier, cost, startedAt, receivedAt, deadline }).toEqual({
      attempt: 0,
      key: undefined,
      tier: 3,
      cost: 1,
      startedAt: 1_000,
      receivedAt: 1_000,
      deadline: Infinity,
    });
  });

  it('takes undefined for not given', async () => {
    const gone = { cost: undefined, tier: undefined, deadline: undefined, signal: undefined, receivedAt: undefined };
    const ctx = await pipeline(new RecordingGate('gate', clock)).execute((ctx) => ctx, gone);
    expect(ctx).toMatchObject({ cost: 1, tier: 3, deadline: Infinity, receivedAt: 1_000 });
  });

  it('does not take a new prototype from parsed JSON', async () => {
    const init = JSON.parse('{ "__proto__": { "cost": 7 }, "key": "a" }');
    const ctx = await pipeline(new RecordingGate('gate', clock)).execute((ctx) => ctx, init);
    expect([ctx.key, ctx.cost]).toEqual(['a', 1]);
  });

  it.each([9, 0, -1, 2.5, NaN, '1', null, {}])('counts tier %s as 4', async (tier) => {
    expect((await contextOf({ tier: tier as Tier })).tier).toBe(4);
  });

  it.each([1, 2, 3, 4] as const)('keeps tier %s', async (tier) => {
    expect((await contextOf({ tier })).tier).toBe(tier);
  });

  it.each<[string, unknown, ErrorConstructor, string]>([
    ['cost', NaN, RangeError, 'a finite number ≥ 0, got NaN'],
    ['cost', -1, RangeError, 'a finite number ≥ 0, got -1'],
    ['cost', Infinity, RangeError, 'a finite number ≥ 0, got Infinity'],
    ['cost', '1', TypeError, 'a finite number ≥ 0, got "1"'],
    ['cost', null, TypeError, 'a finite number ≥ 0, got null'],
    ['attempt', -1, RangeError, 'a whole number ≥ 0, got -1'],
    ['attempt', 0.5, RangeError, 'a whole number ≥ 0, got 0.5'],
    ['startedAt', NaN, RangeError, 'a finite number, got NaN'],
    ['deadline', NaN, RangeError, 'a number, got NaN'],
    ['deadline', '5', TypeError, 'a number, got "5"'],
    ['deadline', null, TypeError, 'a number, got null'],
    ['receivedAt', NaN, RangeError, 'a finite number, got NaN'],
    ['receivedAt', Infinity, RangeError, 'a finite number, got Infinity'],
    ['receivedAt', new Date(), TypeError, 'a finite number, got an object'],
    ['signal', 'signal', TypeError, 'an AbortSignal or an AbortScope, got "signal"'],
    ['signal', null, TypeError, 'an AbortSignal or an AbortScope, got null'],
    ['signal', { addEventListener: vi.fn() }, TypeError, 'an AbortSignal or an AbortScope, got an object'],
    ['signal', { removeEventListener: vi.fn() }, TypeError, 'an AbortSignal or an AbortScope, got an object'],
    ['clock', manualClock(), TypeError, "the pipeline's own, got another one"],
    ['key', 5, TypeError, 'a string, got 5'],
    ['key', null, TypeError, 'a string, got null'],
  ])('refuses %s %o before a permit is taken', async (field, value, type, message) => {
    const gate = new RecordingGate('gate', clock);
    const fn = vi.fn();
    for (const policies of [pipeline(gate), pipeline(setting({}), gate)]) {
      const init = { [field]: value };
      const error = new type(`context: ${field} must be ${message}`);
      await expect(policies.execute(fn, init)).rejects.toStrictEqual(error);
      await expect(policies.tryExecute(fn, init)).rejects.toStrictEqual(error);
    }
    expect(fn).not.toHaveBeenCalled();
    expect(gate.log).toEqual([]);
  });

  it.each([null, 5, 'key', true])('refuses %j instead of an object', async (init) => {
    const error = new TypeError(`context: init must be an object, got ${JSON.stringify(init)}`);
    await expect(pipeline().execute(() => 1, init as never)).rejects.toStrictEqual(error);
  });
});

describe('derive', () => {
  type Custom = Context & { user: string; trace?: { id: number } };
  const policies = (...stack: Policy<Custom>[]) => pipeline<Custom>(new RecordingGate('gate', clock), ...stack);

  it('keeps custom fields, and takes changes and new ones', async () => {
    const trace = { id: 1 };
    const stack = policies(
      { name: 'a', run: (ctx, next) => next(derive(ctx, { attempt: 5 })) },
      { name: 'b', run: (ctx, next) => next(derive(ctx, { trace } as Partial<typeof ctx>)) },
      { name: 'c', run: (ctx, next) => next(derive(ctx, { key: undefined })) },
    );
    const ctx = await stack.execute((given) => given, { user: 'ann', key: 'k' });
    expect([ctx.user, ctx.trace, ctx.attempt, ctx.key]).toEqual(['ann', trace, 5, undefined]);
    expect(ctx.trace).toBe(trace);
  });

  it('keeps all of it also where policies only add an abort, one around the other', async () => {
    const timeout = (): Policy => dynamicTimeout({ limitMs: 5, maxMs: 5, clock });
    const init = { user: 'ann', key: 'k', tier: 1, cost: 2, deadline: 9_000, receivedAt: 5, attempt: 1 } as const;
    const ctx = await policies(timeout(), timeout(), timeout()).execute((given) => given, init);
    expect(ctx).toMatchObject(init);
  });

  it('changes nothing about the context that it was given', async () => {
    await policies().execute(
      (ctx) => {
        const facts = () => [
          ctx.user,
          ctx.trace,
          ctx.key,
          ctx.tier,
          ctx.cost,
          ctx.attempt,
          ctx.startedAt,
          ctx.receivedAt,
          ctx.deadline,
        ];
        const before = facts();
        const changes = Object.freeze({
          user: 'bob',
          trace: { id: 2 },
          key: 'other',
          tier: 1,
          cost: 9,
          attempt: 3,
          startedAt: 1,
          receivedAt: 2,
          deadline: 3,
        } as const);
        const made = derive(ctx, changes);
        expect(made).toMatchObject(changes);
        expect(facts()).toEqual(before);
      },
      { user: 'ann' },
    );
  });

  it('keeps when the request was received and started, unless told', async () => {
    await pipeline(new RecordingGate('gate', clock)).execute((ctx) => {
      clock.jump(50);
      const later = derive(ctx, { startedAt: clock.now() });
      expect([later.startedAt, later.receivedAt]).toEqual([1_050, 1_000]);
      expect([derive(later, {}).startedAt, derive(later, {}).receivedAt]).toEqual([1_050, 1_000]);
    });
  });

  it('checks what it is given', async () => {
    await pipeline(new RecordingGate('gate', clock)).execute((ctx) => {
      expect(() => derive(ctx, { cost: -1 })).toThrow(
        new RangeError('context: cost must be a finite number ≥ 0, got -1'),
      );
      expect(derive(ctx, { tier: 7 as Tier }).tier).toBe(4);
    });
  });

  it('refuses a copy of a context', async () => {
    await pipeline(new RecordingGate('gate', clock)).execute((ctx) => {
      expect(() => derive({ ...ctx } as Context, {})).toThrow(
        /^derive: ctx must be a context that a pipeline has passed on/,
      );
    });
  });

  it('is the only way to another context: next refuses a copy', async () => {
    const copying: Policy = { name: 'copying', run: (ctx, next) => next({ ...ctx }) };
    const fn = vi.fn();
    await expect(pipeline(copying).execute(fn)).rejects.toThrow(
      /^next: ctx must be the context that the policy was given, or made from it by derive/,
    );
    expect(fn).not.toHaveBeenCalled();
  });

  it.each([undefined, null, 5, 'ctx'])('next refuses %s, and the gate behind it takes no permit', async (wrong) => {
    const careless: Policy = { name: 'careless', run: (_, next) => next(wrong as never) };
    const gate = new RecordingGate('gate', clock);
    const fn = vi.fn();
    const error = new TypeError(
      `next: ctx must be the context that the policy was given, or made from it by derive, got ${wrong}`,
    );
    for (const policies of [pipeline(careless), pipeline(careless, gate), pipeline(careless, setting({}))]) {
      await expect(policies.execute(fn)).rejects.toStrictEqual(error);
    }
    expect(fn).not.toHaveBeenCalled();
    expect(gate.log).toEqual([]);
  });
});

describe('a context as the init of a pipeline further in', () => {
  type Custom = Context & { user: string };

  it('hands on key, tier, deadline and own fields, and begins anew', async () => {
    const outer = pipeline<Custom>(new RecordingGate('outer', clock), setting({ cost: 4 }));
    const inner = pipeline<Custom>(new RecordingGate('inner', clock), setting({}));
    const init = { key: 'k', tier: 1, deadline: 9_000, user: 'ann' } as const;
    const [first, second] = await outer.execute(async (ctx) => {
      await clock.advance(30);
      return inner.execute((mine) => [ctx, mine] as const, ctx);
    }, init);
    expect(second).toMatchObject({ ...init, cost: 4, startedAt: 1_030, receivedAt: 1_000 });
    expect(first.startedAt).toBe(1_000);
  });

  it('hands on the abort', async () => {
    const caller = new AbortController();
    const gates = [new RecordingGate('outer', clock), new RecordingGate('inner', clock)] as const;
    const call = pipeline(gates[0]).execute((ctx) => pipeline(gates[1]).execute(() => new Promise(() => {}), ctx), {
      signal: caller.signal,
    });
    caller.abort('gave up');
    await expect(call).rejects.toBe('gave up');
    await clock.advance(0);
    expect(gates.map(({ verdicts }) => verdicts)).toEqual([['ignored'], ['ignored']]);
  });

  it('may go by another clock', async () => {
    const other = manualClock(77);
    const inner = pipeline(new RecordingGate('inner', other));
    const ctx = await pipeline(new RecordingGate('outer', clock)).execute(
      (outer) => inner.execute((mine) => mine, outer),
      { deadline: 9_000, receivedAt: 900, key: 'k' },
    );
    // By which the times of the first mean nothing.
    const { startedAt, receivedAt, deadline, key } = ctx;
    expect(ctx.clock).toBe(other);
    expect({ startedAt, receivedAt, deadline, key }).toEqual({
      startedAt: 77,
      receivedAt: 77,
      deadline: Infinity,
      key: 'k',
    });
  });

  it('is known by a mark that all copies of the library have', async () => {
    await pipeline().execute((ctx) => expect(Symbol.for('evenkeel.context') in ctx).toBe(true));
  });
});
