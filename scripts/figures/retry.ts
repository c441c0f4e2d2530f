import { type RetryBudget, ratioBudget, retryWindow } from 'evenkeel';
import type { ManualClock } from 'evenkeel/testing';
import { callThrough } from '../../test/simulation/layers.js';
import { type Colour, lineChart, type Panel, type Point } from './line-chart.js';

const SECOND = 1_000;
const END = 40;
const OUTAGE = { from: 10, to: 25 };

/** A total outage three layers down, three tries per layer: what the downstream gets, by budget. */
export async function outageOfLayersChart(): Promise<string> {
  const downstream = async (budget: (clock: ManualClock) => RetryBudget | RetryBudget[]): Promise<Point[]> => {
    const perSecond = 40;
    const traffic = await callThrough({
      layers: 3,
      maxRetries: 2,
      budget,
      perSecond,
      durationMs: END * SECOND,
      // Now and then a call fails, so that there is something to retry before.
      fails: (at, attempt, random) =>
        (at >= OUTAGE.from * SECOND && at < OUTAGE.to * SECOND) || (attempt === 0 && random() < 0.05),
    });
    return Array.from({ length: END }, (_, second) => {
      const from = second * SECOND;
      return [second + 0.5, perSecond * traffic.total(from, from + SECOND)];
    });
  };
  const line = (label: string, colour: Colour, points: Point[]) => ({ label, colour, points });
  const none = line('no budget', 'red', await downstream(() => []));
  const ratio = line('ratioBudget()', 'blue', await downstream((clock) => ratioBudget({ clock })));
  const window = line('retryWindow()', 'green', await downstream((clock) => retryWindow({ clock })));
  const panel = (title: string, max: number, ticks: number[], series: Panel['series']): Panel => ({
    title,
    height: 170,
    max,
    ticks,
    series,
  });
  return lineChart({
    title: 'An outage three layers down, with a retry in each layer',
    subtitle: '40 requests per second; retry({ maxRetries: 2 }) in each of three services; virtual time.',
    summary:
      'Without a budget the downstream gets 27 times the calls, 1,080 per second instead of 40, as long as the outage lasts. ' +
      'With ratioBudget it gets two short bursts, in which a budget of ten seconds is spent at once, and no retries ' +
      'between them; with retryWindow hardly more calls than there are requests.',
    x: { label: 'time, s', min: 0, max: END, ticks: [0, 10, 20, 30, 40] },
    spans: [{ ...OUTAGE, label: 'the downstream fails every call' }],
    panels: [
      panel('Calls of the downstream per second, without a budget', 1_200, [0, 500, 1_080], [none]),
      panel('… and with one', 600, [0, 40, 200, 400, 600], [ratio, window]),
    ],
  });
}
