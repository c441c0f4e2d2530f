import { type RateLimiterOptions, rateLimiter } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { lineChart, type Point } from './line-chart.js';

const LIMIT = 100;
const WINDOW_MS = 1_000;
const END_MS = 4_000;

/** 200 calls just before the end of an aligned window, then one each ms. */
const arrivals = [
  ...Array.from({ length: 200 }, () => 990),
  ...Array.from({ length: END_MS - WINDOW_MS }, (_, i) => WINDOW_MS + i),
];

function admissions(algorithm: NonNullable<RateLimiterOptions['algorithm']>): number[] {
  const limiter = rateLimiter({ limit: LIMIT, windowMs: WINDOW_MS, algorithm, clock: manualClock() });
  return arrivals.filter((startedAt) => limiter.tryAcquire({ startedAt }));
}

/** How many calls each moment's last second holds. */
function inLastWindow(admitted: readonly number[]): Point[] {
  return Array.from({ length: END_MS / 10 }, (_, i) => {
    const to = i * 10;
    return [to / 1_000, admitted.filter((at) => at > to - WINDOW_MS && at <= to).length];
  });
}

/** The worst load for two counters, and what each algorithm makes of it. */
export function windowChart(): string {
  const counter = inLastWindow(admissions('counter'));
  const buckets = inLastWindow(admissions('buckets'));
  const log = inLastWindow(admissions('log'));
  const most = (points: readonly Point[]): number => Math.max(...points.map(([, y]) => y));
  return lineChart({
    title: '200 calls just before the full second, then 1,000 per second',
    subtitle:
      'limit = 100, windowMs = 1,000. Two counters take the previous second for evenly spread, which it was not.',
    summary: `In any second the log lets through at most ${most(log)} calls, buckets ${most(buckets)}, two counters ${most(counter)}.`,
    x: { label: 'time, s', min: 0, max: END_MS / 1_000, ticks: [0, 1, 2, 3, 4] },
    panels: [
      {
        title: 'Calls let through in the last second',
        height: 200,
        max: 210,
        ticks: [0, 50, 100, 150, 200],
        series: [
          { label: "'counter'", endLabel: "'counter'", colour: 'orange', points: counter },
          { label: "'buckets'", endLabel: "'buckets'", colour: 'green', points: buckets },
          { label: "'log'", endLabel: "'log'", colour: 'blue', as: 'dashes', points: log },
        ],
      },
    ],
  });
}
