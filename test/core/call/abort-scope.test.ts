import { AbortScope, derive, deriveAbortable, dynamicTimeout, type Policy, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { untilAbort } from '../../../src/core/call/promises.js';
import { RecordingGate } from '../../simulation/recording-gate.js';

const never = new Promise<never>(() => {});

let clock = manualClock();
let gate: RecordingGate;

beforeEach(() => {
  clock = manualClock();
  gate = new RecordingGate('gate', clock);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("a call's signal", () => {
  let made: number;
  beforeEach(() => {
    made = 0;
    const Original = AbortController;
    vi.stubGlobal(
      'AbortController',
      class extends Original {
        constructor() {
          super();
          made++;
        }
      },
    );
  });

  const passOn: Policy = {
    name: 'passOn',
    run: (ctx, next) => next(derive(ctx, { attempt: 1 })),
  };
  const stack = (): Policy[] => [gate, passOn, dynamicTimeout({ limitMs: 10, maxMs: 10, clock }), passOn];

  it('is not made for a call that never asks for it, whatever stands around the call', async () => {
    const policies = pipeline(...stack());
    await policies.execute(() => 1);
    await policies.tryExecute(() => 1);
    await policies.execute(() => 1, { key: 'a' });
    const slow = policies.execute(() => never).catch((error: unknown) => error);
    await clock.advance(20);
    expect(await slow).toMatchObject({ code: 'EVENKEEL_TIMEOUT' });
    await policies.execute((ctx) => pipeline(...stack()).execute(() => 1, ctx));
    expect(made).toBe(0);
  });

  it('is not made where the caller has given one', async () => {
    const caller = new AbortController();
    await pipeline(gate, passOn).execute((ctx) => expect(ctx.signal).toBe(caller.signal), { signal: caller.signal });
    expect(made).toBe(1);
  });

  it('is made once, on first access, also where nothing can abort the call', async () => {
    const signals = new Set<AbortSignal>();
    const keep: Policy = {
      name: 'keep',
      run: (ctx, next) => {
        signals.add(ctx.signal);
        return next(derive(ctx, { attempt: 1 }));
      },
    };
    await pipeline(keep, keep).execute((ctx) => signals.add(ctx.signal).add(ctx.signal));
    expect(signals.size).toBe(1);
    expect([...signals][0]?.aborted).toBe(false);
    expect(made).toBe(1);
  });
});

describe('AbortScope', () => {
  it('tells its listeners once, with its reason in place, and its signal', () => {
    const scope = new AbortScope();
    const seen: unknown[] = [];
    scope.add(() => seen.push(scope.reason));
    const { signal } = scope;
    scope.abort('first');
    scope.abort('second');
    expect(seen).toEqual(['first']);
    expect(signal.reason).toBe('first');
    expect([scope.aborted, scope.reason]).toEqual([true, 'first']);
  });

  it('gives an aborted signal when that is asked for after the abort', () => {
    const scope = new AbortScope();
    scope.abort('gone');
    expect([scope.signal.aborted, scope.signal.reason]).toEqual([true, 'gone']);
  });

  it('forgets a listener that is taken back', () => {
    const scope = new AbortScope();
    const kept = vi.fn();
    const removed = vi.fn();
    for (const listener of [removed, kept]) scope.add(listener);
    scope.remove(removed);
    scope.remove(() => {});
    scope.abort('gone');
    expect(kept).toHaveBeenCalledTimes(1);
    expect(removed).not.toHaveBeenCalled();
  });

  it('tells the other listeners although one throws, which the host gets to see', () => {
    const thrown: (() => void)[] = [];
    vi.stubGlobal('queueMicrotask', (fn: () => void) => thrown.push(fn));
    const scope = new AbortScope();
    const behind = vi.fn();
    scope.add(() => {
      throw new Error('broken listener');
    });
    scope.add(behind);
    scope.abort('gone');
    expect(behind).toHaveBeenCalledTimes(1);
    expect(thrown).toHaveLength(1);
    expect(thrown[0]).toThrow('broken listener');
  });

  it('stops a call when a policy passes it on by deriveAbortable', async () => {
    const scope = new AbortScope();
    const hurried: Policy = { name: 'hurried', run: (ctx, next) => next(deriveAbortable(ctx, scope)) };
    const aborted = vi.fn();
    const call = pipeline(hurried, gate).execute((ctx) => {
      ctx.signal.addEventListener('abort', () => aborted(ctx.signal.reason));
      return never;
    });
    scope.abort('hurry');
    await expect(call).rejects.toBe('hurry');
    expect(aborted).toHaveBeenCalledWith('hurry');
    expect(gate.verdicts).toEqual(['ignored']);
  });
});

describe('untilAbort', () => {
  it('rejects at once when the scope has aborted already', async () => {
    const scope = new AbortScope();
    scope.abort('gone');
    await expect(untilAbort(never, scope)).rejects.toBe('gone');
    await expect(untilAbort(Promise.reject(new Error('too')), scope)).rejects.toBe('gone');
  });
});
