import {
  type CircuitBreaker,
  type Context,
  circuitBreaker,
  type Gate,
  type Init,
  type Next,
  type Pipeline,
  type Policy,
  pipeline,
  type Rejection,
  type Result,
} from 'evenkeel';
import { describe, expectTypeOf, it } from 'vitest';

interface UserContext extends Context {
  readonly user: string;
}
interface TraceContext extends UserContext {
  readonly trace?: { id: number };
}

declare const plain: Policy;
declare const needsUser: Policy<UserContext>;
declare const needsTrace: Policy<TraceContext>;
declare const gateOfUser: Gate<UserContext>;

// The shapes that policies of others come in.
interface Extended extends Policy<UserContext> {
  readonly more: string;
}
declare const extended: Extended;
class Implemented implements Policy<UserContext> {
  readonly name = 'implemented';
  run<C extends UserContext, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return next(ctx);
  }
}
const literal = {
  name: 'literal',
  run<C extends UserContext, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return next(ctx);
  },
};

describe('pipeline', () => {
  it('refuses a policy that needs a custom context where there is none', () => {
    // @ts-expect-error a pipeline of plain contexts has no user
    pipeline<Context>(needsUser);
    // @ts-expect-error neither for a gate
    pipeline<Context>(plain, gateOfUser);
    // @ts-expect-error nor for an interface made from Policy
    pipeline<Context>(extended);
    // @ts-expect-error nor for a class
    pipeline<Context>(new Implemented());
    // @ts-expect-error nor for an object
    pipeline<Context>(plain, literal);
    // @ts-expect-error a user is not enough for who needs more
    const tooLittle: Policy<{ readonly extra: number } & Context> = needsUser;
    pipeline<UserContext>(plain, needsUser, gateOfUser, extended, new Implemented(), literal);
    pipeline<TraceContext>(plain, needsUser, needsTrace);
    void tooLittle;
  });

  it('infers what all of its policies need', () => {
    expectTypeOf(pipeline()).toEqualTypeOf<Pipeline<Context>>();
    expectTypeOf(pipeline(plain, circuitBreaker())).toEqualTypeOf<Pipeline<Context>>();
    expectTypeOf(pipeline(needsUser)).toEqualTypeOf<Pipeline<UserContext>>();
    expectTypeOf(pipeline(needsUser, plain)).toEqualTypeOf<Pipeline<UserContext>>();
    expectTypeOf(pipeline(plain, needsUser)).toEqualTypeOf<Pipeline<UserContext>>();
    expectTypeOf(pipeline(gateOfUser, extended, literal)).toEqualTypeOf<Pipeline<UserContext>>();
  });

  it('refuses what is no policy', () => {
    // @ts-expect-error no run
    pipeline({ name: 'x' });
    // @ts-expect-error no name
    pipeline({ run: <C, R>(ctx: C, next: (ctx: C) => Promise<R>) => next(ctx) });
    // @ts-expect-error a policy has to be ready for any result
    pipeline({ name: 'x', run: async () => 5 });
  });
});

describe('Policy', () => {
  it('is contravariant in what it needs', () => {
    expectTypeOf<Policy<Context>>().toExtend<Policy<UserContext>>();
    expectTypeOf<Policy<UserContext>>().not.toExtend<Policy<Context>>();
    expectTypeOf<Gate<Context>>().toExtend<Gate<UserContext>>();
    expectTypeOf<Gate<UserContext>>().not.toExtend<Gate<Context>>();
    expectTypeOf<CircuitBreaker>().toExtend<Policy<UserContext>>();
    expectTypeOf<Gate<UserContext>>().toExtend<Policy<UserContext>>();
    expectTypeOf<Gate<UserContext>>().not.toExtend<Policy<Context>>();
    expectTypeOf<Extended>().not.toExtend<Policy<Context>>();
  });

  it('takes what others need less of in its place', () => {
    const policy: Policy<TraceContext> = needsUser;
    // @ts-expect-error not the other way round
    const wrong: Policy<UserContext> = needsTrace as Policy<{ readonly more: 1 } & UserContext>;
    void [policy, wrong];
  });
});

describe('execute', () => {
  it('requires init where the context has fields of its own, with all that are required', () => {
    const users = pipeline<UserContext>(needsUser);
    users.execute((ctx) => ctx.user, { user: 'ann' });
    users.execute((ctx) => ctx.user, { user: 'ann', key: 'k', tier: 1 });
    // @ts-expect-error no init
    users.execute((ctx) => ctx.user);
    // @ts-expect-error no user
    users.execute((ctx) => ctx.user, { key: 'k' });
    // @ts-expect-error a user of another type
    users.execute((ctx) => ctx.user, { user: 5 });
    // @ts-expect-error no init
    users.tryExecute((ctx) => ctx.user);
    // @ts-expect-error no init
    users.wrap((ctx) => ctx.user);
    pipeline<TraceContext>().execute((ctx) => ctx.trace, { user: 'ann' });
  });

  it('needs no init where all is optional', () => {
    pipeline().execute(() => 1);
    pipeline().execute(() => 1, { key: 'k' });
    pipeline<Context & { extra?: number }>().execute((ctx) => ctx.extra);
    // @ts-expect-error unknown field
    pipeline().execute(() => 1, { kye: 'k' });
    // @ts-expect-error no such tier
    pipeline().execute(() => 1, { tier: 5 });
    // What is undefined was not given.
    pipeline().execute(() => 1, { cost: undefined, signal: undefined });
    expectTypeOf<Init<UserContext>>().toExtend<{ user: string; key?: string | undefined }>();
  });

  it('takes the context of a call further out as init', () => {
    pipeline().execute((ctx) => pipeline().execute(() => 1, ctx));
    pipeline<UserContext>().execute((ctx) => pipeline<UserContext>().execute(() => 1, ctx), { user: 'ann' });
    pipeline<UserContext>().execute((ctx) => pipeline().execute(() => 1, ctx), { user: 'ann' });
    // @ts-expect-error the call further out has no user
    pipeline().execute((ctx) => pipeline<UserContext>().execute(() => 1, ctx));
  });

  it('infers the context and the result, with no annotation', () => {
    pipeline(needsUser, plain).execute((ctx) => expectTypeOf(ctx).toEqualTypeOf<UserContext>(), { user: 'ann' });
    pipeline(plain).execute((ctx) => expectTypeOf(ctx).toEqualTypeOf<Context>());
    expectTypeOf(pipeline(plain).execute(() => 'text')).toEqualTypeOf<Promise<string>>();
    expectTypeOf(pipeline(plain).execute(async () => [5])).toEqualTypeOf<Promise<number[]>>();
    expectTypeOf(pipeline(plain).execute(() => {})).toEqualTypeOf<Promise<void>>();
    expectTypeOf(pipeline(plain).execute((ctx) => ctx.signal)).toEqualTypeOf<Promise<AbortSignal>>();
    expectTypeOf(pipeline(plain).execute(() => 1 as number | PromiseLike<number>)).toEqualTypeOf<Promise<number>>();
    expectTypeOf(pipeline(plain).tryExecute(async () => 5)).toEqualTypeOf<Promise<Result<number>>>();
  });
});

describe('Result', () => {
  it('narrows by ok', async () => {
    const result = await pipeline(plain).tryExecute(async () => ({ id: 1 }));
    // @ts-expect-error it may be a refusal
    result.value.id;
    if (result.ok) {
      expectTypeOf(result.value).toEqualTypeOf<{ id: number }>();
      expectTypeOf(result.rejection).toEqualTypeOf<undefined>();
    } else {
      expectTypeOf(result.rejection).toEqualTypeOf<Rejection>();
      expectTypeOf(result.value).toEqualTypeOf<undefined>();
    }
  });
});

describe('wrap', () => {
  it('gives a function of the other arguments', () => {
    const wrapped = pipeline(plain).wrap(async (ctx, id: number, name?: string) => {
      expectTypeOf(ctx).toEqualTypeOf<Context>();
      return name ?? String(id);
    });
    expectTypeOf(wrapped).toEqualTypeOf<(id: number, name?: string) => Promise<string>>();
    // @ts-expect-error too few
    wrapped();
    // @ts-expect-error of another type
    wrapped('1');
    expectTypeOf(pipeline(plain).wrap(() => 5)).toEqualTypeOf<() => Promise<number>>();
  });

  it('makes init from the arguments', () => {
    const users = pipeline<UserContext>(needsUser);
    const wrapped = users.wrap(
      (ctx, id: string) => `${ctx.user} ${id}`,
      (id) => {
        expectTypeOf(id).toEqualTypeOf<string>();
        return { user: id };
      },
    );
    expectTypeOf(wrapped).toEqualTypeOf<(id: string) => Promise<string>>();
    users.wrap((ctx) => ctx.user, { user: 'ann' });
    users.wrap(
      (ctx) => ctx.user,
      // @ts-expect-error no user
      () => ({ key: 'k' }),
    );
  });
});
