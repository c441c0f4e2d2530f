import { getEventListeners } from 'node:events';
import { type Context, derive, dynamicTimeout, type Policy, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;
const never = new Promise<never>(() => {});
const REASONS = [new Error('enough'), 'text', 0, false, null, Symbol('reason'), { a: 1 }, NaN];

let clock = manualClock();
let gate: RecordingGate;
let rejections: unknown[];
const noteRejection = (error: unknown): void => {
  rejections.push(error);
};

beforeEach(() => {
  clock = manualClock();
  gate = new RecordingGate('gate', clock);
  rejections = [];
  process.on('unhandledRejection', noteRejection);
});
afterEach(() => {
  process.off('unhandledRejection', noteRejection);
  vi.unstubAllGlobals();
});

describe("the caller's abort", () => {
  it.each(REASONS)('rejects with its reason, untouched: %s', async (reason) => {
    const caller = new AbortController();
    for (const policies of [
      pipeline(),
      pipeline(gate),
      pipeline(gate, dynamicTimeout({ limitMs: 9, maxMs: 9, clock }), gate),
    ]) {
      const aborting = new AbortController();
      const call = policies.execute(() => never, { signal: aborting.signal });
      aborting.abort(reason);
      await expect(call).rejects.toBe(reason);
    }
    caller.abort(reason);
    await expect(pipeline(gate).execute(() => 1, { signal: caller.signal })).rejects.toBe(reason);
    await expect(pipeline(gate).tryExecute(() => 1, { signal: caller.signal })).rejects.toBe(reason);
    expect(new Set(gate.verdicts)).toEqual(new Set(['ignored']));
    expect(gate.permitsInUse).toBe(0);
  });

  it('without a reason rejects with what the host made of that', async () => {
    const caller = new AbortController();
    const call = pipeline(gate).execute(() => never, { signal: caller.signal });
    caller.abort(undefined);
    await expect(call).rejects.toBe(caller.signal.reason);
    expect(caller.signal.reason).toMatchObject({ name: 'AbortError' });
  });

  it('before the call: no permit is taken and the function is not called', async () => {
    const fn = vi.fn();
    const signal = AbortSignal.abort('too late');
    for (const policies of [
      pipeline(),
      pipeline(gate),
      pipeline(dynamicTimeout({ limitMs: 9, maxMs: 9, clock }), gate),
    ]) {
      await expect(policies.execute(fn, { signal })).rejects.toBe('too late');
      await expect(policies.tryExecute(fn, { signal })).rejects.toBe('too late');
      await expect(policies.wrap(fn, { signal })()).rejects.toBe('too late');
    }
    expect(fn).not.toHaveBeenCalled();
    expect(gate.log).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  it('while the function does not heed it: rejects at once, permits and timers go back', async () => {
    const caller = new AbortController();
    const call = pipeline(gate, dynamicTimeout({ limitMs: 50, maxMs: 50, clock })).execute(() => never, {
      signal: caller.signal,
    });
    clock.setTimer(() => caller.abort('gave up'), 7);
    const at = call.catch((reason: unknown) => [reason, clock.now()]);
    await clock.advance(1_000);
    expect(await at).toEqual(['gave up', 7]);
    expect(gate.verdicts).toEqual(['ignored']);
    expect(gate.permitsInUse).toBe(0);
    expect(clock.waiting).toBe(0);
  });

  it.each([
    ['a waiting one', (): Policy[] => [waiting]],
    ['a waiting one, then a timeout', () => [waiting, dynamicTimeout({ limitMs: 50, maxMs: 50, clock })]],
    [
      'a waiting one, then a timeout and a gate',
      () => [waiting, dynamicTimeout({ limitMs: 50, maxMs: 50, clock }), gate],
    ],
  ])('while a policy waits: the function is not called afterwards (policies: %s)', async (_, policies) => {
    const caller = new AbortController();
    const fn = vi.fn(() => never);
    const call = pipeline(...policies()).execute(fn, { signal: caller.signal });
    clock.setTimer(() => caller.abort('gave up'), 5);
    const ended = call.catch((reason: unknown) => [reason, clock.now()]);
    await clock.advance(1_000);
    expect(fn).not.toHaveBeenCalled();
    // At once, though the policy goes on waiting.
    expect(await ended).toEqual(['gave up', 5]);
    expect(gate.permitsInUse).toBe(0);
  });

  const waiting: Policy = {
    name: 'waiting',
    run: async (ctx, next) => {
      await new Promise<void>((resolve) => {
        clock.setTimer(resolve, 10);
      });
      return next(derive(ctx, { startedAt: clock.now() }));
    },
  };

  it('of a call further out, while a function further in does not heed it: permits go back at once there too', async () => {
    const outer = pipeline(dynamicTimeout({ limitMs: 10, maxMs: 10, clock }));
    for (const inner of [pipeline(gate), pipeline(deriving, gate), pipeline(gate, deriving)]) {
      let innerEnd: unknown;
      const call = outer.execute((ctx) => {
        const call = inner.execute(() => never, ctx);
        call.catch((error: unknown) => {
          innerEnd = [error, clock.now()];
        });
        return call;
      });
      const ended = call.catch((error: unknown) => error);
      const due = clock.now() + 10;
      await clock.advance(50);
      expect(await ended).toMatchObject({ code: 'EVENKEEL_TIMEOUT' });
      expect(innerEnd).toEqual([await ended, due]);
      expect(gate.permitsInUse).toBe(0);
    }
  });

  const deriving: Policy = {
    name: 'deriving',
    run: (ctx, next) => next(derive(ctx, { attempt: 1 })),
  };

  it('by the function itself counts, although it returns a value', async () => {
    const caller = new AbortController();
    const call = pipeline(gate).execute(
      () => {
        caller.abort('by itself');
        return 1;
      },
      { signal: caller.signal },
    );
    await expect(call).rejects.toBe('by itself');
    expect(gate.verdicts).toEqual(['ignored']);
  });

  it('leaves no unhandled rejection behind when the function fails afterwards', async () => {
    const caller = new AbortController();
    const timeout = dynamicTimeout({ limitMs: 3, maxMs: 3, clock });
    const failLate = (): Promise<never> =>
      new Promise((_, reject) => {
        clock.setTimer(() => reject(new Error('late')), 20);
      });
    const calls = [
      pipeline(gate).execute(failLate, { signal: caller.signal }),
      pipeline(gate, timeout).execute(failLate, { signal: caller.signal }),
      pipeline(timeout, gate).tryExecute(failLate),
      pipeline(timeout).wrap(failLate)(),
    ];
    clock.setTimer(() => caller.abort('gave up'), 1);
    const settled = Promise.allSettled(calls);
    await clock.advance(100);
    expect((await settled).map(({ status }) => status)).toEqual(calls.map(() => 'rejected'));
    expect(rejections).toEqual([]);
  });

  it.each([
    ['no policies', (): Policy[] => []],
    ['a gate', () => [gate]],
    ['gates around a timeout', () => [gate, dynamicTimeout({ limitMs: 5, maxMs: 5, clock }), gate]],
  ])('leaves its signal with as many listeners as it had, however the calls end: %s', async (_, stack) => {
    const caller = new AbortController();
    const { signal } = caller;
    signal.addEventListener('abort', () => {});
    const policies = pipeline(...stack());
    const later = (): Promise<void> =>
      new Promise((resolve) => {
        clock.setTimer(resolve, 50);
      });
    const ends: ((ctx: Context) => unknown)[] = [
      () => 1,
      async () => 1,
      later,
      () => later().then(() => Promise.reject(new Error('later'))),
      () => {
        throw new Error('at once');
      },
      () => Promise.reject(new Error('soon')),
    ];
    const calls = ends.map((fn) => policies.execute(fn, { signal }).catch(() => {}));
    expect(listeners(signal)).toBeGreaterThan(1);
    await clock.advance(100);
    await Promise.all(calls);
    expect(listeners(signal)).toBe(1);
    const aborted = [...ends, () => never].map((fn) => policies.execute(fn, { signal }).catch(() => {}));
    caller.abort();
    await Promise.all(aborted);
    expect(listeners(signal)).toBe(1);
  });
});
