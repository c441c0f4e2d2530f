/** Shapes in which others hold what the package declares, each refused in 0.1.0. */
import {
  type BalancerUpdate,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  type CircuitBreakerUpdate,
  type ConcurrencyLimiterOptions,
  type ConcurrencyLimiterUpdate,
  type Context,
  circuitBreaker,
  type DeadlineOptions,
  type DeadlineUpdate,
  type DynamicTimeoutUpdate,
  deadline,
  dynamicTimeout,
  type FailoverUpdate,
  type Gate,
  type HedgeUpdate,
  type KeyedRateLimiterUpdate,
  type Next,
  pipeline,
  type RateLimiterUpdate,
  type RateLimitHeaders,
  type RejectedError,
  type RetryUpdate,
  rateLimiter,
  rateLimitHeaders,
  retry,
  runGate,
  standard,
  type TierShedderOptions,
  type TierShedderUpdate,
} from 'evenkeel';
import {
  type Backend,
  type Client,
  type Expectations,
  type ManualClock,
  type PipelineMaker,
  type PropertyOptions,
  type Scenario,
  simulate,
} from 'evenkeel/testing';
import { describe, expectTypeOf, it } from 'vitest';

/** Fastify's, as its types have it. */
declare const reply: {
  headers(values: Partial<Record<'retry-after' | (string & {}), number | string | string[] | undefined>>): void;
};

/** `T` with `undefined` for each field that may be left out, which `exactOptionalPropertyTypes` tells from leaving it out. */
type Undefined<T> = { [F in keyof T as Record<never, never> extends Pick<T, F> ? F : never]: undefined };
type Optional<T> = Pick<T, keyof Undefined<T> & keyof T>;

describe('runGate', () => {
  it('takes a gate with more to it, in its own `run`', () => {
    const gate: Gate & { pause(): void } = {
      name: 'own',
      reason: 'rate_limited',
      tryAcquire: () => true,
      release() {},
      retryAfterMs: () => 0,
      pause() {},
      run: (ctx, next) => runGate(gate, ctx, next),
    };
    class Own implements Gate {
      readonly name = 'own';
      readonly reason = 'rate_limited';
      tryAcquire = () => true;
      release(): void {}
      retryAfterMs = () => 0;
      run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
        return runGate(this, ctx, next);
      }
    }
    pipeline(gate, new Own());
  });

  it('refuses a gate that needs more of the context than there is', () => {
    const ofUser = {} as Gate<Context & { readonly user: string }>;
    // @ts-expect-error no user
    runGate(ofUser, {} as Context, async () => 1);
    expectTypeOf(runGate(ofUser, {} as Context & { readonly user: string }, async () => 1)).toEqualTypeOf<
      Promise<number>
    >();
  });
});

describe('PipelineMaker', () => {
  it('is one for properties, for clients and for back-ends', () => {
    const make: PipelineMaker = ({ clock, random }) => pipeline(circuitBreaker({ clock, random }));
    expectTypeOf<PipelineMaker>().toExtend<PropertyOptions['pipeline']>();
    expectTypeOf<PipelineMaker>().toExtend<NonNullable<Client['pipeline']>>();
    expectTypeOf<PipelineMaker>().toExtend<NonNullable<Backend['pipeline']>>();
    simulate({
      seed: 1,
      durationMs: 1_000,
      load: { arrivals: 'constant', ratePerSecond: 1 },
      backend: { serviceTimeMs: 1, pipeline: make },
      client: { pipeline: make },
    });
  });

  it('may also be one that needs the clock of the properties', () => {
    expectTypeOf<({ clock }: { clock: ManualClock }) => ReturnType<PipelineMaker>>().toExtend<
      PropertyOptions['pipeline']
    >();
  });
});

describe('RateLimitHeaders', () => {
  it('fits where headers are given by any name', () => {
    reply.headers(rateLimitHeaders(rateLimiter({ limit: 1, windowMs: 1 }).snapshot()));
    expectTypeOf<RateLimitHeaders>().toExtend<Record<string, string | undefined>>();
    new Headers(rateLimitHeaders({} as never) as Record<string, string>);
  });
});

describe('RejectedError', () => {
  it('is an Error with all its fields, also one of the other format', () => {
    expectTypeOf<RejectedError>().toExtend<Error>();
    expectTypeOf<RejectedError['cause']>().toEqualTypeOf<Error['cause']>();
    // Without a private field, which makes two declarations of a class two types.
    expectTypeOf<{ [F in keyof RejectedError]: RejectedError[F] }>().toExtend<RejectedError>();
  });
});

describe('options', () => {
  it('take undefined for what is not given', () => {
    const not = undefined;
    const gate = { name: not, clock: not, random: not, observer: not, classify: not, mode: not, captureStack: not };
    const all: CircuitBreaker = circuitBreaker({ ...gate, k: not, windowMs: not, recovery: not });
    all.update({ k: not, mode: not });
    dynamicTimeout({ limitMs: 1, maxMs: 2, observer: not }).update({ limitMs: not, maxMs: not, averageMs: not });
    rateLimiter({ ...gate, limit: 1, windowMs: 1, algorithm: not }).update({ limit: not, mode: not });
    deadline({ ...gate, budgetMs: not });
    retry({ retryOn: not, backoff: not, budget: not }).update({ maxRetries: not });
    standard({
      timeout: { limitMs: 1, maxMs: 2 },
      retry: not,
      breaker: not,
      observer: not,
      rateLimit: not,
      concurrency: not,
    });
    expectTypeOf<Undefined<CircuitBreakerOptions>>().toExtend<CircuitBreakerOptions>();
    expectTypeOf<Undefined<ConcurrencyLimiterOptions>>().toExtend<ConcurrencyLimiterOptions>();
    expectTypeOf<Undefined<DeadlineOptions>>().toExtend<DeadlineOptions>();
    expectTypeOf<Undefined<TierShedderOptions>>().toExtend<Optional<TierShedderOptions>>();
    expectTypeOf<Undefined<Scenario>>().toExtend<Optional<Scenario>>();
    expectTypeOf<Undefined<Backend>>().toExtend<Optional<Backend>>();
    expectTypeOf<Undefined<Client>>().toExtend<Client>();
    expectTypeOf<Undefined<Expectations>>().toExtend<Expectations>();
  });

  it('so do updates', () => {
    expectTypeOf<Undefined<BalancerUpdate>>().toExtend<BalancerUpdate>();
    expectTypeOf<Undefined<CircuitBreakerUpdate>>().toExtend<CircuitBreakerUpdate>();
    expectTypeOf<Undefined<ConcurrencyLimiterUpdate>>().toExtend<ConcurrencyLimiterUpdate>();
    expectTypeOf<Undefined<DeadlineUpdate>>().toExtend<DeadlineUpdate>();
    expectTypeOf<Undefined<DynamicTimeoutUpdate>>().toExtend<DynamicTimeoutUpdate>();
    expectTypeOf<Undefined<FailoverUpdate>>().toExtend<FailoverUpdate>();
    expectTypeOf<Undefined<HedgeUpdate>>().toExtend<HedgeUpdate>();
    expectTypeOf<Undefined<KeyedRateLimiterUpdate>>().toExtend<KeyedRateLimiterUpdate>();
    expectTypeOf<Undefined<RateLimiterUpdate>>().toExtend<RateLimiterUpdate>();
    expectTypeOf<Undefined<RetryUpdate>>().toExtend<RetryUpdate>();
    expectTypeOf<Undefined<TierShedderUpdate>>().toExtend<TierShedderUpdate>();
  });

  it('take null for nothing', () => {
    // @ts-expect-error null is no observer
    circuitBreaker({ observer: null });
  });
});
