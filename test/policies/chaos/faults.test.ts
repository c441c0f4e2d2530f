import { type Policy, pipeline } from 'evenkeel';
import { chaos, type Fault, isInjected } from 'evenkeel/chaos';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ended, experiment } from './experiment.js';

describe('faults', () => {
  it('latency: the call goes on later, by a clock of that time', async () => {
    const { clock, calls, faults } = experiment({ faults: [{ kind: 'latency', ratio: 1, delayMs: 30 }] });
    faults.start();
    const call = ended(
      clock,
      calls.execute((ctx) => ctx.startedAt),
    );
    await clock.advance(29);
    expect(faults.snapshot().held).toBe(1);
    await clock.advance(1);
    expect(await call).toEqual(['value', 30, 30]);
    expect(faults.snapshot().held).toBe(0);
  });

  it('delays add up, and the first of another kind ends the list', async () => {
    const { clock, calls, faults } = experiment({
      faults: [
        { kind: 'latency', ratio: 1, delayMs: 10 },
        { kind: 'latency', ratio: 1, delayMs: (random) => 5 + 0 * random() },
        { kind: 'error', ratio: 1, error: () => 'made up' },
        { kind: 'hang', ratio: 1 },
      ],
    });
    faults.start();
    const call = ended(
      clock,
      calls.execute(() => expect.unreachable()),
    );
    await clock.advance(15);
    expect(await call).toEqual(['error', 'made up', 15]);
    expect(faults.snapshot().injected).toEqual({ latency: 2, error: 1, hang: 0, abort: 0 });
  });

  it('hang: no answer until the caller gives up', async () => {
    const { clock, calls, faults } = experiment({ faults: [{ kind: 'hang', ratio: 1 }], durationMs: Infinity });
    faults.start();
    const caller = new AbortController();
    const call = ended(
      clock,
      calls.execute(() => expect.unreachable(), { signal: caller.signal }),
    );
    await clock.advance(1_000_000);
    expect(faults.snapshot().held).toBe(1);
    caller.abort('enough');
    expect(await call).toEqual(['error', 'enough', 1_000_000]);
    expect(faults.snapshot().held).toBe(0);
    faults.stop();
    expect(clock.waiting).toBe(0);
  });

  it('abort: the call is made, and its signal aborts', async () => {
    const { clock, calls, faults } = experiment({ faults: [{ kind: 'abort', ratio: 1, afterMs: 7 }] });
    faults.start();
    let signal: AbortSignal | undefined;
    const call = calls.execute((ctx) => {
      signal = ctx.signal;
      return new Promise(() => {});
    });
    const end = ended(clock, call);
    await clock.advance(6);
    expect(signal?.aborted).toBe(false);
    await clock.advance(1);
    expect(await end).toMatchObject(['injected', { policy: 'chaos' }, 7]);
    expect(isInjected(signal?.reason)).toBe(true);
    expect(await calls.execute(() => 'quicker')).toBe('quicker');
    faults.stop();
    expect(clock.waiting).toBe(0);
  });

  it("abort: the caller's own abort comes through with its reason", async () => {
    const { clock, calls, faults } = experiment({ faults: [{ kind: 'abort', ratio: 1, afterMs: 50 }] });
    faults.start();
    const caller = new AbortController();
    const end = ended(
      clock,
      calls.execute(() => new Promise(() => {}), { signal: caller.signal }),
    );
    await clock.advance(10);
    caller.abort('enough');
    expect(await end).toEqual(['error', 'enough', 10]);
    faults.stop();
    expect(clock.waiting).toBe(0);
  });

  it('abort: a caller who has gone before it gets here gets its own reason, and the call is not made', async () => {
    const { clock, faults } = experiment({ faults: [{ kind: 'abort', ratio: 1, afterMs: 50 }] });
    faults.start();
    const caller = new AbortController();
    const slow: Policy = {
      name: 'slow',
      run: async (ctx, next) => {
        caller.abort('enough');
        return next(ctx);
      },
    };
    let made = 0;
    const call = pipeline(faults.steadyState(), slow, faults).execute(() => made++, { signal: caller.signal });
    expect(await ended(clock, call)).toEqual(['error', 'enough', 0]);
    expect(made).toBe(0);
    faults.stop();
    expect(clock.waiting).toBe(0);
  });

  it('meet their share of the calls, whatever it is, and the same calls with the same seed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer(), async (ratio, seed) => {
        const run = async (): Promise<boolean[]> => {
          const { calls, faults } = experiment(
            { faults: [{ kind: 'error', ratio }], steadyState: () => true, durationMs: Infinity },
            seed,
          );
          faults.start();
          const met: boolean[] = [];
          for (let i = 0; i < 1_000; i++)
            met.push(
              (
                await ended(
                  manualClock(),
                  calls.execute(() => i),
                )
              )[0] === 'injected',
            );
          return met;
        };
        const met = await run();
        expect(await run()).toEqual(met);
        // Five standard deviations.
        const share = met.filter(Boolean).length / met.length;
        expect(Math.abs(share - ratio)).toBeLessThanOrEqual(5 * Math.sqrt((ratio * (1 - ratio)) / met.length) + 1e-9);
      }),
      { numRuns: 30 },
    );
  });

  it('meet only their keys, in their time, anew each period', async () => {
    const fault: Fault = { kind: 'error', ratio: 1, keys: ['a', 'b'], fromMs: 100, untilMs: 200, everyMs: 1_000 };
    const { clock, calls, faults } = experiment({ faults: [fault], steadyState: () => true });
    await clock.advance(50);
    faults.start();
    const metAt = async (atMs: number, key?: string): Promise<boolean> => {
      await clock.run(50 + atMs);
      return (
        (
          await ended(
            clock,
            calls.execute(() => 1, { key }),
          )
        )[0] === 'injected'
      );
    };
    expect(await metAt(99, 'a')).toBe(false);
    expect(await metAt(100, 'a')).toBe(true);
    expect(await metAt(150, 'b')).toBe(true);
    expect(await metAt(150, 'c')).toBe(false);
    expect(await metAt(150)).toBe(false);
    expect(await metAt(200, 'a')).toBe(false);
    expect(await metAt(1_099, 'a')).toBe(false);
    expect(await metAt(1_100, 'a')).toBe(true);
    expect(await metAt(1_200, 'a')).toBe(false);
  });
});

describe('bad faults', () => {
  const good: Fault = { kind: 'error', ratio: 0.5 };
  it.each<[string, unknown, string]>([
    ['none', undefined, 'chaos: faults must be an array of faults, got undefined'],
    ['no array', {}, 'chaos: faults must be an array of faults, got an object'],
    [
      'an unknown kind',
      [{ ...good, kind: 'slow' }],
      "chaos: faults[0]: kind must be 'latency' or 'error' or 'hang' or 'abort', got \"slow\"",
    ],
    [
      'no ratio',
      [good, { kind: 'hang' }],
      'chaos: faults[1]: ratio must be a finite number ≥ 0 and ≤ 1, got undefined',
    ],
    [
      'a ratio over 1',
      [{ ...good, ratio: 1.1 }],
      'chaos: faults[0]: ratio must be a finite number ≥ 0 and ≤ 1, got 1.1',
    ],
    [
      'a latency without a delay',
      [{ kind: 'latency', ratio: 1 }],
      'chaos: faults[0]: delayMs must be a finite number ≥ 0, got undefined',
    ],
    ['an option of another kind', [{ ...good, delayMs: 5 }], 'chaos: faults[0]: unknown option delayMs'],
    ['keys that are none', [{ ...good, keys: [5] }], 'chaos: faults[0]: keys must be an array of strings, got 5'],
    [
      'an end before the start',
      [{ ...good, fromMs: 10, untilMs: 10 }],
      'chaos: faults[0]: untilMs must be a number > 10, got 10',
    ],
    [
      'a period shorter than the fault',
      [{ ...good, untilMs: 10, everyMs: 9 }],
      'chaos: faults[0]: everyMs must be a number ≥ 10, got 9',
    ],
    ['null', [null], 'chaos: faults[0]: options must be an object, got null'],
  ])('%s', (_, faults, message) => {
    expect(() => chaos({ faults: faults as Fault[] })).toThrow(message);
  });

  it('a delay that is no time rejects the call', async () => {
    const { calls, faults } = experiment({ faults: [{ kind: 'latency', ratio: 1, delayMs: () => NaN }] });
    faults.start();
    await expect(calls.execute(() => 1)).rejects.toThrow('the delay that delayMs gives must be a finite number ≥ 0');
  });
});
