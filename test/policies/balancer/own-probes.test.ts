import { type Balancer, balancer, type ResilienceEvent } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

type Wanted = { instance: string; signal: AbortSignal; settle: (ok: unknown) => void; fail: (error: unknown) => void };

function setUp(options: { probe?: (instance: string) => unknown } = {}) {
  const clock = manualClock();
  const probes: Wanted[] = [];
  const events: ResilienceEvent[] = [];
  const pool: Balancer<string> = balancer({
    instances: ['a', 'b', 'c', 'd'],
    clock,
    observer: (event) => events.push(event),
    probe: (instance, { signal }) => new Promise((settle, fail) => probes.push({ instance, signal, settle, fail })),
    ...options,
  });
  const mask = (instance: string): void => {
    for (let i = 0; i < 5; i++) pool.report(instance, 'failure', 0);
  };
  const stateOf = (wanted: string): string | undefined =>
    pool.snapshot().instances.find(({ instance }) => instance === wanted)?.state;
  return { clock, probes, events, pool, mask, stateOf };
}

describe('probes of one’s own', () => {
  it('run each interval while an instance is ill, and no user’s call goes to it', async () => {
    const { clock, probes, pool, mask, stateOf } = setUp();
    expect(clock.waiting).toBe(0);
    mask('a');
    await clock.advance(4_999);
    expect(probes).toEqual([]);
    await clock.advance(1);
    expect(probes.map(({ instance }) => instance)).toEqual(['a']);
    probes[0]?.fail(new Error('refused'));
    await clock.advance(5_000);
    expect(probes).toHaveLength(2);
    for (let i = 0; i < 1_000; i++) expect(pool.pick()).not.toBe('a');
    expect(stateOf('a')).toBe('masked');
    probes[1]?.settle(undefined);
    await clock.advance(0);
    expect(stateOf('a')).toBe('recovering');
    expect(new Set(Array.from({ length: 200 }, () => pool.pick()))).toContain('a');
  });

  it('go on while it recovers, and end when it is up', async () => {
    const { clock, probes, mask, stateOf } = setUp();
    mask('a');
    for (let i = 0; i < 21; i++) {
      await clock.advance(5_000);
      expect(probes).toHaveLength(i + 1);
      probes[i]?.settle(true);
    }
    await clock.advance(0);
    expect(stateOf('a')).toBe('up');
    expect(clock.waiting).toBe(0);
  });

  it('fail when they throw, reject, resolve with false or take too long; the observer hears why', async () => {
    const { clock, probes, events, mask, stateOf } = setUp();
    mask('a');
    await clock.advance(5_000);
    probes[0]?.settle(false);
    await clock.advance(5_000);
    await clock.advance(5_000);
    expect(probes[1]?.signal.aborted).toBe(true);
    // Too late.
    probes[1]?.settle(true);
    await clock.advance(0);
    expect(stateOf('a')).toBe('masked');
    const probed = events.filter(({ type }) => type === 'instance_probed');
    expect(probed).toEqual([
      { type: 'instance_probed', policy: 'balancer', at: 5_000, instance: 'a', ok: false, error: undefined },
      {
        type: 'instance_probed',
        policy: 'balancer',
        at: 15_000,
        instance: 'a',
        ok: false,
        error: new Error('the probe took longer than 5000 ms'),
      },
    ]);
    const problem = new Error('broken');
    const throwing = setUp({
      probe: () => {
        throw problem;
      },
    });
    throwing.mask('a');
    await throwing.clock.advance(5_000);
    expect(throwing.events.at(-1)).toMatchObject({ ok: false, error: problem });
    expect(throwing.stateOf('a')).toBe('masked');
  });

  it('of several instances do not wait for one another', async () => {
    const { clock, probes, mask, stateOf } = setUp();
    mask('a');
    await clock.advance(1_000);
    mask('b');
    await clock.advance(5_000);
    expect(probes.map(({ instance }) => instance)).toEqual(['a', 'b']);
    probes[1]?.settle(undefined);
    await clock.advance(0);
    expect([stateOf('a'), stateOf('b')]).toEqual(['masked', 'recovering']);
  });

  it('of an instance that is removed are aborted, and count no more', async () => {
    const { clock, probes, pool, mask, stateOf } = setUp();
    mask('a');
    await clock.advance(5_000);
    pool.remove('a');
    expect([probes[0]?.signal.aborted, clock.waiting]).toEqual([true, 0]);
    // One that has none.
    expect(pool.remove('b')).toBe(true);
    pool.add('a');
    mask('a');
    probes[0]?.settle(undefined);
    await clock.advance(0);
    expect(stateOf('a')).toBe('masked');
  });

  it('are stopped by close; users’ calls are the probes from then on', async () => {
    const { clock, probes, pool, mask } = setUp();
    mask('a');
    mask('b');
    await clock.advance(5_000);
    pool.close();
    pool.close();
    expect([probes.map(({ signal }) => signal.aborted), clock.waiting]).toEqual([[true, true], 0]);
    mask('c');
    expect(clock.waiting).toBe(0);
    pool.update({ panicRatio: 1 });
    await clock.advance(5_000);
    expect(pool.pick()).toBe('a');
  });
});
