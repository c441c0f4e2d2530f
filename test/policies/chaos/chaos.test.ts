import { pipeline, rateLimiter } from 'evenkeel';
import { type ChaosOptions, chaos } from 'evenkeel/chaos';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { ended, experiment } from './experiment.js';

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
    const steady = faults.steadyState();
    const guarded = pipeline(steady, limiter, faults);
    // Without the limiter, whose quota a call that was sent has used.
    const unlimited = pipeline(steady, faults);
    for (let i = 0; i < 20; i++) {
      const caller = new AbortController();
      const call = unlimited.execute(() => new Promise(() => {}), { signal: caller.signal }).catch(() => {});
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
