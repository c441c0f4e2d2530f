import { type BalancedContext, type Balancer, balancer, circuitBreaker, isRejected, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const only = <T>(pool: Balancer<T>) => pool.snapshot().instances[0];

function setUp(options: object = {}) {
  const clock = manualClock();
  const pool = balancer({ instances: ['a'], clock, ...options });
  return { clock, pool, guard: pipeline(pool.policy()) };
}

describe('policy', () => {
  it('sets the instance, and reports a success', async () => {
    const { pool, guard } = setUp();
    expect(await guard.execute((ctx) => `${ctx.instance} ${only(pool)?.inFlight}`)).toBe('a 1');
    expect(only(pool)).toMatchObject({ inFlight: 0, successRatio: 1 });
  });

  it('reports a throw, untouched', async () => {
    const { pool, guard } = setUp();
    const problem = new Error('down');
    const calls = [
      () => Promise.reject(problem),
      () => {
        throw problem;
      },
    ];
    for (const call of calls) await expect(guard.execute(call)).rejects.toBe(problem);
    expect(only(pool)).toMatchObject({ inFlight: 0, successRatio: 0 });
  });

  it('takes the caller’s abort, and our own refusal further in, as no news', async () => {
    const { pool, guard, clock } = setUp({ consecutiveFailures: 1 });
    const caller = new AbortController();
    const left = guard.execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort('gone');
    await expect(left).rejects.toBe('gone');
    // The function has not heard of it: it is in flight until it is written off.
    expect(only(pool)).toMatchObject({ inFlight: 1, state: 'up', successRatio: 1 });
    await clock.advance(30_000);
    expect(only(pool)).toMatchObject({ inFlight: 0, state: 'up', successRatio: 1 });
    const refusing = { name: 'refusing', run: () => Promise.reject(refusal) };
    const refusal = await pipeline(balancer({ instances: [], clock }).policy())
      .execute(() => 1)
      .catch((error) => error);
    await expect(pipeline(pool.policy(), refusing as never).execute(() => 1)).rejects.toBe(refusal);
    expect(only(pool)).toMatchObject({ inFlight: 0, state: 'up' });
  });

  it('refuses without calling where there is no instance', async () => {
    const { guard, pool } = setUp({ instances: [], name: 'pool' });
    let called = false;
    const result = await guard.tryExecute(() => {
      called = true;
    });
    expect(result).toEqual({ ok: false, rejection: { policy: 'pool', reason: 'no_instance', retryAfterMs: 0 } });
    await expect(guard.execute(() => 1)).rejects.toSatisfy(isRejected);
    expect(called).toBe(false);
    pool.add('late');
    expect(await guard.execute(({ instance }) => instance)).toBe('late');
  });

  it('gives back what it picked where the context is none to go on with', async () => {
    const { pool, guard } = setUp({ clock: Object.assign(manualClock(), { now: () => NaN }) });
    await expect(guard.execute(() => 1)).rejects.toThrow('startedAt must be a finite number');
    expect(only(pool)).toMatchObject({ inFlight: 0, successRatio: 1 });
    const well = setUp().pool;
    const foreign = { startedAt: 1 } as never;
    await expect(well.policy().run(foreign, () => Promise.resolve())).rejects.toThrow(TypeError);
    expect(only(well)).toMatchObject({ inFlight: 0, successRatio: 1 });
  });

  it('picks anew for each call of next', async () => {
    const { pool } = setUp({ instances: ['a', 'b', 'c'] });
    const thrice = {
      name: 'thrice',
      run: async (ctx: never, next: (ctx: never) => Promise<unknown>) => [
        await next(ctx),
        await next(ctx),
        await next(ctx),
      ],
    };
    const guard = pipeline<BalancedContext<string>>(thrice as never, pool.policy());
    const seen = (await guard.execute(({ instance }) => instance)) as unknown as string[];
    expect([...seen].sort()).toEqual(['a', 'b', 'c']);
  });

  it('a call that outlives its instance brings it back no more', async () => {
    for (const [ends, length, minRequests] of [
      ['failure', 10, 1],
      ['failure', 2, 20],
      ['success', 10, 1],
    ] as const) {
      const { clock, pool, guard } = setUp({ instances: ['a', 'b'], minRequests });
      const calls = Array.from({ length }, () =>
        guard
          .execute(async () => {
            await new Promise<void>((resolve) => void clock.setTimer(resolve, 10));
            if (ends === 'failure') throw new Error('down');
          })
          .catch(() => {}),
      );
      pool.remove('a');
      await clock.advance(10);
      await Promise.all(calls);
      for (let i = 0; i < 20; i++) expect(pool.pick()).toBe('b');
    }
  });

  it('judges by classify, and reports also when that throws', async () => {
    const { pool, guard } = setUp({
      classify: (outcome: { ok: boolean; value?: unknown }) => {
        if (outcome.value === 'broken') throw new Error('classify');
        return outcome.value === 503 ? 'failure' : 'success';
      },
    });
    await expect(guard.execute(() => 'broken')).rejects.toThrow('classify');
    expect(only(pool)).toMatchObject({ inFlight: 0, successRatio: 1 });
    expect(await guard.execute(() => 503)).toBe(503);
    expect(only(pool)).toMatchObject({ inFlight: 0, successRatio: 0 });
  });

  it('goes with a breaker of the same pipeline, on either side', async () => {
    const { clock, pool } = setUp();
    for (const guard of [
      pipeline(circuitBreaker({ clock }), pool.policy()),
      pipeline(pool.policy(), circuitBreaker({ clock })),
    ])
      expect(await guard.execute((ctx) => ctx.instance)).toBe('a');
    expect(pipeline(pool.policy()).describe()).toBe('balancer');
  });

  it('measures the time for the choice by latency', async () => {
    const { clock, pool, guard } = setUp({ choice: 'latency' });
    clock.jump(1_000);
    const call = guard.execute(() => new Promise((resolve) => void clock.setTimer(() => resolve(1), 40)));
    await clock.advance(40);
    await call;
    expect(only(pool)?.latencyMs).toBe(40);
  });

  it('reports exactly once, whatever happens to a call', async () => {
    const call = fc.record({
      takesMs: fc.nat(50),
      ends: fc.constantFrom('value', 'throw', 'throw at once', 'never'),
      abortAtMs: fc.option(fc.nat(60)),
      removeAtMs: fc.option(fc.nat(60)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 8 }), async (calls) => {
        const { clock, pool, guard } = setUp({ instances: ['a', 'b'], consecutiveFailures: 1_000 });
        const open = calls.map(({ takesMs, ends, abortAtMs, removeAtMs }) => {
          const caller = new AbortController();
          clock.setTimer(() => caller.abort(), ends === 'never' ? 60 : (abortAtMs ?? Infinity));
          if (removeAtMs !== null)
            clock.setTimer(() => {
              pool.remove('b');
              pool.add('b');
            }, removeAtMs);
          const fn = (): unknown => {
            if (ends === 'throw at once') throw new Error('at once');
            return new Promise((resolve, reject) => {
              if (ends === 'value') clock.setTimer(() => resolve(1), takesMs);
              if (ends === 'throw') clock.setTimer(() => reject(new Error('late')), takesMs);
            });
          };
          return guard.execute(fn, { signal: caller.signal }).catch(() => {});
        });
        const total = pool.snapshot().instances.reduce((sum, { inFlight }) => sum + inFlight, 0);
        expect(total).toBeLessThanOrEqual(calls.length);
        await clock.advance(100);
        await Promise.all(open);
        await clock.advance(30_000);
        for (const { inFlight } of pool.snapshot().instances) expect(inFlight).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
