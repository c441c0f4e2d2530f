import { type FailoverOptions, failover } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { lineChart, type Point } from './line-chart.js';

const SECOND = 1_000;
const END = 80;
const DOWN = { from: 10, to: 70 };
const PER_SECOND = 100;
/** What remote can serve beside its own users, calls per second. */
const SPARE = 20;

/** Calls at remote in each second. Remote fails what is more than it can handle in a second. */
async function atRemote(options: Pick<FailoverOptions<never, never>, 'budget'>): Promise<Point[]> {
  const clock = manualClock();
  const calls: number[] = Array(END).fill(0);
  const site = failover({
    ...options,
    clock,
    local: () => {
      const now = clock.now() / SECOND;
      if (now >= DOWN.from && now < DOWN.to) throw new Error('down');
    },
    remote: () => {
      const second = Math.floor(clock.now() / SECOND);
      calls[second] = (calls[second] ?? 0) + 1;
      if ((calls[second] as number) > SPARE) throw new Error('overloaded');
    },
  });
  for (let i = 0; i < END * PER_SECOND; i++) {
    await site.execute().catch(() => {});
    await clock.advance(SECOND / PER_SECOND);
  }
  return calls.map((count, second) => [second + 0.5, count]);
}

export const failoverChart = async (): Promise<string> =>
  lineChart({
    title: 'The near site is down; the far one can handle 20 calls per second',
    subtitle: '100 calls per second. What is more than remote can handle fails. Virtual time, the real library.',
    summary:
      'Without a window remote gets all 100 calls per second at once. With the default window it gets one per second at first and one ' +
      'more each second, up to 21; then the window halves and begins to grow again.',
    x: { label: 'time, s', min: 0, max: END, ticks: [0, 10, 20, 30, 40, 50, 60, 70, 80] },
    spans: [{ ...DOWN, label: 'local is down' }],
    panels: [
      {
        title: 'Calls at remote, per s',
        height: 200,
        max: 110,
        ticks: [0, SPARE, 50, 100],
        series: [
          {
            label: 'budget: [] (none)',
            colour: 'red',
            as: 'dashes',
            points: await atRemote({ budget: [] }),
          },
          { label: 'default window', colour: 'green', points: await atRemote({}) },
        ],
        notes: [{ at: [END + 1, SPARE - 3], text: 'can handle' }],
      },
    ],
  });
