import { type RetryBudget, ratioBudget, retryWindow, tokenBudget } from 'evenkeel';
import type { ManualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { callThrough } from '../../simulation/layers.js';
import { overflow } from '../../simulation/remote.js';

const SECOND = 1_000;

describe('a total outage three layers down, three tries a layer', { timeout: 30_000 }, () => {
  const three = { layers: 3, maxRetries: 2, fails: () => true };

  it('gets 27 times the calls without a budget: the negative control', async () => {
    const traffic = await callThrough({ ...three, budget: () => [], perSecond: 20, durationMs: 5 * SECOND });
    expect(traffic.amplification(0, Infinity)).toEqual([3, 3, 3]);
    expect(traffic.total(0, Infinity)).toBe(27);
  });

  const BUDGETS: [string, (clock: ManualClock) => RetryBudget | RetryBudget[]][] = [
    ['retryWindow', (clock) => retryWindow({ clock })],
    ['tokenBudget', () => tokenBudget()],
    ['ratioBudget without a minimum', (clock) => ratioBudget({ clock, minRetriesPerSecond: 0 })],
    ['both windows', (clock) => [retryWindow({ clock }), retryWindow({ clock })]],
  ];

  it.each(BUDGETS)('gets at most 1.2 times as many a layer with %s', async (_, budget) => {
    const traffic = await callThrough({ ...three, budget, perSecond: 100, durationMs: 20 * SECOND });
    for (const layer of traffic.amplification(0, Infinity)) expect(layer).toBeLessThanOrEqual(1.2);
  });

  it.each(BUDGETS)('also where retries went well before: %s', async (_, budget) => {
    // A fifth of the calls fail, and their second tries do not: the window has grown to what they need.
    const outageMs = 40 * SECOND;
    const fails = (at: number, attempt: number, random: () => number): boolean =>
      at >= outageMs || (attempt === 0 && random() < 0.2);
    const traffic = await callThrough({ ...three, fails, budget, perSecond: 100, durationMs: outageMs + 20 * SECOND });
    for (const layer of traffic.amplification(outageMs, Infinity)) expect(layer).toBeLessThanOrEqual(1.2);
  });

  it('gets 1.2 times and ten a second more a layer with the budget that retry has by default', async () => {
    const budget = (clock: ManualClock): RetryBudget => ratioBudget({ clock });
    const traffic = await callThrough({ ...three, budget, perSecond: 200, durationMs: 20 * SECOND });
    // 200 a second, and what the layer before made of it.
    traffic.amplification(0, Infinity).forEach((layer) => {
      expect(layer).toBeLessThanOrEqual(1.2 + 10 / 200 + 0.025);
      expect(layer).toBeGreaterThan(1.15);
    });
  });
});

describe('more than the remote site bears', { timeout: 30_000 }, () => {
  it.each([
    ['fail' as const, 0],
    ['fail' as const, 20],
    ['fail' as const, 900],
    ['fail' as const, 1_700],
    ['fail' as const, 3_500],
    ['hang' as const, 20],
    ['hang' as const, 1_700],
  ])(
    'the window goes one step beyond it and no further, where it answers too many by %s, after %i ms',
    async (tooMany, latencyMs) => {
      const bears = 60;
      const { seconds, events } = await overflow({
        perSecond: () => bears,
        tooMany,
        latencyMs,
        offeredPerSecond: 200,
        durationMs: 240 * SECOND,
        options: { growthRatio: 0.02 },
      });
      const changes = events.filter((event) => event.type === 'retry_window');
      let before = 1;
      for (const { window, change } of changes) {
        // It only grows from what the remote has borne.
        if (change === 'grown') expect(Math.floor(before) * 0.98).toBeLessThanOrEqual(bears);
        before = window;
      }
      const most = Math.max(...seconds.map(({ window }) => window));
      expect(most).toBeLessThanOrEqual(bears / 0.98 + 4);
      expect(most).toBeGreaterThan(bears);
      const top = seconds.findIndex(({ window }) => window === most);
      const after = seconds.slice(top + 20);
      expect(after.length).toBeGreaterThan(20);
      // Late answers of the larger window halve it again, once a second that they take.
      const least = bears / 2 ** (1 + Math.ceil((tooMany === 'hang' ? 4_000 : latencyMs) / SECOND));
      for (const { window } of after) expect(window).toBeGreaterThanOrEqual(Math.floor(least));
      const failed = after.reduce((sum, one) => sum + one.failed, 0) / after.reduce((sum, one) => sum + one.sent, 0);
      // One that hangs is known to have failed 4 s later.
      expect(failed).toBeLessThan(tooMany === 'hang' ? 0.04 : 0.02);
    },
  );

  it('is down to one retry a second when the remote site dies, and comes back with it', async () => {
    const { seconds } = await overflow({
      perSecond: (at) => (at >= 60 * SECOND && at < 90 * SECOND ? 0 : Infinity),
      tooMany: 'fail',
      latencyMs: 20,
      offeredPerSecond: 200,
      durationMs: 200 * SECOND,
      options: { growthRatio: 0.05 },
    });
    const at = (second: number) => seconds[second]?.window as number;
    expect(at(60)).toBeGreaterThan(100);
    expect(at(69)).toBe(1);
    expect(seconds.slice(69, 90).map(({ sent }) => sent)).toEqual(Array.from({ length: 21 }, () => 1));
    expect(at(150)).toBeGreaterThan(100);
  });
});
