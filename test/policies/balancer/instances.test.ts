import { balancer, isRejected, type ResilienceEvent } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { FIVE, mask, picks, stateOf } from './pools.js';

noUnhandledRejections();

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
