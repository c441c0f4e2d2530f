import { AbortScope, type Context, circuitBreaker, dynamicTimeout, onAbort, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

const never = new Promise<never>(() => {});
const clock = manualClock();
let gate: RecordingGate;

beforeEach(() => {
  gate = new RecordingGate('gate', clock);
});

describe('an AbortScope as what aborts a call', () => {
  it('ends the call at once with its reason, gives the permit back and tells what is further in', async () => {
    const gone = new AbortScope();
    const inner = vi.fn();
    const limit = dynamicTimeout({ limitMs: 10, maxMs: 10, clock });
    const call = pipeline(gate, limit).execute(
      (ctx) => {
        ctx.signal.addEventListener('abort', inner);
        return never;
      },
      { signal: gone },
    );
    gone.abort('hung up');
    await expect(call).rejects.toBe('hung up');
    expect(gate.verdicts).toEqual(['ignored']);
    expect(inner).toHaveBeenCalledOnce();
    expect(clock.waiting).toBe(0);
  });

  it('ends a call without any policy, and one inside another', async () => {
    const gone = new AbortScope();
    const bare = pipeline(gate).execute(() => never, { signal: gone });
    const nested = pipeline(gate).execute((ctx) => pipeline(gate).execute(() => never, ctx), { signal: gone });
    gone.abort('hung up');
    await expect(bare).rejects.toBe('hung up');
    await expect(nested).rejects.toBe('hung up');
  });

  it('refuses to begin once it has aborted', async () => {
    const gone = new AbortScope();
    gone.abort('hung up');
    const fn = vi.fn();
    await expect(pipeline(gate).execute(fn, { signal: gone })).rejects.toBe('hung up');
    expect(fn).not.toHaveBeenCalled();
    expect(gate.verdicts).toEqual([]);
  });

  it('may abort after the end, to no effect, and is its signal', async () => {
    const gone = new AbortScope();
    const guard = pipeline(circuitBreaker({ clock }), gate);
    expect(await guard.execute((ctx) => ctx.signal === gone.signal, { signal: gone })).toBe(true);
    gone.abort('closed');
    expect(gate.verdicts).toEqual(['success']);
  });

  it('may be of another copy of the library, but not half of one', async () => {
    const add = vi.fn();
    const remove = vi.fn();
    const signal: unknown = { aborted: false, reason: undefined, add, remove };
    await pipeline(gate).execute(() => 1, { signal: signal as AbortScope });
    expect(remove.mock.calls).toEqual(add.mock.calls);
    for (const missing of ['aborted', 'add', 'remove']) {
      const half = { ...(signal as object), [missing]: undefined };
      const call = pipeline(gate).execute(() => 1, { signal: half as unknown as AbortScope });
      await expect(call).rejects.toThrow('context: signal must be an AbortSignal or an AbortScope, got');
    }
  });
});

describe('onAbort', () => {
  /** What a call gets as its context, and what ends it. */
  function underWay(): { ctx: Context; gone: AbortScope; call: Promise<unknown> } {
    const gone = new AbortScope();
    let ctx!: Context;
    const fn = (given: Context): Promise<never> => {
      ctx = given;
      return never;
    };
    const call = pipeline(gate, dynamicTimeout({ limitMs: 10, maxMs: 10, clock })).execute(fn, { signal: gone });
    call.catch(() => {});
    return { ctx, gone, call };
  }

  it('tells once when the caller goes, or when the time is up, and makes no signal', async () => {
    const made = vi.spyOn(globalThis, 'AbortController');
    const { ctx, gone } = underWay();
    const other = underWay();
    const listener = vi.fn();
    const late = vi.fn();
    onAbort(ctx, listener);
    onAbort(other.ctx, late);
    gone.abort('hung up');
    gone.abort('again');
    expect(listener).toHaveBeenCalledOnce();
    expect(late).not.toHaveBeenCalled();
    await clock.advance(20);
    expect(late).toHaveBeenCalledOnce();
    expect(listener).toHaveBeenCalledOnce();
    expect(made).not.toHaveBeenCalled();
    made.mockRestore();
  });

  it('tells at once when it has already happened', () => {
    const { ctx, gone } = underWay();
    gone.abort('hung up');
    const listener = vi.fn();
    onAbort(ctx, listener)();
    expect(listener).toHaveBeenCalledOnce();
  });

  it('takes a listener back, one for each time that it was given', () => {
    const { ctx, gone } = underWay();
    const listener = vi.fn();
    const stop = onAbort(ctx, listener);
    onAbort(ctx, listener);
    stop();
    stop();
    gone.abort('hung up');
    expect(listener).toHaveBeenCalledOnce();
  });

  it('leaves nothing behind on a signal that lives on', async () => {
    const signal = new AbortController().signal;
    const off = vi.spyOn(signal, 'removeEventListener');
    await pipeline(gate).execute((ctx) => onAbort(ctx, () => {})(), { signal });
    expect(off).toHaveBeenCalled();
  });

  it('does nothing where nothing can abort the call', async () => {
    const listener = vi.fn();
    await pipeline().execute((ctx) => onAbort(ctx, listener)());
    expect(listener).not.toHaveBeenCalled();
  });

  it('refuses what is no function', async () => {
    const call = pipeline().execute((ctx) => onAbort(ctx, 5 as never));
    await expect(call).rejects.toThrow(new TypeError('onAbort: listener must be a function, got 5'));
  });
});
