import { saturate } from '../../test/simulation/saturated-callee.js';
import { lineChart, type Point } from './line-chart.js';

const SECOND = 1_000;

/** A saturated downstream whose places and service time change: what is in flight, and what the limiter has learned. */
export function followChart(): string {
  const changes = [
    { atMs: 20 * SECOND, workers: 20 },
    { atMs: 40 * SECOND, workers: 5 },
    { atMs: 60 * SECOND, serviceMs: 50 },
  ];
  const end = 80;
  const { slices } = saturate({ workers: 10, serviceMs: 20, serviceTimes: 'constant', windows: end / 10, changes });
  const at = (points: (slice: (typeof slices)[number]) => number): Point[] =>
    slices.map((slice) => [slice.endMs / SECOND, points(slice)]);
  const x = { label: 'time, s', min: 0, max: end, ticks: [0, 20, 40, 60, 80] };
  return lineChart({
    title: 'The limit follows a saturated downstream',
    subtitle:
      '10 workers of 20 ms, then 20, then 5, then 50 ms per call. Load () => 1, defaults. Virtual time, means of 1 s.',
    summary:
      'In flight is about 11 with ten workers, 21 with twenty and 6 with five, a second or two after each change. When ' +
      'the service time goes from 20 to 50 ms minRtt follows within three seconds, in which goodput falls to half; else it is ' +
      'near 100 %.',
    x,
    panels: [
      {
        title: 'Calls',
        height: 200,
        max: 30,
        ticks: [0, 10, 20, 30],
        series: [
          { label: 'workers', endLabel: 'workers', colour: 'grey', points: at(({ capacity }) => capacity) },
          { label: 'in flight', endLabel: 'in flight', colour: 'blue', points: at(({ inflight }) => inflight) },
        ],
      },
      {
        title: 'minRtt, ms',
        height: 100,
        max: 60,
        ticks: [0, 20, 50],
        series: [{ label: 'minRtt', colour: 'purple', points: at(({ minRttMs }) => minRttMs) }],
      },
      {
        title: 'Goodput, % of what the downstream could give',
        height: 100,
        max: 110,
        ticks: [0, 50, 100],
        series: [{ label: 'goodput', colour: 'green', points: at(({ goodputRatio }) => goodputRatio * 100) }],
      },
    ],
  });
}
