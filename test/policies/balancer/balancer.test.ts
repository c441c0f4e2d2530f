import { type Balancer, balancer, type ResilienceEvent, type Verdict } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { FIVE, mask, picks, stateOf } from './pools.js';

noUnhandledRejections();

describe('report', () => {
  it('counts failures and drops, and no call that is ignored', () => {
    for (const verdict of ['failure', 'dropped'] as const) {
      const pool = balancer({ instances: ['a', 'b'], clock: manualClock() });
      for (let i = 0; i < FIVE; i++) {
        expect(stateOf(pool, 'a')).toBe('up');
        pool.report('a', verdict, 10);
        pool.report('a', 'ignored', 10);
      }
      expect(stateOf(pool, 'a')).toBe('masked');
    }
  });

  it('keeps the number of calls in flight', () => {
    const pool = balancer({ instances: ['a'], clock: manualClock() });
    const inFlight = (): number | undefined => pool.snapshot().instances[0]?.inFlight;
    picks(pool, 3);
    expect(inFlight()).toBe(3);
    for (const verdict of ['success', 'failure', 'ignored', 'dropped'] as const) pool.report('a', verdict, 1);
    expect(inFlight()).toBe(0);
  });

  it('refuses what is no verdict', () => {
    const pool = balancer({ instances: ['a'], name: 'pool' });
    for (const bad of ['ok', undefined, true, null]) {
      expect(() => pool.report('a', bad as unknown as Verdict, 0)).toThrow(TypeError);
    }
    expect(() => pool.report('a', 'ok' as Verdict, 0)).toThrow(
      `pool.report: verdict must be 'success', 'failure', 'dropped' or 'ignored', got "ok"`,
    );
  });

  it('of a call from before the mask neither unmasks nor counts again', () => {
    const clock = manualClock(10_000);
    const pool = balancer({ instances: ['a', 'b'], clock });
    mask(pool, 'a');
    clock.jump(6_000);
    // They began at 9,999, and just as it was masked.
    pool.report('a', 'success', 6_001);
    pool.report('a', 'success', 6_000);
    expect(stateOf(pool, 'a')).toBe('masked');
    expect(picks(pool, 1)).toEqual(['a']);
    pool.report('a', 'success', 1);
    expect(stateOf(pool, 'a')).toBe('recovering');
    for (let i = 0; i < 20; i++) pool.report('a', 'failure', 60_000);
    expect(stateOf(pool, 'a')).toBe('recovering');
    expect(pool.snapshot().instances[0]).toMatchObject({ successRatio: 1, weight: 0.05 });
    // One from after it does.
    for (let i = 0; i < 2; i++) pool.report('a', 'failure', 1);
    expect(stateOf(pool, 'a')).toBe('masked');
  });

  it('of a call from before the mask counts no more when the instance is up again', () => {
    const clock = manualClock(10_000);
    const pool = balancer({ instances: ['a', 'b'], rampMs: 0, clock });
    mask(pool, 'a');
    clock.jump(6_000);
    for (let i = 0; i <= 20; i++) pool.report('a', 'success', 1);
    pool.report('a', 'failure', 1);
    const before = pool.snapshot();
    expect(before.instances[0]).toMatchObject({ state: 'up', successRatio: 20 / 21 });
    for (const verdict of ['success', 'failure'] as const) pool.report('a', verdict, 6_000);
    expect(pool.snapshot()).toEqual(before);
  });

  it('bears any elapsed time', () => {
    const pool = balancer({ instances: ['a', 'b'], choice: 'latency', clock: manualClock() });
    mask(pool, 'a');
    for (const elapsedMs of [NaN, -1, -Infinity, undefined as never]) pool.report('b', 'success', elapsedMs);
    pool.report('b', 'success', Infinity);
    expect(picks(pool, 5)).toEqual(['b', 'b', 'b', 'b', 'b']);
    expect(stateOf(pool, 'b')).toBe('up');
  });

  it('what is no elapsed time leaves the response time alone', () => {
    const pool = balancer({ instances: ['a'], choice: 'latency', clock: manualClock() });
    pool.report('a', 'success', 50);
    for (const elapsedMs of [NaN, -1, -Infinity, Infinity, undefined as never]) pool.report('a', 'success', elapsedMs);
    expect(pool.snapshot().instances[0]?.latencyMs).toBe(50);
    pool.report('a', 'success', 0);
    expect(pool.snapshot().instances[0]?.latencyMs).toBeLessThan(50);
  });
});

describe('events', () => {
  it('tell each change of state, and what an observer throws hurts nobody', () => {
    const clock = manualClock();
    const events: ResilienceEvent[] = [];
    const pool = balancer({ instances: ['a', 'b'], rampMs: 0, clock, observer: (event) => events.push(event) });
    mask(pool, 'a');
    clock.jump(5_000);
    expect(pool.pick()).toBe('a');
    for (let i = 0; i <= 20; i++) pool.report('a', 'success', 0);
    const event = { type: 'instance_state', policy: 'balancer', instance: 'a' };
    expect(events).toEqual([
      { ...event, at: 0, state: 'masked' },
      { ...event, at: 5_000, state: 'recovering' },
      { ...event, at: 5_000, state: 'up' },
    ]);
  });

  it('let an observer change the pool', () => {
    const clock = manualClock();
    const pool: Balancer<string> = balancer({
      instances: ['a', 'b'],
      clock,
      observer: (event) => {
        if (event.type !== 'instance_state') return;
        pool.remove('a');
        pool.add('c');
      },
    });
    mask(pool, 'a');
    expect(pool.snapshot().instances.map(({ instance }) => instance)).toEqual(['b', 'c']);
    expect(new Set(picks(pool, 10))).toEqual(new Set(['b', 'c']));
  });
});

describe('odd clocks', () => {
  const recovers = (jump: (clock: ReturnType<typeof manualClock>) => void): void => {
    const clock = manualClock(1e9);
    const pool = balancer({ instances: ['a', 'b'], probeRatio: 0, clock });
    mask(pool, 'a');
    clock.jump(5_000);
    expect(pool.pick()).toBe('a');
    pool.report('a', 'failure', 0);
    jump(clock);
    pool.pick();
    let untilProbe = 0;
    for (; untilProbe < 100_000 && pool.pick() !== 'a'; untilProbe += 100) clock.jump(100);
    expect(untilProbe).toBeLessThanOrEqual(65_000);
    pool.report('a', 'success', 0);
    expect(stateOf(pool, 'a')).toBe('recovering');
    for (let i = 0; i < 20; i++) {
      clock.jump(500);
      pool.report('a', 'success', 0);
    }
    expect(stateOf(pool, 'a')).toBe('up');
  };

  it('that goes back stands still; one that was set by more than a minute goes on from there', () => {
    let now = 1_000_000;
    let told = NaN;
    const pool = balancer({
      instances: [],
      clock: Object.assign(manualClock(), { now: () => now }),
      observer: ({ at }) => {
        told = at;
      },
    });
    const at = (clock: number, startedAt?: number): number => {
      now = clock;
      expect(() => pool.pick(startedAt === undefined ? {} : { startedAt })).toThrow('no_instance');
      return told;
    };
    for (const stands of [1_000_000, 999_000, 940_000, NaN, Infinity, -Infinity]) expect(at(stands)).toBe(1_000_000);
    // The call's own time, unless it is so old that it may be of before the clock was set.
    expect(at(1_000_010, 1_000_005)).toBe(1_000_005);
    expect(at(1_000_010, 940_005)).toBe(1_000_005);
    expect(at(1_000_010, 940_004)).toBe(1_000_010);
    expect(at(940_010, 0)).toBe(1_000_010);
    expect(at(940_009)).toBe(940_009);
    expect(at(940_010)).toBe(940_010);
  });

  it('that was set does not stop a ramp', () => {
    for (const ms of [-3_600_000, 3_600_000]) {
      const clock = manualClock(1e9);
      const pool = balancer({ instances: ['a', 'b'], clock });
      mask(pool, 'a');
      clock.jump(5_000);
      pool.report('a', 'success', 0);
      clock.jump(ms);
      for (let i = 0; i < 4; i++) {
        pool.report('a', 'success', 0);
        clock.jump(500);
      }
      expect(pool.snapshot().instances[0]?.weight).toBe(ms < 0 ? 0.15 : 0.2);
    }
  });

  it('an hour back, an hour on, a second back', () => {
    for (const ms of [-3_600_000, 3_600_000, -1_000]) recovers((clock) => clock.jump(ms));
  });

  it('an old context is no clock that was set back', () => {
    const clock = manualClock(1_000_000);
    const pool = balancer({ instances: ['a', 'b'], clock });
    mask(pool, 'a');
    for (let i = 0; i < 10; i++) expect(pool.pick({ startedAt: 900_000 })).toBe('b');
    clock.jump(4_999);
    expect(pool.pick()).toBe('b');
    expect(pool.pick({ startedAt: 1_000_000 })).toBe('b');
    clock.jump(1);
    expect(pool.pick({ startedAt: 900_000 })).toBe('a');
  });

  it('that fails', () => {
    const clock = manualClock();
    let broken = false;
    const timers = { setTimer: () => undefined, clearTimer: () => {} };
    const pool = balancer({ instances: ['a', 'b'], clock: { ...timers, now: () => (broken ? NaN : clock.now()) } });
    mask(pool, 'a');
    broken = true;
    expect(picks(pool, 3)).toEqual(['b', 'b', 'b']);
    mask(pool, 'b');
    pool.report('a', 'success', NaN);
    expect(new Set(picks(pool, 4))).toEqual(new Set(['a', 'b']));
    broken = false;
    clock.jump(5_000);
    expect(pool.pick()).toBeDefined();
    const never = balancer({ instances: ['a', 'b'], clock: { ...timers, now: () => NaN } });
    mask(never, 'a');
    expect(picks(never, 3)).toEqual(['b', 'b', 'b']);
  });
});

describe('update', () => {
  it('takes effect at once', () => {
    const clock = manualClock();
    const pool = balancer({ instances: ['a', 'b', 'c'], clock });
    mask(pool, 'a');
    mask(pool, 'b');
    expect(pool.snapshot().panic).toBe(true);
    pool.update({ panicRatio: 1 });
    expect(pool.snapshot().panic).toBe(false);
    expect(new Set(picks(pool, 9))).toEqual(new Set(['c']));
    pool.update({ consecutiveFailures: 1 });
    pool.report('c', 'failure', 0);
    expect(pool.snapshot().panic).toBe(true);
    pool.update({ probeIntervalMs: 100 });
  });

  it('is all or nothing', () => {
    const pool = balancer({ instances: ['a', 'b'], name: 'pool', clock: manualClock() });
    expect(() => pool.update({ consecutiveFailures: 1, maskRatio: 1.1 })).toThrow(
      'pool.update: maskRatio must be a finite number ≥ 0 and ≤ 1, got 1.1',
    );
    pool.report('a', 'failure', 0);
    expect(stateOf(pool, 'a')).toBe('up');
  });
});

describe('a thousand instances', () => {
  it('half of them dead: none of these is chosen, but for a probe', () => {
    const clock = manualClock();
    const instances = Array.from({ length: 1_000 }, (_, i) => `host-${i}`);
    const pool = balancer({ instances, clock, random: seededRandom(1) });
    for (const one of instances.slice(0, 500)) mask(pool, one);
    const counts = new Map<string, number>();
    for (let i = 0; i < 50_000; i++) {
      clock.jump(1);
      const picked = pool.pick();
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
      pool.report(picked, instances.indexOf(picked) < 500 ? 'failure' : 'success', 0);
    }
    const dead = [...counts].filter(([one]) => instances.indexOf(one) < 500).reduce((sum, [, n]) => sum + n, 0);
    expect(dead).toBeGreaterThanOrEqual(9);
    expect(dead).toBeLessThanOrEqual(50);
    for (const one of instances.slice(500)) expect(counts.get(one)).toBeGreaterThanOrEqual(98);
  });
});
