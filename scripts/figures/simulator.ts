import { circuitBreaker, dynamicTimeout, pipeline } from 'evenkeel';
import { simulate } from 'evenkeel/testing';

/** A report as it draws itself: a back-end that is down for ten seconds and slow for ten more. */
export async function reportChart(): Promise<string> {
  const report = await simulate({
    name: 'Down for 10 s, then slow for 10 s',
    seed: 1,
    durationMs: 60_000,
    load: { arrivals: 'poisson', ratePerSecond: 150 },
    client: {
      pipeline: ({ clock, random }) =>
        pipeline(circuitBreaker({ clock, random }), dynamicTimeout({ limitMs: 250, maxMs: 1_000, clock })),
    },
    backend: {
      workers: 4,
      serviceTimeMs: { distribution: 'lognormal', medianMs: 15, p99Ms: 60 },
      schedule: [
        { atMs: 15_000, outage: 'refuse' },
        { atMs: 25_000, outage: 'none', slowdown: 2 },
        { atMs: 35_000, slowdown: 1 },
      ],
    },
  });
  return report.toSvg();
}
