/** A run as Markdown. */
import { BASE_VERSION } from './base.js';
import {
  bestPeer,
  bytesOf,
  type CaseResult,
  doubts,
  find,
  isNoisy,
  type Machine,
  nsOf,
  type Run,
  ratios,
} from './results.js';
import { median, spreadRatio } from './stats.js';
import { type Verdict, verdicts } from './targets.js';
import { type TargetRow, verdictText } from './verdict.js';

export const figure = (value: number): string =>
  Number.isInteger(value)
    ? value.toLocaleString('en')
    : value.toFixed(value < 0.2 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0);

export const nsText = (ns: number): string => (ns < 10 ? ns.toFixed(1) : Math.round(ns).toLocaleString('en'));

export function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const rule = `|---|${'---:|'.repeat(head.length - 1)}`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

function caseRow(run: Run, result: CaseResult): string[] {
  const floor = find(run, result.floorId);
  const base = find(run, result.baseId);
  const peer = result.kind === 'ours' ? bestPeer(run, result.group) : undefined;
  return [
    result.kind === 'ours' ? `**${result.name}**` : result.name,
    nsText(nsOf(result)),
    run.rounds === 1
      ? ''
      : `± ${Math.round(spreadRatio(result.nsByRound) * 100)} %${isNoisy(result) ? ' (noisy)' : ''}`,
    bytesOf(result).toLocaleString('en'),
    floor ? figure(median(ratios(result, floor))) : '',
    base ? figure(median(ratios(result, base))) : '',
    peer ? `${figure(median(ratios(result, peer)))} of ${peer.name}` : '',
  ];
}

export const machineText = ({ cpu, cores, node, platform }: Machine): string =>
  `Node ${node}, ${platform}, ${cores} × ${cpu}`;

/** Doubts as paragraphs. */
export const warnings = (doubts: readonly string[]): string[] => doubts.map((doubt) => `**${doubt}**`);

function targetRow(verdict: Verdict): string[] {
  const { target, measured, least, most } = verdict;
  const range = least === most ? '' : `${figure(least)} … ${figure(most)}`;
  return [target.path, target.text, figure(measured), range, verdictText(verdict.missedByRatio)];
}

/** What this run says of the targets. */
export const targetRows = (run: Run): TargetRow[] =>
  verdicts(run).map(({ target, measured, missedByRatio }) => [
    target.path,
    target.text,
    figure(measured),
    verdictText(missedByRatio),
  ]);

export function markdown(run: Run): string {
  const peers = Object.entries(run.peers).map(([name, version]) => `${name} ${version}`);
  const found = verdicts(run);
  const met = found.filter((one) => one.missedByRatio <= 0).length;
  const groupNames = [...new Set(run.cases.map((one) => one.group))];
  const parts = [
    `${run.startedAt.slice(0, 10)}, ${machineText(run.machine)}; ${peers.join(', ')}; medians of ${run.rounds} rounds.`,
    ...warnings(doubts(run)),
    ...groupNames.flatMap((group) => [
      `### ${group}`,
      table(
        ['case', 'ns per call', 'spread', 'bytes per call', '× floor', `× ${BASE_VERSION}`, '× the best peer'],
        run.cases.filter((one) => one.group === group).map((one) => caseRow(run, one)),
      ),
    ]),
  ];
  if (found.length > 0) {
    const head = ['path', 'target', 'measured', 'over the rounds', 'verdict'];
    parts.push('### Targets', table(head, found.map(targetRow)), `${met} of ${found.length} targets met.`);
  }
  return `${parts.join('\n\n')}\n`;
}
