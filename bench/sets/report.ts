import { machineText, table, warnings } from '../kit/report.js';
import { type Machine, machineDoubts } from '../kit/results.js';
import { median } from '../kit/stats.js';
import { missedAtLeast, missedAtMost, type TargetRow, verdictText } from '../kit/verdict.js';
import type { Figures, PiscinaSetting, Setting } from './case.js';

export const CONCURRENCIES = [1, 64, 512];

export interface Case {
  setting: Setting;
  concurrency: number;
  rounds: Figures[];
}

export interface SetsRun {
  startedAt: string;
  machine: Machine;
  cases: Case[];
}

const callsOf = ({ rounds }: Case): number => median(rounds.map(({ callsPerSecond }) => callsPerSecond));
const p50Of = ({ rounds }: Case): number => median(rounds.map(({ p50Us }) => p50Us));
const count = (value: number): string => Math.round(value).toLocaleString('en');

/** Sets beside the setting of piscina that is best at calls a second, and the p50 of the one that is best at that. */
function compared(cases: readonly Case[], concurrency: number) {
  const [ours, ...peers] = cases.filter((one) => one.concurrency === concurrency) as [Case, ...Case[]];
  const fastest = peers.reduce((best, one) => (callsOf(one) > callsOf(best) ? one : best));
  const ratios = ours.rounds.map((mine, i) => mine.callsPerSecond / (fastest.rounds[i]?.callsPerSecond as number));
  return { ours, fastest, ratio: median(ratios), p50Us: p50Of(ours), peerP50Us: Math.min(...peers.map(p50Of)) };
}

function row(cases: readonly Case[], concurrency: number): string[] {
  const { ours, fastest, ratio, p50Us, peerP50Us } = compared(cases, concurrency);
  const setting = fastest.setting as PiscinaSetting;
  return [
    String(concurrency),
    count(callsOf(ours)),
    `${count(callsOf(fastest))} (atomics: ${setting.atomics}, tasks a worker: ${setting.tasks})`,
    `${ratio.toFixed(1)} ×`,
    `${count(p50Us)} µs`,
    `${count(peerP50Us)} µs`,
  ];
}

/** What this run says of the targets. */
export const setsTargetRows = ({ cases }: SetsRun): TargetRow[] =>
  CONCURRENCIES.flatMap((concurrency): TargetRow[] => {
    const { ratio, p50Us, peerP50Us } = compared(cases, concurrency);
    const path = `sets, ${concurrency} ${concurrency === 1 ? 'call' : 'calls'} at a time`;
    const p50 = `${count(p50Us)} to ${count(peerP50Us)} µs`;
    return [
      [path, '≥ 3 × the best of piscina', `${ratio.toFixed(2)} ×`, verdictText(missedAtLeast(ratio, 3))],
      [`${path}, p50`, 'no more than the best of piscina', p50, verdictText(missedAtMost(p50Us, peerP50Us))],
    ];
  });

export function setsMarkdown({ startedAt, machine, cases }: SetsRun): string {
  const rounds = cases[0]?.rounds.length;
  const head = [
    'calls at a time',
    'sets, calls/s',
    'best of piscina, calls/s',
    'in a round',
    'sets, p50',
    'best of piscina, p50',
  ];
  return [
    `${startedAt.slice(0, 10)}, ${machineText(machine)}; 64 bytes there and back, one worker; medians of ${rounds} rounds.`,
    ...warnings(machineDoubts(machine)),
    table(
      head,
      CONCURRENCIES.map((concurrency) => row(cases, concurrency)),
    ),
  ].join('\n\n');
}
