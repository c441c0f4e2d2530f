import { type DeadlineOptions, deadline } from 'evenkeel';
import { evenly, inTime, serve } from '../../test/simulation/queue.js';
import { lineChart, type Point } from './line-chart.js';

const SECOND = 1_000;
const END = 30;
const SLOW_FROM = 10;

function goodput(options: DeadlineOptions | undefined): Point[] {
  const served = serve(evenly(200, 0, END * SECOND), (clock) => ({
    serviceMs: (at) => (at < SLOW_FROM * SECOND ? 20 : 50),
    untilMs: END * SECOND,
    ...(options && { atWorker: deadline({ ...options, clock }) }),
  }));
  return Array.from({ length: END * 2 }, (_, i) => [i / 2 + 0.25, inTime(served, SECOND, i * 500, (i + 1) * 500) * 2]);
}

/** 200 requests per second on one worker, first in, first out. */
export const deadlineChart = (): string =>
  lineChart({
    title: '200 requests per second on one worker; clients wait 1 s',
    subtitle:
      'First in, first out. The worker takes 20 ms per request, from 10 s on 50 ms. Virtual time, the real library.',
    summary:
      'Answers in time, per second. Unprotected and with a margin of 0 there are none after the first two seconds; with the ' +
      'measured margin there are all that the worker can give, 50 per second and then 20.',
    x: { label: 'time, s', min: 0, max: END, ticks: [0, 5, 10, 15, 20, 25, 30] },
    spans: [{ from: SLOW_FROM, to: END, label: '50 ms per request' }],
    panels: [
      {
        title: 'Answers in time, per s',
        height: 200,
        max: 60,
        ticks: [0, 20, 40, 60],
        series: [
          {
            label: "maxAgeMs: 1000, marginMs: 'auto'",
            endLabel: 'auto',
            colour: 'green',
            points: goodput({ maxAgeMs: SECOND }),
          },
          {
            label: 'maxAgeMs: 1000, marginMs: 0',
            colour: 'orange',
            points: goodput({ maxAgeMs: SECOND, marginMs: 0 }),
          },
          { label: 'unprotected', endLabel: 'neither', colour: 'red', as: 'dashes', points: goodput(undefined) },
        ],
      },
    ],
  });
