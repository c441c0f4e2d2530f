import { failover, isRejected } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later } from '../retry/calls.js';
import { type Act, refused, settled, setUp, timedOut } from './set-up.js';

noUnhandledRejections();

describe('the freeze', () => {
  const hang: Act = timedOut;

  it('both time out: all calls are refused at once, for freezeMs, with the time to come back', async () => {
    const { clock, site, calls, events, budget } = setUp(hang, hang, { freezeMs: 3_000 });
    await expect(site.execute()).rejects.toThrow('gave up');
    expect(site.snapshot().frozenMs).toBe(3_000);
    await clock.advance(1_000);
    const error = await site.execute().catch((e: unknown) => e);
    expect(error).toMatchObject({ policy: 'failover', reason: 'no_instance', retryAfterMs: 2_000 });
    expect(isRejected(error)).toBe(true);
    expect(await site.tryExecute()).toMatchObject({ ok: false, rejection: { retryAfterMs: 2_000 } });
    expect(calls).toHaveLength(2);
    expect(budget.requests).toBe(1);
    expect(events.slice(1, 3)).toEqual([
      { type: 'failover_frozen', policy: 'failover', at: 0, freezeMs: 3_000 },
      { type: 'rejected', policy: 'failover', at: 1_000, reason: 'no_instance', retryAfterMs: 2_000, shadow: false },
    ]);
    await clock.advance(1_999.5);
    expect(await site.tryExecute()).toMatchObject({ rejection: { retryAfterMs: 0.5 } });
    await clock.advance(0.5);
    await expect(site.execute()).rejects.toThrow('gave up');
    // As that call began when the freeze ended, it freezes anew.
    expect(site.snapshot().frozenMs).toBe(3_000);
  });

  it('comes without an observer too', async () => {
    const site = failover({ local: hang, remote: hang, clock: manualClock() });
    await expect(site.execute()).rejects.toThrow('gave up');
    expect(await site.tryExecute()).toMatchObject({ ok: false, rejection: { retryAfterMs: 5_000 } });
  });

  it('is not put off by a time-out that gets no leave for remote', async () => {
    const { site, budget } = setUp(hang, hang, { freezeAfter: 2 });
    await settled(site.execute());
    budget.allow = () => false;
    await settled(site.execute());
    budget.allow = () => true;
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(5_000);
  });

  it('not where only one times out, or where they fail otherwise', async () => {
    for (const [local, remote] of [
      [hang, fail('no')],
      [fail('no'), hang],
      [fail('no'), fail('no')],
      [hang, () => 'remote'],
      [hang, () => Promise.reject(refused)],
      [() => Promise.reject(refused), hang],
    ] as const) {
      const { site } = setUp(local, remote);
      await settled(site.execute());
      expect(site.snapshot().frozenMs).toBe(0);
    }
  });

  it('after freezeAfter calls in a row: an answer starts the count anew, refusals leave it', async () => {
    const refuse: Act = () => Promise.reject(refused);
    const answers: [Act, Act][] = [
      [hang, hang],
      [hang, hang],
      [fail('no'), () => 'remote'],
      [hang, hang],
      [hang, hang],
      [() => 'local', hang],
      [hang, hang],
      [hang, refuse],
      [refuse, hang],
      [hang, hang],
      [hang, hang],
    ];
    let turn = -1;
    const { site } = setUp(
      (ctx) => (answers[++turn] as [Act, Act])[0](ctx),
      (ctx) => (answers[turn] as [Act, Act])[1](ctx),
      { freezeAfter: 3 },
    );
    const frozen: boolean[] = [];
    for (let i = 0; i < answers.length; i++) {
      await settled(site.execute());
      frozen.push(site.snapshot().frozenMs > 0);
    }
    expect(frozen).toEqual([...Array(10).fill(false), true]);
  });

  it('is not prolonged by calls that were under way; they do not go on to remote in it', async () => {
    const { clock, site, calls } = setUp(
      () => later(clock, 100, () => timedOut()),
      () => later(clock, 100, () => timedOut()),
      { freezeMs: 1_000 },
    );
    const first = settled(site.execute());
    await clock.advance(50);
    const second = settled(site.execute());
    await clock.advance(60);
    const third = settled(site.execute());
    await clock.advance(90);
    await first;
    expect(site.snapshot().frozenMs).toBe(1_000);
    await clock.advance(100);
    await Promise.all([second, third]);
    expect(site.snapshot().frozenMs).toBe(900);
    expect(calls.toSorted()).toEqual(['local 0', 'local 0', 'local 0', 'remote 1', 'remote 1']);
  });

  it('freezeMs 0 = never; update changes both, all or nothing, and shortens a freeze', async () => {
    const { site, clock, events } = setUp(hang, hang, { freezeMs: 0 });
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(0);
    expect(events.map(({ type }) => type)).toEqual(['failover']);
    site.update({ freezeMs: 4_000, freezeAfter: 2 });
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(0);
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(4_000);
    expect(() => site.update({ freezeMs: 100, freezeAfter: 0 })).toThrow(
      new RangeError('failover.update: freezeAfter must be a whole number ≥ 1, got 0'),
    );
    expect(() => site.update({ budget: undefined } as never)).toThrow('failover.update: unknown option budget');
    expect(site.snapshot().frozenMs).toBe(4_000);
    site.update({ freezeMs: 100 });
    await clock.advance(100);
    expect(await settled(site.execute())).toMatchObject({ error: { code: 'EVENKEEL_TIMEOUT' } });
    // The count began anew with the freeze.
    expect(site.snapshot().frozenMs).toBe(0);
  });

  it('is of no longer than freezeMs under a clock that goes back, nor begins under one that is broken', async () => {
    const { site, clock } = setUp(hang, hang, { freezeMs: 1_000 });
    await settled(site.execute());
    clock.jump(-1e6);
    expect(site.snapshot().frozenMs).toBe(1_000);
    await clock.advance(1_000);
    expect(site.snapshot().frozenMs).toBe(0);
    const broken = setUp(hang, hang, { clock: Object.assign(manualClock(), { now: () => NaN }) });
    for (let i = 0; i < 3; i++) {
      await expect(broken.site.execute()).rejects.toThrow('gave up');
      expect(broken.site.snapshot().frozenMs).toBe(0);
    }
    expect(broken.site.snapshot()).toMatchObject({ calls: 3, failovers: 0 });
  });
});
