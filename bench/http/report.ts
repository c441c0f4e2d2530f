import { figure, machineText, table, warnings } from '../kit/report.js';
import { type Machine, machineDoubts } from '../kit/results.js';
import { median, quartiles, spreadRatio } from '../kit/stats.js';
import { missedAtLeast, missedAtMost, type TargetRow, verdictText } from '../kit/verdict.js';
import type { Tally } from './clients.js';
import type { Guard } from './server.js';

export const GUARDS: readonly Guard[] = ['bare', 'control', 'guarded', 'scope', 'signal'];

const TITLES: Record<Guard, string> = {
  bare: 'bare',
  control: 'another bare one',
  guarded: 'five policies',
  scope: 'five policies, ended by `AbortScope` and `onAbort`',
  signal: 'five policies, ended by `AbortController` and `signal`',
};

/** Over this much that a second bare server seems to lose or to gain, the target cannot be told from chance. */
const NOISY = 0.03;

/** One server in one round. */
export interface Throughput {
  perSecond: number;
  p99Ms: number;
  /** CPU time of the server's process for each request, µs. */
  cpuUs: number;
}

export type ThroughputRound = Record<Guard, Throughput>;

export interface OverloadRound {
  /** Requests a second. */
  capacity: number;
  seconds: number;
  bare: Tally;
  guarded: Tally;
}

export interface HttpRun {
  startedAt: string;
  machine: Machine;
  throughput: ThroughputRound[];
  overload: OverloadRound[];
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const whole = (value: number): string => Math.round(value).toLocaleString('en');

/** By what share a guard lowers the throughput, and raises the CPU time a request: one figure a round. */
export const costs = (rounds: readonly ThroughputRound[], guard: Guard) => ({
  throughput: rounds.map((one) => 1 - one[guard].perSecond / one.bare.perSecond),
  cpu: rounds.map((one) => one[guard].cpuUs / one.bare.cpuUs - 1),
});

/** Answers in time as a share of the capacity, one figure a round. */
export const goodputRatios = (rounds: readonly OverloadRound[], guard: 'bare' | 'guarded'): number[] =>
  rounds.map((one) => one[guard].answered / one.seconds / one.capacity);

/** Between these are half of the rounds. */
const half = (shares: readonly number[]): string => quartiles(shares).map(percent).join(' … ');

/** What a second bare server loses, which is nothing: why not to trust the others' figures. */
function throughputDoubts(rounds: readonly ThroughputRound[]): string[] {
  const { throughput, cpu } = costs(rounds, 'control');
  const doubtful = (shares: readonly number[]): boolean => quartiles(shares).some((share) => Math.abs(share) > NOISY);
  const found: string[] = [];
  if (doubtful(throughput)) found.push(`noisy run: another bare server lost ${half(throughput)} of the throughput`);
  if (doubtful(cpu)) found.push(`noisy run: another bare server gained ${half(cpu)} of CPU time`);
  return found;
}

function throughputRow(rounds: readonly ThroughputRound[], guard: Guard): string[] {
  const of = (key: keyof Throughput): number => median(rounds.map((one) => one[guard][key]));
  const cost = costs(rounds, guard);
  return [
    TITLES[guard],
    whole(of('perSecond')),
    figure(of('p99Ms')),
    of('cpuUs').toFixed(1),
    ...(guard === 'bare'
      ? ['', '', '', '']
      : [percent(median(cost.throughput)), half(cost.throughput), percent(median(cost.cpu)), half(cost.cpu)]),
  ];
}

function overloadRow(rounds: readonly OverloadRound[], guard: 'bare' | 'guarded'): string[] {
  const perSecond = (of: (tally: Tally) => number): string =>
    whole(median(rounds.map((one) => of(one[guard]) / one.seconds)));
  return [
    TITLES[guard],
    whole(median(rounds.map((one) => one.capacity))),
    perSecond((tally) => tally.sent),
    perSecond((tally) => tally.answered),
    perSecond((tally) => tally.refused),
    perSecond((tally) => tally.late + tally.failed),
    whole(median(rounds.flatMap((one) => one[guard].tookMs))),
    percent(median(goodputRatios(rounds, guard))),
  ];
}

/** What the guard may cost, and what it has to save. */
const MAX_LOST = 0.03;
const MIN_GOODPUT = 0.9;

/** What this run says of the targets. */
export function httpTargetRows({ throughput, overload }: HttpRun): TargetRow[] {
  const lost = median(costs(throughput, 'guarded').throughput);
  const goodput = median(goodputRatios(overload, 'guarded'));
  return [
    [
      'server, five policies around a request to an upstream',
      `≤ ${percent(MAX_LOST)} of throughput`,
      percent(lost),
      verdictText(missedAtMost(lost, MAX_LOST)),
    ],
    [
      `server in 3 × overload (bare: ${percent(median(goodputRatios(overload, 'bare')))})`,
      `≥ ${percent(MIN_GOODPUT)} of capacity answered in time`,
      percent(goodput),
      verdictText(missedAtLeast(goodput, MIN_GOODPUT)),
    ],
  ];
}

export function httpMarkdown({ startedAt, machine, throughput, overload }: HttpRun): string {
  const spread = spreadRatio(throughput.map((one) => one.bare.perSecond));
  return [
    `${startedAt.slice(0, 10)}, ${machineText(machine)}; medians of ${throughput.length} rounds of the throughput and ${overload.length} of the overload. The bare server's throughput varies by ± ${percent(spread)} from round to round.`,
    ...warnings([...machineDoubts(machine), ...throughputDoubts(throughput)]),
    'A request to an upstream on loopback, 32 connections:',
    table(
      [
        'server',
        'requests/s',
        'p99 ms',
        'CPU µs a request',
        'throughput lost',
        'half of the rounds',
        'CPU time gained',
        'half of the rounds',
      ],
      GUARDS.map((guard) => throughputRow(throughput, guard)),
    ),
    '3 × overload: about 4 ms of CPU a request, three times as many clients as can be served that ask once a second and have no use for a later answer; per second:',
    table(
      ['server', 'capacity', 'asked', 'answered in time', 'refused', 'too late', 'median ms', 'goodput of capacity'],
      (['bare', 'guarded'] as const).map((guard) => overloadRow(overload, guard)),
    ),
  ].join('\n\n');
}
