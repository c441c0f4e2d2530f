import {
  type Context,
  circuitBreaker,
  dynamicTimeout,
  type FallbackOptions,
  fallback,
  isRejected,
  type Policy,
  pipeline,
  RejectedError,
  type ResilienceEvent,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later } from '../retry/calls.js';

noUnhandledRejections();

const refuseAll = (clock = manualClock()) => new RecordingGate('gate', clock, { admit: ['no'] });

describe('fallback', () => {
  it('answers where the call failed, and only there', async () => {
    const seen: unknown[] = [];
    const policy = fallback((error, ctx) => {
      seen.push([String(error), ctx.key]);
      return 'instead';
    });
    const guard = pipeline(policy);
    expect(await guard.execute(() => 'answer')).toBe('answer');
    expect(await guard.execute(fail('no'), { key: 'k' })).toBe('instead');
    expect(seen).toEqual([['Error: no', 'k']]);
    expect(policy.snapshot()).toEqual({ calls: 2, fallbacks: 1 });
  });

  it('answers for refusals and time-outs further in; tryExecute then says ok', async () => {
    const clock = manualClock();
    const guard = pipeline(
      fallback((error) => (isRejected(error) ? error.reason : 'slow')),
      refuseAll(clock),
    );
    expect(await guard.execute(() => 'answer')).toBe('rate_limited');
    expect(await guard.tryExecute(() => 'answer')).toEqual({ ok: true, value: 'rate_limited' });
    const slow = pipeline(
      fallback(() => 'slow'),
      dynamicTimeout({ limitMs: 10, maxMs: 10, clock }),
    ).execute(() => new Promise(() => {}));
    await clock.advance(10);
    expect(await slow).toBe('slow');
  });

  it('may throw: another error, or the refusal that it got, which tryExecute knows', async () => {
    const worse = new Error('worse');
    const throwing = pipeline(fallback(() => Promise.reject(worse)));
    await expect(throwing.execute(fail('no'))).rejects.toBe(worse);
    const rethrowing = pipeline(
      fallback((error) => {
        throw error;
      }),
      refuseAll(),
    );
    expect(await rethrowing.tryExecute(() => 1)).toMatchObject({ ok: false, rejection: { policy: 'gate' } });
  });

  it('answers only for what fallbackOn picks; what that throws is the outcome', async () => {
    const seen: unknown[] = [];
    const guard = pipeline(
      fallback(() => 'instead', {
        fallbackOn: (error, ctx) => {
          seen.push(ctx.tier);
          return isRejected(error);
        },
      }),
    );
    const refusal = new RejectedError({ policy: 'p', reason: 'circuit_open', retryAfterMs: 0 });
    expect(await guard.execute(() => Promise.reject(refusal), { tier: 1 })).toBe('instead');
    await expect(guard.execute(fail('no'), { tier: 2 })).rejects.toThrow('no');
    expect(seen).toEqual([1, 2]);
    const broken = pipeline(fallback(() => 'instead', { fallbackOn: fail('broken') }));
    await expect(broken.execute(fail('no'))).rejects.toThrow('broken');
  });

  it("leaves the caller's abort alone, also while it looks for an answer", async () => {
    const clock = manualClock();
    let asked = 0;
    const guard = pipeline(
      fallback(() => {
        asked++;
        return later(clock, 50, fail('late'));
      }),
    );
    const caller = new AbortController();
    const early = guard.execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort('enough');
    await expect(early).rejects.toBe('enough');
    expect(asked).toBe(0);

    const later2 = new AbortController();
    const late = guard.execute(fail('no'), { signal: later2.signal });
    const caught = late.catch((error: unknown) => error);
    await clock.advance(10);
    expect(asked).toBe(1);
    later2.abort('too long');
    expect(await caught).toBe('too long');
    await clock.advance(100);
  });

  it('does not answer for a time limit around it', async () => {
    const clock = manualClock();
    const guard = pipeline(
      dynamicTimeout({ limitMs: 10, maxMs: 10, clock }),
      fallback(() => 'instead'),
    );
    const call = guard.execute(() => new Promise(() => {})).catch((error: { code: string }) => error.code);
    await clock.advance(10);
    expect(await call).toBe('EVENKEEL_TIMEOUT');
  });

  it('tells its observer, whose own error does not touch the call', async () => {
    const clock = manualClock(7);
    const events: ResilienceEvent[] = [];
    const policy = fallback(() => 'instead', { name: 'cache', observer: (event) => events.push(event) });
    expect(await pipeline(policy, dynamicTimeout({ limitMs: 10, maxMs: 10, clock })).execute(fail('no'))).toBe(
      'instead',
    );
    expect(events).toEqual([{ type: 'fallback', policy: 'cache', at: 7 }]);
  });

  it('inside of a breaker hides the outage from it; around it, not', async () => {
    const reached = async (order: (breaker: Policy, answers: Policy) => Policy[]): Promise<number> => {
      const breaker = circuitBreaker({ clock: manualClock(), random: () => 0 });
      const guard = pipeline(
        ...order(
          breaker,
          fallback(() => 'instead'),
        ),
      );
      let calls = 0;
      for (let i = 0; i < 100; i++) {
        await guard.execute(() => {
          calls++;
          throw new Error('down');
        });
      }
      return calls;
    };
    expect(await reached((breaker, answers) => [breaker, answers])).toBe(100);
    expect(await reached((breaker, answers) => [answers, breaker])).toBeLessThan(30);
  });

  it('nests: the inner one answers first', async () => {
    const guard = pipeline(
      fallback((error) => `outer: ${error}`),
      fallback((error) => {
        throw `inner: ${(error as Error).message}`;
      }),
    );
    expect(await guard.execute(fail('no'))).toBe('outer: inner: no');
  });

  it('gives permits of gates around it back once, as a success', async () => {
    const gate = new RecordingGate('gate', manualClock());
    expect(
      await pipeline(
        gate,
        fallback(() => 'instead'),
      ).execute(fail('no')),
    ).toBe('instead');
    expect([gate.permitsInUse, gate.verdicts]).toEqual([0, ['success']]);
  });

  it('settles every call once, as the model says', async () => {
    const kind = fc.constantFrom('value', 'throw', 'reject', 'slow value', 'slow error');
    await fc.assert(
      fc.asyncProperty(kind, kind, fc.boolean(), async (call, instead, wanted) => {
        const clock = manualClock();
        const act = (what: string, label: string) => (): unknown => {
          if (what === 'value') return label;
          if (what === 'throw') throw label;
          if (what === 'reject') return Promise.reject(label);
          return later(clock, 5, () => {
            if (what === 'slow value') return label;
            throw label;
          });
        };
        const policy = fallback(act(instead, 'instead'), { fallbackOn: () => wanted });
        const result = pipeline(policy)
          .execute(act(call, 'call'))
          .then(
            (value) => ['value', value],
            (error: unknown) => ['error', error],
          );
        await clock.advance(10);
        const good = (what: string): boolean => what.includes('value');
        const expected = good(call)
          ? ['value', 'call']
          : wanted
            ? [good(instead) ? 'value' : 'error', 'instead']
            : ['error', 'call'];
        expect(await result).toEqual(expected);
        expect(policy.snapshot().fallbacks).toBe(!good(call) && wanted ? 1 : 0);
      }),
    );
  });

  it('refuses what is no function', () => {
    for (const fn of [undefined, null, 5, 'answer', {}]) {
      expect(() => fallback(fn as never)).toThrow(TypeError);
      expect(() => fallback(fn as never)).toThrow(/^fallback: fn must be a function, got /);
    }
  });

  it('knows the context of its pipeline, and the type that the caller says', () => {
    interface Mine extends Context {
      readonly path: string;
    }
    const options: FallbackOptions<Mine> = { fallbackOn: (_, ctx) => ctx.path !== '' };
    const cached = fallback<Mine>((_, ctx) => ctx.path, options);
    const guard = pipeline<Mine>(cached);
    const call = () => guard.execute<string | number>(() => 1, { path: '/' });
    expectTypeOf(call).returns.resolves.toEqualTypeOf<string | number>();
    // @ts-expect-error it needs a path
    const wrong = () => pipeline<Context>(cached);
    expect([call, wrong]).toHaveLength(2);
  });
});
