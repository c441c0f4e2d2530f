import { type Policy, pipeline, type ResilienceEvent, rateLimiter } from 'evenkeel';
import { type ChaosOptions, chaos, type Fault, isInjected } from 'evenkeel/chaos';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

function experiment(options: ChaosOptions, seed = 1) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const faults = chaos({
    clock,
    random: seededRandom(seed),
    observer: (event) => events.push(event),
    ...options,
  });
  const measured = typeof options.steadyState === 'function' ? [] : [faults.steadyState()];
  return { clock, events, faults, calls: pipeline(...measured, faults) };
}

/** How a call ends, and when. */
async function ended(clock: ManualClock, call: Promise<unknown>): Promise<unknown[]> {
  return call.then(
    (value) => ['value', value, clock.now()],
    (error: unknown) => [isInjected(error) ? 'injected' : 'error', error, clock.now()],
  );
}

describe('off', () => {
  it('it is until it is started, and draws no random number', async () => {
    let drawn = 0;
    const random = (): number => {
      drawn++;
      return 0;
    };
    const { calls, faults, events } = experiment({ faults: [{ kind: 'error', ratio: 1 }], random });
    for (let i = 0; i < 100; i++) expect(await calls.execute(() => i)).toBe(i);
    expect(drawn).toBe(0);
    expect(events).toEqual([]);
    expect(faults.snapshot()).toEqual({
      running: false,
      endedBy: 'never_started',
      calls: 0,
      injected: { latency: 0, error: 0, hang: 0, abort: 0 },
      held: 0,
    });
    expect(faults.start()).toBe(true);
    await expect(calls.execute(() => 1)).rejects.toMatchObject({ code: 'EVENKEEL_INJECTED', policy: 'chaos' });
    faults.stop();
    expect(await calls.execute(() => 2)).toBe(2);
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'stopped', calls: 1, injected: { error: 1 } });
    expect(events.map(({ type }) => type)).toEqual(['chaos_state', 'fault_injected', 'chaos_state']);
  });
});

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

describe('the end', () => {
  it('comes by itself when good answers are too few', async () => {
    const { clock, faults, events } = experiment({
      faults: [{ kind: 'error', ratio: 0.2 }],
      steadyState: { minGoodRatio: 0.9, minRequests: 50 },
    });
    const guarded = pipeline(faults.steadyState(), faults);
    for (let i = 0; i < 100; i++) await guarded.execute(() => i);
    expect(faults.start()).toBe(true);
    let failed = 0;
    for (let i = 0; i < 1_000; i++) await guarded.execute(() => i).catch(() => failed++);
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'steady_state' });
    // Of 100 + n answers, a tenth.
    expect(failed).toBeGreaterThanOrEqual(11);
    expect(failed).toBeLessThan(40);
    expect(events.at(-1)).toMatchObject({ type: 'chaos_state', running: false, endedBy: 'steady_state' });
    expect(faults.start()).toBe(true);
    faults.stop();
    await clock.advance(0);
    expect(clock.waiting).toBe(0);
  });

  it('comes when calls hang, though none of them ends, and lets them go on', async () => {
    const { clock, faults } = experiment({
      faults: [{ kind: 'hang', ratio: 1 }],
      steadyState: { maxMs: 500, minRequests: 5 },
    });
    const guarded = pipeline(faults.steadyState(), faults);
    faults.start();
    const calls = Array.from({ length: 5 }, (_, i) => guarded.execute(() => i));
    await clock.advance(499);
    expect(faults.snapshot()).toMatchObject({ running: true, held: 5 });
    await clock.advance(1);
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'steady_state', held: 0 });
    expect(await Promise.all(calls)).toEqual([0, 1, 2, 3, 4]);
    expect(clock.waiting).toBe(0);
  });

  it('spares the delayed calls what was to come', async () => {
    const { clock, calls, faults } = experiment({
      faults: [
        { kind: 'latency', ratio: 1, delayMs: 100 },
        { kind: 'error', ratio: 1 },
      ],
    });
    faults.start();
    const call = ended(
      clock,
      calls.execute(() => 'well'),
    );
    await clock.advance(10);
    faults.stop();
    expect(await call).toEqual(['value', 'well', 10]);
    expect(clock.waiting).toBe(0);
  });

  it('comes after durationMs', async () => {
    const { clock, faults } = experiment({ faults: [], durationMs: 2_500 });
    faults.start();
    await clock.advance(2_499);
    expect(faults.snapshot().running).toBe(true);
    await clock.advance(1);
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'duration' });
    expect(clock.waiting).toBe(0);
  });

  it('comes when a function says so, which is asked each checkMs, also when it throws', async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error));
    const asked: number[] = [];
    const clock = manualClock();
    const faults = chaos({
      clock,
      faults: [],
      checkMs: 200,
      steadyState: () => {
        asked.push(clock.now());
        if (asked.length === 4) throw new Error('no metrics');
        return true;
      },
    });
    expect(() => faults.steadyState()).toThrow('chaos: its steady state is a function, nothing is measured');
    faults.start();
    await clock.advance(1_000);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(asked).toEqual([0, 200, 400, 600]);
    expect(faults.snapshot().endedBy).toBe('steady_state');
    expect(thrown).toEqual([new Error('no metrics')]);
  });

  it('is where it starts, while the steady state does not hold', async () => {
    const { faults, events } = experiment({ faults: [], steadyState: { minRequests: 10 } });
    const guarded = pipeline(faults.steadyState(), faults);
    for (let i = 0; i < 10; i++) await guarded.execute(() => Promise.reject(new Error('down'))).catch(() => {});
    expect(faults.start()).toBe(false);
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'never_started' });
    expect(events).toEqual([]);
  });
});

describe('the steady state', () => {
  it.each([undefined, {}, { minRequests: 1 }])(
    'of which nothing is measured starts nothing: %j',
    async (steadyState) => {
      const options = { faults: [{ kind: 'error', ratio: 1 }], clock: manualClock(), steadyState };
      const faults = chaos(options as ChaosOptions);
      const calls = pipeline(faults);
      expect(() => faults.start()).toThrow(
        'chaos: nothing measures the steady state: put steadyState() outermost in the pipeline',
      );
      expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'never_started' });
      expect(await calls.execute(() => 'spared')).toBe('spared');
      faults.steadyState();
      expect(faults.start()).toBe(true);
    },
  );

  it('ends the experiment at the first call where its policy was left out, or stands inside', async () => {
    for (const inside of [false, true]) {
      const clock = manualClock();
      const faults = chaos({ faults: [{ kind: 'error', ratio: 1 }], clock });
      const watch = faults.steadyState();
      const calls = inside ? pipeline(faults, watch) : pipeline(faults);
      faults.start();
      for (let i = 0; i < 10; i++) expect(await calls.execute(() => i)).toBe(i);
      expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'steady_state', calls: 0 });
      expect(clock.waiting).toBe(0);
    }
  });

  it.each([async () => false, () => 1, () => undefined])('is not told by %s', async (given) => {
    const { clock, faults, events } = experiment({ faults: [], steadyState: given as never });
    expect(() => faults.start()).toThrow(
      /^chaos: what steadyState gives must be true or false, got (an object|1|undef)/,
    );
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'never_started' });
    expect([clock.waiting, events]).toEqual([0, []]);
  });

  it('that tells nothing any more ends the experiment, and says so', async () => {
    let answer: unknown = true;
    const { clock, faults } = experiment({ faults: [], steadyState: () => answer as boolean });
    expect(faults.start()).toBe(true);
    answer = Promise.resolve(true);
    await expect(clock.advance(1_000)).rejects.toThrow('chaos: what steadyState gives must be true or false, got');
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'steady_state' });
    expect(clock.waiting).toBe(0);
  });

  it("counts refusals against the experiment, and not the caller's abort", async () => {
    const { clock, faults } = experiment({ faults: [], steadyState: { minRequests: 10, minGoodRatio: 0.5 } });
    const limiter = rateLimiter({ limit: 4, windowMs: 100_000, clock });
    const guarded = pipeline(faults.steadyState(), limiter, faults);
    for (let i = 0; i < 20; i++) {
      const caller = new AbortController();
      const call = guarded.execute(() => new Promise(() => {}), { signal: caller.signal }).catch(() => {});
      caller.abort();
      await call;
    }
    expect(faults.start()).toBe(true);
    // 4 good ones and 5 refusals are too few to say; the sixth refusal is one too many.
    for (let i = 0; i < 9; i++) await guarded.tryExecute(() => i);
    expect(faults.snapshot().running).toBe(true);
    await guarded.tryExecute(() => 1);
    expect(faults.snapshot()).toMatchObject({ running: false, endedBy: 'steady_state' });
  });

  it('forgets: after windowMs a new start is possible', async () => {
    const { clock, faults } = experiment({ faults: [{ kind: 'error', ratio: 1 }], steadyState: { windowMs: 1_000 } });
    const guarded = pipeline(faults.steadyState(), faults);
    faults.start();
    for (let i = 0; i < 20; i++) await guarded.execute(() => i).catch(() => {});
    expect(faults.start()).toBe(false);
    await clock.advance(1_050);
    expect(faults.start()).toBe(true);
    faults.stop();
  });
});

it('a second start ends the first experiment and counts anew; a second stop is none', async () => {
  const { clock, calls, events, faults } = experiment({ faults: [{ kind: 'hang', ratio: 1 }] });
  faults.start();
  const held = calls.execute(() => 'let go');
  expect(faults.snapshot()).toMatchObject({ calls: 1, held: 1 });
  expect(faults.start()).toBe(true);
  expect(await held).toBe('let go');
  expect(faults.snapshot()).toMatchObject({ running: true, calls: 0, injected: { hang: 0 }, held: 0 });
  faults.stop();
  faults.stop();
  expect(events.filter(({ type }) => type === 'chaos_state')).toMatchObject([
    { running: true },
    { running: false, endedBy: 'stopped' },
    { running: true },
    { running: false, endedBy: 'stopped' },
  ]);
  expect(clock.waiting).toBe(0);
});

it.each([5, null, [], 'ok'])('refuses %j for a steady state', (steadyState) => {
  expect(() => chaos({ faults: [], steadyState: steadyState as never })).toThrow(
    'chaos: steadyState must be an object or a function, got',
  );
});

it('a clock that steps back neither ends it nor starts a fault again', async () => {
  const { clock, faults, calls } = experiment({ faults: [{ kind: 'error', ratio: 1, fromMs: 0, untilMs: 100 }] });
  await clock.advance(1_000);
  faults.start();
  await clock.advance(500);
  clock.jump(-900);
  expect(await calls.execute(() => 'before the start')).toBe('before the start');
  expect(faults.snapshot().running).toBe(true);
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
