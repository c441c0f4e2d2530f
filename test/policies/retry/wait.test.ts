import { type RetryOptions, rateLimiter, retryWindow } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { RecordingBudget } from './calls.js';
import { refusal, script, settled, setUp, throws } from './set-up.js';

noUnhandledRejections();

/** When the second try started, where the first one threw `error`. */
const waitAfter = async (error: unknown, options: RetryOptions = {}): Promise<number | undefined> => {
  const { clock, guard } = setUp({ random: () => 0, ...options });
  const { fn, tries } = script(clock, throws(error));
  const end = settled(guard.execute(fn));
  await clock.advance(1e6);
  await end;
  return tries[1]?.at;
};

describe('the wait', () => {
  it('is what the downstream asks for where that is longer than the backoff, which is maxDelayMs at most', async () => {
    expect(await waitAfter({ retryAfterMs: 700 })).toBe(700);
    expect(await waitAfter({ retryAfterMs: 70 })).toBe(100);
    expect(await waitAfter(refusal('rate_limited', 2_500))).toBe(2_500);
    expect(await waitAfter({ response: { headers: { 'retry-after': '3' } } })).toBe(3_000);
    expect(await waitAfter({}, { maxDelayMs: 30 })).toBe(30);
    expect(await waitAfter({}, { backoff: () => Infinity })).toBe(30_000);
    expect(await waitAfter({}, { maxDelayMs: 0 })).toBe(0);
    // Asks for nothing, and is not given up either.
    for (const retryAfterMs of [0, -5, Number.NaN]) expect(await waitAfter({ retryAfterMs })).toBe(100);
  });

  it('may be read from elsewhere', async () => {
    expect(await waitAfter({ wait: 321 }, { retryAfter: (result) => (result as { wait: number }).wait })).toBe(321);
    expect(await waitAfter({ retryAfterMs: 700 }, { retryAfter: () => undefined })).toBe(100);
    // A header that is not there, taken for a number.
    expect(await waitAfter({}, { retryAfter: () => Number.NaN })).toBe(100);
  });

  it('comes from backoff with the number of the retry and the wait before', async () => {
    const seen: number[][] = [];
    const random = seededRandom(1);
    const { clock, guard } = setUp({
      maxRetries: 4,
      random,
      backoff: (retry, previousMs, given) => {
        expect(given).toBe(random);
        seen.push([retry, previousMs]);
        return retry * 10;
      },
    });
    const end = settled(guard.execute(throws({ retryAfterMs: 500 })));
    await clock.advance(10_000);
    await end;
    expect(seen).toEqual([
      [1, 0],
      [2, 10],
      [3, 20],
      [4, 30],
    ]);
  });

  it('that is no number fails the call, and takes no leave', async () => {
    for (const bad of [Number.NaN, -1, '5', undefined]) {
      const budget = retryWindow({ clock: manualClock() });
      const { guard } = setUp({ budget, clock: budget.clock, backoff: () => bad as number });
      await expect(guard.execute(throws('no'))).rejects.toThrow(
        /^retry: the wait that backoff gives must be a number ≥ 0, got/,
      );
      expect(budget.snapshot().used).toBe(0);
    }
  });
});

describe('a wait that the downstream asks for', () => {
  it('longer than maxDelayMs: the call is given up at once, and nothing is taken from the budget', async () => {
    for (const [retryAfterMs, maxDelayMs, tried] of [
      [30_000, undefined, 2],
      [30_001, undefined, 1],
      [Infinity, undefined, 1],
      [5_000, 5_000, 2],
      [5_000.1, 5_000, 1],
      [1, 0, 1],
    ] as const) {
      const budget = new RecordingBudget();
      const options = maxDelayMs === undefined ? {} : { maxDelayMs };
      const { clock, events, guard, policy } = setUp({ budget, ...options });
      const { fn, tries } = script(clock, throws({ retryAfterMs }));
      const end = settled(guard.execute(fn));
      await clock.advance(tried === 1 ? 0 : 60_000);
      expect(await end).toEqual({ error: { retryAfterMs } });
      expect(tries).toHaveLength(tried);
      expect(budget.leaves).toBe(tried - 1);
      expect(events).toHaveLength(tried - 1);
      expect(policy.snapshot()).toEqual({ retries: tried - 1, exhausted: 0 });
      expect(clock.waiting).toBe(0);
    }
  });

  it('for ever, as of a cost above the limit of a rate limiter: refused at once', async () => {
    const budget = new RecordingBudget();
    const { guard, clock } = setUp({ maxRetries: 3, budget }, (inner) =>
      rateLimiter({ limit: 10, windowMs: 1_000, clock: inner }),
    );
    const end = await guard.tryExecute(() => 'never', { cost: 11 });
    expect(end).toMatchObject({ ok: false, rejection: { reason: 'rate_limited', retryAfterMs: Infinity } });
    expect([budget.leaves, clock.waiting, clock.now()]).toEqual([0, 0, 0]);
  });

  it('is never cut short, and spread over a quarter of it: no herd', async () => {
    for (const [seconds, random] of [
      [5, seededRandom(5)],
      [30, seededRandom(6)],
    ] as const) {
      const { clock, guard } = setUp({ budget: [], random });
      const at: number[] = [];
      for (let i = 0; i < 200; i++) {
        const call = guard.execute((ctx) => {
          if (ctx.attempt === 0) throw { headers: { 'retry-after': `${seconds}` } };
          at.push(clock.now());
        });
        void call.catch(() => {});
      }
      await clock.advance(60_000);
      at.sort((a, b) => a - b);
      const [first, last] = [at[0], at.at(-1)] as [number, number];
      expect(at).toHaveLength(200);
      expect(first).toBeGreaterThanOrEqual(seconds * 1_000);
      expect(last).toBeLessThan(seconds * 1_250);
      expect(last - first).toBeGreaterThan(seconds * 230);
      // Evenly: no fiftieth of the time has more than a tenth of them.
      const bins = new Map<number, number>();
      for (const ms of at)
        bins.set(Math.floor(ms / (seconds * 5)), (bins.get(Math.floor(ms / (seconds * 5))) ?? 0) + 1);
      expect(Math.max(...bins.values())).toBeLessThan(20);
    }
  });

  it('has its spread of the option random, also past maxDelayMs', async () => {
    for (const [random, ms] of [
      [0, 1_000],
      [0.5, 1_125],
      [0.999, 1_249.75],
    ] as const) {
      expect(await waitAfter({ retryAfterMs: 1_000 }, { random: () => random, maxDelayMs: 1_000 })).toBeCloseTo(ms, 6);
    }
  });

  it('is spread less where the deadline is near, and given up at once where it comes first', async () => {
    for (const [deadline, tried] of [
      [1_000, undefined],
      [999, undefined],
      [1_001, 1_000.4995],
      [1_100, 1_049.95],
      [1_600, 1_249.75],
      [9_000, 1_249.75],
    ] as const) {
      const budget = new RecordingBudget();
      const { clock, events, guard } = setUp({ random: () => 0.999, budget });
      const { fn, tries } = script(clock, throws({ retryAfterMs: 1_000 }), () => 'fine');
      const end = settled(guard.execute(fn, { deadline }));
      await clock.advance(tried === undefined ? 0 : 2_000);
      expect(await end).toEqual(tried === undefined ? { error: { retryAfterMs: 1_000 } } : { value: 'fine' });
      expect(budget.leaves).toBe(tried === undefined ? 0 : 1);
      expect(events).toHaveLength(tried === undefined ? 0 : 1);
      if (tried !== undefined) expect(tries[1]?.at).toBeCloseTo(tried, 6);
    }
  });

  it('always starts the retry in [asked, deadline), whatever is asked and drawn', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.001, max: 30_000, noNaN: true }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.double({ min: 1, max: 60_000, noNaN: true }),
        fc.nat(1_000),
        async (retryAfterMs, random, deadline, backoffMs) => {
          const { clock, guard } = setUp({ random: () => random, backoff: () => backoffMs });
          const { fn, tries } = script(clock, throws({ retryAfterMs }), () => 'fine');
          const end = settled(guard.execute(fn, { deadline }));
          await clock.advance(60_000);
          await end;
          const at = tries[1]?.at;
          if (at === undefined) expect(Math.max(retryAfterMs, backoffMs)).toBeGreaterThanOrEqual(deadline - 1e-6);
          else {
            expect(at).toBeGreaterThanOrEqual(Math.max(retryAfterMs, backoffMs));
            expect(at).toBeLessThan(deadline);
            expect(at).toBeLessThanOrEqual(Math.max(1.25 * retryAfterMs, backoffMs));
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
