import { type Clock, circuitBreaker } from 'evenkeel';
import { type Load, limitedTo, type Offered, offer, outage } from '../../test/simulation/callee.js';
import { type Chart, lineChart, type Point } from './line-chart.js';

const SECOND = 1_000;
const RECOVERIES = { fast: 'green', sre: 'orange' } as const;

const run = (recovery: 'fast' | 'sre', load: Load): Offered[] =>
  offer((clock: Clock, random: () => number) => circuitBreaker({ clock, random, recovery }), load);

/** One point a bin, at its middle, of the calls in it. */
function perBin(calls: readonly Offered[], binMs: number, endMs: number, value: (bin: Offered[]) => number): Point[] {
  const bins = Array.from({ length: endMs / binMs }, (): Offered[] => []);
  for (const call of calls) bins[Math.floor(call.at / binMs)]?.push(call);
  return bins.map((bin, i) => [((i + 0.5) * binMs) / SECOND, value(bin)]);
}

const count = (bin: Offered[], what: 'sent' | 'taken'): number => bin.filter((call) => call[what]).length;

/** A total outage of 30 s at 300 calls per second, by both ways to recover. */
export function outageChart(): string {
  const from = 15;
  const to = 45;
  const end = 110;
  const load: Load = {
    durationMs: end * SECOND,
    perSecond: 300,
    arrivals: 'constant',
    latencyMs: 20,
    seed: 1,
    callee: outage(from * SECOND, to * SECOND),
  };
  const runs = (['fast', 'sre'] as const).map((recovery) => ({
    label: `recovery: '${recovery}'`,
    colour: RECOVERIES[recovery],
    calls: run(recovery, load),
  }));
  /** When the last half second with 5 % refused or more is over. */
  const backAfter = (recovery: string): number => {
    const { calls = [] } = runs.find(({ label }) => label.includes(recovery)) ?? {};
    const refused = perBin(calls, 500, end * SECOND, (bin) => 1 - count(bin, 'sent') / bin.length);
    return (refused.findLast(([, ratio]) => ratio >= 0.05)?.[0] ?? NaN) + 0.25 - to;
  };
  const curves = (value: (bin: Offered[]) => number) =>
    runs.map(({ calls, ...series }) => ({ ...series, points: perBin(calls, 500, end * SECOND, value) }));
  const chart: Chart = {
    title: 'A total outage of 30 s, 300 calls per second',
    subtitle: 'k = 2, windowMs = 10,000. Answers and errors after 20 ms. Virtual time, the real library.',
    summary:
      'Both begin to throttle about 5 s into the outage. All calls reach the downstream again ' +
      `${backAfter('fast')} s after it has recovered with recovery 'fast', ${backAfter('sre')} s after with recovery 'sre'.`,
    x: { label: 'time, s', min: 0, max: end, ticks: [0, 15, 30, 45, 60, 75, 90, 105] },
    spans: [{ from, to, label: 'downstream fails every call' }],
    panels: [
      {
        title: 'Calls that reach the downstream, per s',
        height: 150,
        max: 320,
        ticks: [0, 100, 200, 300],
        series: curves((bin) => count(bin, 'sent') * 2),
        notes: [
          { at: [48, 250], text: "'fast'", colour: 'green' },
          { at: [79, 150], text: "'sre'", colour: 'orange' },
        ],
      },
      {
        title: 'Share of the calls refused by the breaker, %',
        height: 110,
        max: 100,
        ticks: [0, 50, 100],
        series: curves((bin) => (1 - count(bin, 'sent') / bin.length) * 100),
        notes: [
          { at: [48, 20], text: "'fast'", colour: 'green' },
          { at: [79, 50], text: "'sre'", colour: 'orange' },
        ],
      },
    ],
  };
  return lineChart(chart);
}

/** A downstream that takes a tenth of what is offered. */
export function overloadChart(): string {
  const end = 30;
  const capacity = 100;
  const calls = run('fast', {
    durationMs: end * SECOND,
    perSecond: 1_000,
    arrivals: 'constant',
    latencyMs: 20,
    seed: 1,
    callee: limitedTo(capacity),
  });
  return lineChart({
    title: '1,000 calls per second at a downstream that can take 100',
    subtitle: 'k = 2: it gets about two calls for each that it takes; the other 800 per second are refused at once.',
    summary: `The downstream gets about 195 calls per second, never more than 220, and takes ${capacity}.`,
    x: { label: 'time, s', min: 0, max: end, ticks: [0, 5, 10, 15, 20, 25, 30] },
    panels: [
      {
        title: 'Calls, per s',
        height: 200,
        max: 240,
        ticks: [0, 50, 100, 150, 200],
        series: [
          {
            label: 'bound, 1.1 · k · 100',
            endLabel: 'bound',
            colour: 'grey',
            as: 'dashes',
            points: [
              [0, 220],
              [end, 220],
            ],
          },
          {
            label: 'sent to the downstream',
            endLabel: 'sent',
            colour: 'blue',
            points: perBin(calls, SECOND, end * SECOND, (bin) => count(bin, 'sent')),
          },
          {
            label: 'taken by it',
            endLabel: 'taken',
            colour: 'green',
            points: perBin(calls, SECOND, end * SECOND, (bin) => count(bin, 'taken')),
          },
        ],
      },
    ],
  });
}
