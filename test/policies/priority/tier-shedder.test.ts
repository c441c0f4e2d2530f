import {
  type Clock,
  levelOf,
  pipeline,
  type ResilienceEvent,
  type Tier,
  type TierShedderOptions,
  tierShedder,
} from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

const HOUR = 495_000;
const TIERS: readonly Tier[] = [1, 2, 3, 4];

function make(options: Partial<TierShedderOptions> = {}) {
  const state = { load: 0 };
  const clock = manualClock();
  const shedder = tierShedder({ clock, random: seededRandom(1), hour: () => HOUR, load: () => state.load, ...options });
  return { shedder, state, clock };
}

/** `count` calls, one a millisecond from `from` on, of all tiers in turn and many users; all admitted are served at once. */
function offer(shedder: ReturnType<typeof tierShedder>, from: number, count: number): Record<Tier, number> {
  const admitted = { 1: 0, 2: 0, 3: 0, 4: 0 };
  for (let i = 0; i < count; i++) {
    const ctx = { startedAt: from + i, tier: TIERS[i % 4] as Tier, key: `user-${(i * 7919) % 10_007}` };
    if (!shedder.tryAcquire(ctx)) continue;
    admitted[ctx.tier]++;
    shedder.release('success', 0, ctx);
  }
  return admitted;
}

/** Offers until the cutoff is well inside a tier; gives the time then. */
function cutInside(shedder: ReturnType<typeof tierShedder>): number {
  for (let from = 0; from < 1e6; from += 20) {
    offer(shedder, from, 20);
    if (Math.abs(shedder.snapshot().level - 64) < 44) return from + 19;
  }
  throw new Error('the cutoff is at a boundary always');
}

describe('while the load is over the threshold', () => {
  it('sheds tier 4 first, then 3, then 2, tier 1 last, and never all of it', () => {
    const { shedder, state } = make();
    state.load = 1;
    const gone: Tier[] = [];
    for (let from = 0; from < 20_000; from += 20) {
      offer(shedder, from, 20);
      const { tier } = shedder.snapshot();
      for (const one of [4, 3, 2] as const) if (tier < one && !gone.includes(one)) gone.push(one);
    }
    expect(gone).toEqual([4, 3, 2]);
    expect(shedder.snapshot()).toMatchObject({ state: 'shedding', tier: 1, load: 1 });
    expect(offer(shedder, 20_000, 4_000)[1]).toBeGreaterThan(0);
  });

  it('at any instant: whoever is admitted is more important than whoever is not', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }), (loads) => {
        const { shedder, state } = make();
        loads.forEach((load, i) => {
          state.load = load;
          offer(shedder, i * 100, 100);
          let worstAdmitted = -1;
          let bestRefused = 512;
          for (let n = 0; n < 200; n++) {
            const tier = TIERS[n % 4] as Tier;
            const key = `other-${n}`;
            const place = (tier - 1) * 128 + levelOf(key, HOUR);
            if (shedder.tryAcquire({ startedAt: i * 100 + 99, tier, key }))
              worstAdmitted = Math.max(worstAdmitted, place);
            else bestRefused = Math.min(bestRefused, place);
          }
          expect(worstAdmitted).toBeLessThan(bestRefused);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('the same user finds the same answer, in every process', () => {
    const [a, b] = [make({ random: seededRandom(1) }), make({ random: seededRandom(2) })];
    for (const { shedder, state } of [a, b]) {
      state.load = 0.95;
      offer(shedder, 0, 1_000);
      expect(shedder.snapshot().state).toBe('shedding');
    }
    expect(a.shedder.snapshot()).toEqual(b.shedder.snapshot());
    for (const tier of TIERS)
      for (let n = 0; n < 500; n++) {
        const ctx = { startedAt: 1_000, tier, key: `user-${n}` };
        const { tier: cut, level } = a.shedder.snapshot();
        const admitted = tier < cut || (tier === cut && levelOf(ctx.key, HOUR) < level);
        expect([a.shedder.tryAcquire(ctx), b.shedder.tryAcquire(ctx)]).toEqual([admitted, admitted]);
      }
  });

  it('in another hour it is the turn of others', () => {
    const hours = [HOUR, HOUR + 1].map((hour) => {
      const { shedder, state } = make({ hour: () => hour });
      state.load = 1;
      const startedAt = cutInside(shedder);
      const { tier } = shedder.snapshot();
      return Array.from({ length: 300 }, (_, n) => shedder.tryAcquire({ startedAt, tier, key: `user-${n}` }));
    });
    expect(hours[0]).not.toEqual(hours[1]);
  });

  it('a call without a user gets a level by chance', () => {
    const { shedder, state } = make();
    state.load = 1;
    const startedAt = cutInside(shedder);
    const { tier } = shedder.snapshot();
    const answers = Array.from({ length: 2_000 }, () => shedder.tryAcquire({ startedAt, tier }));
    const ratio = answers.filter(Boolean).length / 2_000;
    expect(Math.abs(ratio - shedder.snapshot().level / 128)).toBeLessThan(0.05);
  });

  it('an unknown tier is the lowest, none is 3', () => {
    const { shedder, state } = make();
    state.load = 1;
    for (let from = 0; from < 1e5 && shedder.snapshot().tier === 4; from += 20) offer(shedder, from, 20);
    expect(shedder.snapshot().tier).toBe(3);
    for (const tier of [0, 5, 1.5, NaN, '1', null]) {
      expect(shedder.tryAcquire({ startedAt: 0, tier: tier as Tier, key: 'best' })).toBe(false);
    }
    const best = Array.from({ length: 10_000 }, (_, i) => `u${i}`).find((id) => levelOf(id, HOUR) === 0) as string;
    expect(shedder.tryAcquire({ startedAt: 0, key: best })).toBe(true);
  });
});

describe('the load', () => {
  it('below the threshold nothing is shed; at it, it begins', () => {
    const { shedder, state } = make();
    state.load = 0.799;
    expect(offer(shedder, 0, 4_000)).toEqual({ 1: 1_000, 2: 1_000, 3: 1_000, 4: 1_000 });
    state.load = 0.8;
    offer(shedder, 4_000, 100);
    expect(shedder.snapshot().state).toBe('shedding');
  });

  it('all are admitted again within two and a half windows of its end', () => {
    const { shedder, state } = make({ windowMs: 400 });
    state.load = 1;
    offer(shedder, 0, 10_000);
    expect(shedder.snapshot().admitRatio).toBeLessThan(0.05);
    state.load = 0;
    offer(shedder, 10_000, 1_010);
    expect(shedder.snapshot()).toEqual({ state: 'idle', load: 0, admitRatio: 1, tier: 4, level: 128 });
    expect(offer(shedder, 11_010, 4)).toEqual({ 1: 1, 2: 1, 3: 1, 4: 1 });
  });

  it('after a silence the first call finds the way open', () => {
    const { shedder, state } = make();
    state.load = 1;
    offer(shedder, 0, 10_000);
    state.load = 0;
    expect(shedder.tryAcquire({ startedAt: 60_000, tier: 4, key: 'a' })).toBe(true);
  });

  it('is asked at most a hundred times a window', () => {
    let asked = 0;
    const { shedder } = make({ load: () => ++asked * 0 });
    offer(shedder, 0, 10_000);
    expect(asked).toBe(500);
  });

  it('that is no number from 0 to 1 counts as the nearest one, NaN as 0', () => {
    for (const [load, counts] of [
      [NaN, 0],
      [-1, 0],
      [-Infinity, 0],
      [7, 1],
      [Infinity, 1],
    ] as const) {
      const { shedder } = make({ load: () => load });
      offer(shedder, 0, 100);
      expect(shedder.snapshot()).toMatchObject({ load: counts, state: counts === 1 ? 'shedding' : 'idle' });
    }
  });
});

describe('what is counted', () => {
  const best = (startedAt: number) => ({ startedAt, tier: 1 as const, key: 'a' });
  const call = (shedder: ReturnType<typeof tierShedder>, at: number, calls: number, verdict?: 'success') => {
    for (let i = 0; i < calls; i++) {
      const ctx = best(at);
      shedder.tryAcquire(ctx);
      if (verdict !== undefined) shedder.release(verdict, 0, ctx);
    }
  };

  it('fades with the window', () => {
    const { shedder, state } = make();
    state.load = 0.8;
    call(shedder, 0, 100, 'success');
    call(shedder, 20, 50);
    call(shedder, 40, 1);
    const left = 100 * Math.exp(-20 / 2_000);
    // All in one tier, whose boundary draws the last 15 %.
    expect(shedder.snapshot().admitRatio).toBeCloseTo(left / (left + 50) / 0.85, 9);
  });

  it('is let in again by as much as has passed of the window, where nothing is served', () => {
    const { shedder, state } = make();
    state.load = 0.8;
    call(shedder, 0, 100);
    call(shedder, 20, 1);
    expect(shedder.snapshot().admitRatio).toBeCloseTo(0.5 / 0.85, 9);
    state.load = 0;
    call(shedder, 220, 1);
    expect(shedder.snapshot().admitRatio).toBeCloseTo(0.54 / 0.85, 9);
  });

  it('leaves out what began while the mode was off', () => {
    const { shedder, state } = make();
    state.load = 0.8;
    call(shedder, 0, 100);
    shedder.update({ mode: 'off' });
    call(shedder, 0, 100, 'success');
    shedder.update({ mode: 'enforce' });
    call(shedder, 20, 1);
    expect(shedder.snapshot().admitRatio).toBeCloseTo(0.5 / 0.85, 9);
  });

  it('counts what ends while the mode is off, if it was counted', () => {
    const { shedder, state } = make();
    state.load = 0.8;
    const calls = Array.from({ length: 100 }, () => best(0));
    for (const ctx of calls) shedder.tryAcquire(ctx);
    shedder.update({ mode: 'off' });
    for (const ctx of calls.slice(50)) shedder.release('success', 0, ctx);
    shedder.update({ mode: 'enforce' });
    call(shedder, 20, 1);
    // Half of the offered calls were served, and so half may come in.
    expect(shedder.snapshot().admitRatio).toBeCloseTo(0.5 / 0.85, 9);
  });

  it('is a number from the first call on, which is let in: nothing tells yet where to cut', () => {
    const { shedder } = make({ load: () => 1 });
    expect(shedder.tryAcquire({ startedAt: 0, tier: 4, key: 'a' })).toBe(true);
    expect(shedder.snapshot()).toEqual({ state: 'shedding', load: 1, admitRatio: 1, tier: 4, level: 128 });
  });
});

describe('as a gate', () => {
  it('costs one look at the clock a call', async () => {
    const { shedder, clock } = make();
    const now = vi.spyOn(clock, 'now');
    await pipeline(shedder).execute(() => 1);
    expect(now).toHaveBeenCalledTimes(1);
  });

  it('needs no observer', async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    make({ load: () => 1 }).shedder.tryAcquire();
    await new Promise(setImmediate);
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(thrown).toEqual([]);
  });

  it('refuses with its name and reason, and gives no advice when to come back', async () => {
    const { shedder, state, clock } = make({ name: 'tiers' });
    state.load = 1;
    offer(shedder, 0, 1_000);
    clock.jump(1_000);
    const refused = await pipeline(shedder).tryExecute(() => 1, { tier: 4, key: 'a' });
    expect(refused).toEqual({ ok: false, rejection: { policy: 'tiers', reason: 'tier_shed', retryAfterMs: 0 } });
    expect(await pipeline(shedder).execute(() => 'served', { tier: 1, key: 'user-1' })).toBe('served');
  });

  it('counts as served only what succeeds', () => {
    const ratios = (['success', 'failure', 'dropped', 'ignored'] as const).map((verdict) => {
      const { shedder, state } = make();
      state.load = 0.8;
      for (let at = 0; at < 2_000; at++) {
        const ctx = { startedAt: at, tier: 1 as const, key: `user-${at}` };
        if (shedder.tryAcquire(ctx)) shedder.release(verdict, 5, ctx);
      }
      return shedder.snapshot().admitRatio;
    });
    expect(ratios[0]).toBe(1);
    expect(Math.max(...ratios.slice(1))).toBeLessThan(0.05);
  });

  it('tells its observer when it begins and ends, and of each refusal', () => {
    const events: ResilienceEvent[] = [];
    const { shedder, state } = make({ observer: (event) => events.push(event) });
    state.load = 1;
    offer(shedder, 0, 500);
    state.load = 0;
    offer(shedder, 500, 6_000);
    const states = events.filter(({ type }) => type === 'shed_state');
    expect(states).toEqual([
      { type: 'shed_state', policy: 'tierShedder', at: 0, state: 'shedding' },
      { type: 'shed_state', policy: 'tierShedder', at: expect.any(Number), state: 'idle' },
    ]);
    expect(events.find(({ type }) => type === 'rejected')).toMatchObject({
      policy: 'tierShedder',
      reason: 'tier_shed',
      retryAfterMs: 0,
      shadow: false,
    });
  });

  it('in shadow mode it counts and tells and refuses nothing; off, it does nothing', () => {
    let shadows = 0;
    const { shedder, state } = make({
      mode: 'shadow',
      observer: (e) => void (e.type === 'rejected' && e.shadow && shadows++),
    });
    state.load = 1;
    expect(offer(shedder, 0, 1_000)).toEqual({ 1: 250, 2: 250, 3: 250, 4: 250 });
    expect(shadows).toBeGreaterThan(100);
    shedder.update({ mode: 'off' });
    const before = shedder.snapshot();
    expect(offer(shedder, 1_000, 1_000)).toEqual({ 1: 250, 2: 250, 3: 250, 4: 250 });
    expect(shedder.snapshot()).toEqual(before);
    shedder.update({ mode: 'enforce' });
    expect(offer(shedder, 2_000, 1_000)[4]).toBeLessThan(100);
  });

  it('update moves the threshold at once and keeps what was counted', () => {
    const firstRatio = (shedder: ReturnType<typeof tierShedder>): number => {
      offer(shedder, 0, 200);
      return shedder.snapshot().admitRatio;
    };
    const ratiosAt = (threshold: number): number[] => {
      const { shedder, state } = make();
      state.load = 0.95;
      const first = firstRatio(shedder);
      shedder.update({ loadThreshold: threshold });
      offer(shedder, 200, 1_000);
      return [first, shedder.snapshot().admitRatio];
    };
    const [same = 0, lower = 1] = ratiosAt(0.8);
    expect(lower).toBeLessThan(same);
    const [at = 1, higher = 0] = ratiosAt(0.96);
    expect(at).toBe(same);
    expect(higher).toBeGreaterThanOrEqual(at);
  });

  it('update keeps the threshold where it is not told', () => {
    const { shedder } = make({ loadThreshold: 0.95, load: () => 0.9 });
    shedder.update({ mode: 'enforce' });
    offer(shedder, 0, 100);
    expect(shedder.snapshot()).toMatchObject({ state: 'idle', load: 0.9 });
  });

  it('by default takes the hour from the time of day, and in virtual time from the clock alone', () => {
    const timeOfDay = vi.spyOn(Date, 'now');
    const answers = (clock: ManualClock, hour?: () => number): boolean[] => {
      const shedder = tierShedder({ load: () => 0.9, clock, ...(hour && { hour }) });
      return Array.from({ length: 2_000 }, (_, i) => {
        clock.jump(10);
        return shedder.tryAcquire({ key: `user ${i % 50}`, tier: 3 });
      });
    };
    timeOfDay.mockReturnValue(0);
    const atNoon = answers(manualClock(12 * 3_600_000));
    timeOfDay.mockReturnValue(5 * 3_600_000);
    expect(answers(manualClock(12 * 3_600_000))).toEqual(atNoon);
    expect(answers(manualClock(12.9 * 3_600_000))).toEqual(atNoon);
    expect(answers(manualClock(0), () => 12)).toEqual(atNoon);
    expect(answers(manualClock(13 * 3_600_000))).not.toEqual(atNoon);
    expect(timeOfDay).not.toHaveBeenCalled();
    tierShedder({ load: () => 0 }).tryAcquire();
    expect(timeOfDay).toHaveBeenCalled();
    timeOfDay.mockRestore();
  });

  it('asks its clock where no context says when', () => {
    const clock: Clock = manualClock();
    const shedder = tierShedder({ load: () => 0, clock });
    expect(shedder.tryAcquire()).toBe(true);
    expect(() => tierShedder({} as TierShedderOptions)).toThrow(
      new TypeError('tierShedder: load must be a function, got undefined'),
    );
  });
});
