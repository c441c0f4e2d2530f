import { type Context, derive, type Policy, type ResilienceEvent } from 'evenkeel';
import { describe, expectTypeOf, it } from 'vitest';

declare const ctx: Context & { readonly user: string };

describe('Context', () => {
  it('cannot be changed', () => {
    // @ts-expect-error read only
    ctx.key = 'k';
    // @ts-expect-error read only
    ctx.attempt++;
  });
});

describe('derive', () => {
  it('gives a context of the same type', () => {
    expectTypeOf(derive(ctx, { attempt: 1 })).toEqualTypeOf(ctx);
    expectTypeOf(derive(ctx, { user: 'bob', key: undefined })).toEqualTypeOf(ctx);
  });

  it('refuses changes that the context does not have', () => {
    // @ts-expect-error of another type
    derive(ctx, { user: 5 });
    // @ts-expect-error unknown
    derive(ctx, { usr: 'bob' });
    // @ts-expect-error no such tier
    derive(ctx, { tier: 0 });
  });

  it('lets a policy that is generic in its context change the fields that all contexts have', () => {
    const later: Policy = { name: 'later', run: (given, next) => next(derive(given, { attempt: given.attempt + 1 })) };
    void later;
  });
});

describe('ResilienceEvent', () => {
  it('is told apart by its type', () => {
    const seen = (event: ResilienceEvent): void => {
      if (event.type === 'rejected') expectTypeOf(event.shadow).toEqualTypeOf<boolean>();
      if (event.type === 'timed_out') expectTypeOf(event.timeoutMs).toEqualTypeOf<number>();
      // @ts-expect-error only a refusal has a reason
      event.reason;
    };
    void seen;
  });
});
