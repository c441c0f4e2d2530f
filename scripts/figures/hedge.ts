import { type HedgeOptions, hedge, pipeline } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { lineChart, type Point } from './line-chart.js';

const SECOND = 1_000;
const END = 40;
const SLOW = { from: 20, to: 30 };
const PER_SECOND = 100;
const STEP = 2;

interface Run {
  /** The 99 % quantile of the response time, ms. */
  p99: Point[];
  /** Second attempts per 100 calls. */
  extra: Point[];
}

/** 20 ms, give or take; every 40th attempt ten times that. While the downstream is slow, all take ten times as long. */
async function run(options: HedgeOptions): Promise<Run> {
  const clock = manualClock();
  const random = seededRandom(9);
  const policy = hedge({ clock, ...options });
  const guard = pipeline(policy);
  const times: { at: number; ms: number }[] = [];
  const takesMs = (): number => {
    const now = clock.now() / SECOND;
    const slow = (now >= SLOW.from && now < SLOW.to) || random() < 1 / 40;
    return 20 * (0.5 + random()) * (slow ? 10 : 1);
  };
  const call = async (): Promise<void> => {
    const at = clock.now();
    await guard.execute(() => new Promise<void>((resolve) => void clock.setTimer(resolve, takesMs())));
    times.push({ at, ms: clock.now() - at });
  };
  const problems: unknown[] = [];
  const hedges: number[] = [0];
  for (let i = 0; i < END * PER_SECOND; i++) {
    clock.setTimer(() => void call().catch((error: unknown) => problems.push(error)), (i * SECOND) / PER_SECOND);
  }
  for (let s = STEP; s <= END; s += STEP) {
    await clock.run(s * SECOND);
    hedges.push(policy.snapshot().hedges);
  }
  await clock.run((END + 2) * SECOND);
  if (problems.length > 0) throw problems[0];
  const p99: Point[] = [];
  const extra: Point[] = [];
  for (let i = 1; i < hedges.length; i++) {
    const [from, to] = [(i - 1) * STEP, i * STEP];
    const own = times.filter(({ at }) => at >= from * SECOND && at < to * SECOND).map(({ ms }) => ms);
    own.sort((a, b) => a - b);
    p99.push([from + STEP / 2, own[Math.ceil(own.length * 0.99) - 1] as number]);
    extra.push([from + STEP / 2, (100 * ((hedges[i] as number) - (hedges[i - 1] as number))) / (STEP * PER_SECOND)]);
  }
  return { p99, extra };
}

export async function hedgeChart(): Promise<string> {
  const none = await run({ afterMs: Infinity });
  const hedged = await run({ afterMs: 50 });
  const unbounded = await run({ afterMs: 50, budget: [] });
  return lineChart({
    title: 'A second attempt after 50 ms',
    subtitle: '100 calls per second of about 20 ms, every 40th attempt 200 ms; from 20 to 30 s all. Virtual time.',
    summary:
      'Without hedging the 99 % quantile is at 100 to 250 ms; with it, at 30 to 80 ms, for 2 to 3 second attempts in 100 calls. While ' +
      'the downstream is ten times as slow for all calls, the default budget holds second attempts to about 10 in 100 after a ' +
      'burst; without a budget every call is sent twice.',
    x: { label: 'time, s', min: 0, max: END, ticks: [0, 10, 20, 30, 40] },
    spans: [{ ...SLOW, label: 'all calls slow' }],
    panels: [
      {
        title: '99 % quantile of the response time, ms',
        height: 170,
        max: 350,
        ticks: [0, 100, 200, 300],
        series: [
          { label: 'no hedge', endLabel: 'no hedge', colour: 'grey', as: 'dashes', points: none.p99 },
          { label: 'hedge', endLabel: 'hedge', colour: 'green', points: hedged.p99 },
        ],
      },
      {
        title: 'Second attempts per 100 calls',
        height: 130,
        max: 100,
        ticks: [0, 10, 50, 100],
        series: [
          { label: 'budget: [] (none)', colour: 'red', as: 'dashes', points: unbounded.extra },
          { label: 'default budget', colour: 'green', points: hedged.extra },
        ],
      },
    ],
  });
}
