import { type Balancer, balancer, isRejected, type ResilienceEvent, type Verdict } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

const FIVE = 5;
const mask = (pool: Balancer<string>, instance: string): void => {
  for (let i = 0; i < FIVE; i++) pool.report(instance, 'failure', 0);
};
const stateOf = <T>(pool: Balancer<T>, instance: T): string | undefined =>
  pool.snapshot().instances.find((one) => one.instance === instance)?.state;
const picks = (pool: Balancer<string>, n: number): string[] => Array.from({ length: n }, () => pool.pick());

describe('instances', () => {
  it('are strings or objects of any kind, by identity', () => {
    const here = { url: 'http://here', weight: 3 };
    const there = { url: 'http://there' };
    const pool = balancer({ instances: [here, there], clock: manualClock(), random: seededRandom(1) });
    const urls = Array.from({ length: 400 }, () => pool.pick().url);
    expect(urls.filter((url) => url === here.url)).toHaveLength(300);
    expect(pool.snapshot().instances.map(({ staticWeight }) => staticWeight)).toEqual([3, 1]);
    expect(pool.remove({ ...there })).toBe(false);
    expect(pool.remove(there)).toBe(true);
    expect(pool.pick()).toBe(here);
  });

  it('may be anything, also what has no fields', () => {
    const weighted = Object.assign(() => {}, { weight: 2 });
    const pool = balancer<unknown>({ instances: ['a', 5, null, undefined, weighted], clock: manualClock() });
    expect(pool.snapshot().instances.map(({ staticWeight }) => staticWeight)).toEqual([1, 1, 1, 1, 2]);
  });

  it('cost no look at the clock while all are up', () => {
    let looks = 0;
    const now = (): number => 10_000 * looks++;
    const pool = balancer({ instances: ['a', 'b'], rampMs: 0, clock: Object.assign(manualClock(), { now }) });
    const looksOf = (what: () => void): number => {
      const before = looks;
      what();
      return looks - before;
    };
    expect(looksOf(() => picks(pool, 10))).toBe(0);
    expect(looksOf(() => pool.report('a', 'success', 1))).toBe(0);
    mask(pool, 'a');
    expect(looksOf(() => picks(pool, 10))).toBe(10);
    for (let i = 0; i <= 20; i++) pool.report('a', 'success', 0);
    expect(stateOf(pool, 'a')).toBe('up');
    expect(looksOf(() => picks(pool, 10))).toBe(0);
  });

  it('that were ill, though not masked, get their share back as their calls succeed', () => {
    const pool = balancer({ instances: ['a', 'b'], clock: manualClock() });
    for (const verdict of ['failure', 'failure', ...new Array(400).fill('success')]) {
      pool.report('a', verdict, 1);
      const { weight, shareRatio } = pool.snapshot().instances[0] as { weight: number; shareRatio: number };
      expect(shareRatio).toBe(weight / (weight + 1));
    }
    expect(pool.snapshot().instances[0]).toMatchObject({ weight: 1, shareRatio: 0.5 });
  });

  it('have the weight that weightOf says', () => {
    const pool = balancer({ instances: ['a', 'bbb'], weightOf: (one) => one.length, clock: manualClock() });
    expect(
      pool.snapshot().instances.map(({ staticWeight, weight, shareRatio }) => [staticWeight, weight, shareRatio]),
    ).toEqual([
      [1, 1, 0.25],
      [3, 3, 0.75],
    ]);
  });

  it('are checked, and so are their weights', () => {
    const bad = (instances: unknown, weightOf?: unknown) => () => balancer({ instances, weightOf } as never);
    const array = 'balancer: instances must be an array of distinct instances, got';
    expect(bad(undefined)).toThrow(new TypeError(`${array} undefined`));
    expect(bad('a')).toThrow(new TypeError(`${array} "a"`));
    expect(bad(['a', 'a'])).toThrow(new RangeError(`${array} an array`));
    const weight = 'must be a finite number ≥ 0.001 and ≤ 1000000, got';
    expect(bad(['a', { weight: 0 }])).toThrow(new RangeError(`balancer: instances[1].weight ${weight} 0`));
    expect(bad([{ weight: '5' }])).toThrow(new TypeError(`balancer: instances[0].weight ${weight} "5"`));
    expect(bad(['a'], () => NaN)).toThrow(new RangeError(`balancer: instances[0].weight ${weight} NaN`));
    const pool = balancer<object>({ instances: [] });
    expect(() => pool.add({ weight: -1 })).toThrow(new RangeError(`balancer.add: weight ${weight} -1`));
    expect(pool.snapshot().instances).toEqual([]);
  });

  it('come and go, and those that stay keep what is known of them', () => {
    const pool = balancer({ instances: ['a', 'b', 'c'], clock: manualClock() });
    mask(pool, 'a');
    pool.report('b', 'failure', 0);
    const before = pool.snapshot().instances.slice(0, 2);
    expect([pool.add('d'), pool.add('d'), pool.remove('c'), pool.remove('c')]).toEqual([true, false, true, false]);
    const after = pool.snapshot().instances;
    expect(after.map(({ instance }) => instance)).toEqual(['a', 'b', 'd']);
    expect(after.slice(0, 2).map(({ shareRatio: _, ...rest }) => rest)).toEqual(
      before.map(({ shareRatio: _, ...rest }) => rest),
    );
    expect(new Set(picks(pool, 20))).toEqual(new Set(['b', 'd']));
  });

  it('that are added again get the weight that they have now, and begin anew only if removed between', () => {
    const one = { weight: 1 };
    const pool = balancer({ instances: [one, {}], clock: manualClock() });
    one.weight = 3;
    expect(pool.add(one)).toBe(false);
    expect(pool.snapshot().instances[0]).toMatchObject({ staticWeight: 3, shareRatio: 0.75 });
    for (let i = 0; i < FIVE; i++) pool.report(one, 'failure', 0);
    pool.add(one);
    expect(stateOf(pool, one)).toBe('masked');
    pool.remove(one);
    pool.add(one);
    expect(stateOf(pool, one)).toBe('up');
  });

  it('that were drained by a tiny weight have their turns at once when it is a full one again', () => {
    const one = { weight: 1 };
    const pool = balancer({ instances: [one, {}, {}], clock: manualClock() });
    const turns = (n: number): number => Array.from({ length: n }, () => pool.pick()).filter((it) => it === one).length;
    one.weight = 0.001;
    pool.add(one);
    expect(turns(3_000)).toBeLessThan(4);
    one.weight = 1;
    pool.add(one);
    expect([turns(30), turns(30)]).toEqual([10, 10]);
  });

  it('that are added later begin at the bottom of the ramp with slowStart', () => {
    const clock = manualClock();
    const pool = balancer({ instances: ['a', 'b'], slowStart: true, clock });
    expect(stateOf(pool, 'a')).toBe('up');
    pool.add('c');
    expect(pool.snapshot().instances[2]).toMatchObject({ state: 'recovering', weight: 0.05 });
    for (let i = 0; i < 20; i++) {
      clock.jump(500);
      pool.report('c', 'success', 0);
    }
    expect(pool.snapshot().instances[2]).toMatchObject({ state: 'up', weight: 1 });
  });

  it('that are removed while masked count no more, neither for probes nor for the panic', () => {
    const clock = manualClock();
    const pool = balancer({ instances: ['a', 'b', 'c', 'd'], clock });
    mask(pool, 'a');
    mask(pool, 'b');
    pool.remove('a');
    pool.remove('b');
    clock.jump(10_000);
    expect(new Set(picks(pool, 30))).toEqual(new Set(['c', 'd']));
    mask(pool, 'c');
    expect(pool.snapshot().panic).toBe(false);
    pool.remove('c');
    pool.add('e');
    pool.update({ panicRatio: 1 });
    mask(pool, 'd');
    expect(pool.snapshot().panic).toBe(false);
    mask(pool, 'e');
    expect(pool.snapshot().panic).toBe(true);
  });

  it('that are removed while up count no more for the panic', () => {
    const pool = balancer({ instances: ['a', 'b', 'c'], panicRatio: 1, clock: manualClock() });
    pool.remove('c');
    mask(pool, 'a');
    expect(pool.snapshot().panic).toBe(false);
    mask(pool, 'b');
    expect(pool.snapshot().panic).toBe(true);
    pool.remove('a');
    pool.remove('b');
    expect(pool.snapshot()).toEqual({ instances: [], panic: false });
    expect(balancer({ instances: [] }).snapshot()).toEqual({ instances: [], panic: false });
  });

  it('that come back end the panic at six tenths of their weight', () => {
    const clock = manualClock();
    const pool = balancer({ instances: ['a', 'b', 'c'], rampMs: 0, clock });
    mask(pool, 'a');
    mask(pool, 'b');
    clock.jump(1);
    const panics: [number, boolean][] = [];
    for (let i = 0; i <= 13; i++) {
      pool.report('b', 'success', 0);
      const { instances, panic } = pool.snapshot();
      panics.push([instances[1]?.weight as number, panic]);
    }
    // A probe's success begins the ramp.
    expect(panics.slice(11)).toEqual([
      [0.55, true],
      [0.6, false],
      [0.65, false],
    ]);
  });

  it('that recover get no probe where their share of the calls is enough', () => {
    const clock = manualClock();
    const pool = balancer({ instances: ['a', 'b'], clock });
    mask(pool, 'a');
    clock.jump(5_000);
    expect(pool.pick()).toBe('a');
    pool.report('a', 'success', 0);
    const picked = Array.from({ length: 2_100 }, () => {
      clock.jump(100);
      return pool.pick();
    });
    // One call in 21: every 2.1 s.
    const own = picked.filter((one) => one === 'a').length;
    expect(own).toBeGreaterThanOrEqual(99);
    expect(own).toBeLessThanOrEqual(101);
  });

  it('are probed by one call in ten where calls are few, in a smaller pool by one in as many', () => {
    for (const [size, every] of [
      [2, 2],
      [9, 9],
      [12, 10],
    ] as const) {
      const clock = manualClock();
      const pool = balancer({ instances: Array.from('abcdefghijkl').slice(0, size), clock });
      mask(pool, 'a');
      const probes: number[] = [];
      for (let call = 0; call < 45; call++) {
        clock.jump(60_000);
        if (pool.pick() !== 'a') continue;
        probes.push(call);
        pool.report('a', 'failure', 0);
      }
      expect(probes).toEqual(Array.from({ length: Math.ceil(45 / every) }, (_, i) => i * every));
    }
  });

  it('are probed at once where several are ill, with twice as many calls between as probeRatio says', () => {
    const clock = manualClock();
    const pool = balancer({ instances: Array.from('abcdef'), probeRatio: 0.1, clock });
    mask(pool, 'a');
    mask(pool, 'b');
    clock.jump(5_000);
    const probes = picks(pool, 50).flatMap((one, call) => (one < 'c' ? [[one, call]] : []));
    expect(probes).toEqual([
      ['a', 0],
      ['b', 20],
    ]);
  });

  it('take turns at the probes', () => {
    const clock = manualClock();
    const pool = balancer({ instances: ['a', 'b', 'c', 'd'], clock });
    mask(pool, 'a');
    mask(pool, 'b');
    const probed: string[] = [];
    for (let i = 0; i < 250; i++) {
      clock.jump(100);
      probed.push(...picks(pool, 5).filter((one) => one === 'a' || one === 'b'));
    }
    expect(probed).toEqual(['a', 'b', 'a', 'b', 'a']);
  });

  it('that fail quickly do not look quick', () => {
    const pool = balancer({ instances: ['a', 'b'], choice: 'latency', clock: manualClock() });
    pool.report('a', 'success', 50);
    pool.report('a', 'failure', 1);
    expect(pool.snapshot().instances[0]?.latencyMs).toBe(50);
    pool.report('a', 'dropped', 1_000);
    expect(pool.snapshot().instances[0]?.latencyMs).toBeGreaterThan(100);
  });

  it('that are not there make pick throw a refusal', () => {
    const events: ResilienceEvent[] = [];
    const pool = balancer<string>({
      instances: [],
      name: 'pool',
      clock: manualClock(7),
      observer: (e) => events.push(e),
    });
    const thrown = (() => {
      try {
        return pool.pick();
      } catch (error) {
        return error;
      }
    })();
    expect(isRejected(thrown) && { ...thrown }).toMatchObject({
      policy: 'pool',
      reason: 'no_instance',
      retryAfterMs: 0,
    });
    expect(events).toEqual([
      { type: 'rejected', policy: 'pool', at: 7, reason: 'no_instance', retryAfterMs: 0, shadow: false },
    ]);
    pool.add('a');
    expect(pool.pick()).toBe('a');
    pool.remove('a');
    expect(() => pool.pick()).toThrow('pool refused the call: no_instance');
    pool.report('a', 'failure', 0);
  });
});

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
