import { dynamicTimeout, isTimeout, pipeline } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { lineChart, type Point } from './line-chart.js';

const LIMITS = { limitMs: 250, maxMs: 500, averageMs: 60 };
const SECOND = 1_000;

/** One call after the other, at a downstream that slows down for a while. */
export async function slowDownChart(): Promise<string> {
  const end = 90;
  const slow = { from: 15, to: 40, meanMs: 180 };
  const tooSlow = { from: 40, to: 60, meanMs: 400 };
  const clock = manualClock();
  const random = seededRandom(4);
  const timeout = dynamicTimeout({ ...LIMITS, clock });
  const guarded = pipeline(timeout);
  const answered: Point[] = [];
  const timedOut: Point[] = [];
  const ema: Point[] = [];
  const limit: Point[] = [];

  /** Mostly half to one and a half times the mean, now and then three times. */
  const responseMs = (): number => {
    const now = clock.now() / SECOND;
    const { meanMs } = [slow, tooSlow].find(({ from, to }) => now >= from && now < to) ?? { meanMs: 40 };
    return meanMs * (random() < 0.06 ? 3 : 0.5 + random());
  };
  const call = async (): Promise<void> => {
    const startedAt = clock.now();
    const before = timeout.snapshot();
    ema.push([startedAt / SECOND, before.emaMs]);
    limit.push([startedAt / SECOND, before.timeoutMs]);
    const takesMs = responseMs();
    try {
      await guarded.execute(() => new Promise<void>((resolve) => void clock.setTimer(resolve, takesMs)));
      answered.push([startedAt / SECOND, takesMs]);
    } catch (error) {
      if (!isTimeout(error)) throw error;
      timedOut.push([startedAt / SECOND, error.timeoutMs]);
    }
    clock.setTimer(run, 30);
  };
  const problems: unknown[] = [];
  const run = (): void => void call().catch((error: unknown) => problems.push(error));
  run();
  await clock.run(end * SECOND);
  if (problems.length > 0) throw problems[0];

  return lineChart({
    title: 'A downstream slows down from 40 ms per call to 180 and 400 ms, and recovers',
    subtitle: 'limitMs = 250, maxMs = 500, averageMs = 60, samples = 80. One call after the other, virtual time.',
    summary:
      'While the downstream is fast, a call may take 500 ms. At 180 ms per call the limit falls to about 330 ms and only the slowest ' +
      'calls are given up. At 400 ms per call it falls to 250 ms and most are. Once the downstream is fast again it is back at 500 ms.',
    x: { label: 'time, s', min: 0, max: end, ticks: [0, 15, 30, 45, 60, 75, 90] },
    spans: [
      { ...slow, label: 'slow downstream, 180 ms' },
      { ...tooSlow, label: 'too slow, 400 ms' },
    ],
    panels: [
      {
        title: 'Time, ms',
        height: 240,
        max: 560,
        ticks: [0, 100, 200, 300, 400, 500],
        series: [
          { label: 'answered', colour: 'grey', as: 'dots', points: answered },
          { label: 'average (EMA)', endLabel: 'average (EMA)', colour: 'blue', points: ema },
          { label: 'time limit T', endLabel: 'time limit T', colour: 'purple', points: limit },
          { label: 'timed out', colour: 'red', as: 'dots', points: timedOut },
        ],
      },
    ],
  });
}

/** The formula, as the library computes it. */
export function limitChart(): string {
  const points: Point[] = [];
  for (let emaMs = 0; emaMs <= 400; emaMs += 10)
    points.push([emaMs, dynamicTimeout({ ...LIMITS, seedMs: emaMs }).timeoutMs()]);
  return lineChart({
    title: 'The time limit follows the average response time',
    subtitle: 'limitMs = 250, maxMs = 500, averageMs = 60',
    summary: 'The limit is 500 ms up to an average of 60 ms, falls in a straight line to 250 ms at 250 ms, and stays.',
    x: { label: 'average response time (EMA), ms', min: 0, max: 400, ticks: [0, 60, 150, 250, 400] },
    panels: [
      {
        title: 'Time limit T, ms',
        height: 180,
        max: 560,
        ticks: [0, 250, 500],
        series: [{ label: 'T', colour: 'purple', points }],
        notes: [
          { at: [10, 520], text: 'maxMs' },
          { at: [300, 270], text: 'limitMs' },
          { at: [64, 20], text: 'from averageMs on it falls' },
          { at: [254, 20], text: 'from limitMs on it stays' },
        ],
      },
    ],
  });
}
