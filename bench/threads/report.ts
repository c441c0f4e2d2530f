import { figure, machineText, table, warnings } from '../kit/report.js';
import { type Machine, machineDoubts } from '../kit/results.js';
import { median } from '../kit/stats.js';
import { missedAtLeast, missedAtMost, type TargetRow, verdictText } from '../kit/verdict.js';
import type { Idle, Latency, Throughput } from './case.js';
import { isPosted, WAYS } from './ways.js';

export interface Case {
  what: 'throughput' | 'two readers' | 'open loop' | 'idle';
  name: string;
  bytes: number;
  messages: number;
  rounds: (Throughput | Latency | Idle)[];
}

export interface RingRun {
  startedAt: string;
  machine: Machine;
  cases: Case[];
}

export const RING = 'evenkeel, tryWrite';
export const BATCH = 'evenkeel, writeBatch';
const PEER = 'ringbuf.js';
export const SIZES = [64, 1_024];
export const names = Object.keys(WAYS);
const posted = names.filter(isPosted);
/** One at a time, as `tryWrite` does it; the other is the counterpart of `writeBatch`. */
const single = posted.filter((name) => !name.includes('32'));

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.01 ? 2 : 0)} %`;
const millions = (perSecond: number): string => `${(perSecond / 1e6).toFixed(2)} M`;
const micros = (us: number): string => `${Math.round(us)} µs`;
/** Of a round the quotients, of those the median. */
const ratio = (a: number[], b: number[]): number => median(a.map((one, i) => one / (b[i] as number)));

/** What the run says of each case, one figure a round. */
class Figures {
  readonly #cases: readonly Case[];

  constructor(cases: readonly Case[]) {
    this.#cases = cases;
  }

  names(what: Case['what']): string[] {
    return this.#cases.filter((one) => one.what === what).map(({ name }) => name);
  }

  of<T>(what: Case['what'], name: string, bytes = 64): T[] {
    return this.#cases.find((one) => one.what === what && one.name === name && one.bytes === bytes)?.rounds as T[];
  }

  perSecond(name: string, bytes: number): number[] {
    return this.of<Throughput>('throughput', name, bytes).map((one) => one.perSecond);
  }

  cpuNs(name: string, bytes: number): number[] {
    return this.of<Throughput>('throughput', name, bytes).map((one) => one.cpuNs);
  }

  latencyUs(name: string, what: keyof Latency): number {
    return median(this.of<Latency>('open loop', name).map((one) => one[what]));
  }

  leastShares(name: string): number[] {
    return this.of<Throughput>('two readers', name).map(({ shares }) => Math.min(...shares));
  }

  fastest(bytes: number, among: string[]): string {
    return among.reduce((a, b) => (median(this.perSecond(b, bytes)) > median(this.perSecond(a, bytes)) ? b : a));
  }

  leastCpu(bytes: number, among: string[]): string {
    return among.reduce((a, b) => (median(this.cpuNs(b, bytes)) < median(this.cpuNs(a, bytes)) ? b : a));
  }
}

const throughputTable = (figures: Figures, bytes: number): string =>
  table(
    [`${bytes} B, one reader`, 'messages a second', 'CPU a message'],
    names.map((name) => [
      name,
      millions(median(figures.perSecond(name, bytes))),
      `${Math.round(median(figures.cpuNs(name, bytes))).toLocaleString('en')} ns`,
    ]),
  );

const twoReadersTable = (figures: Figures): string =>
  table(
    ['64 B, two readers', 'messages a second', 'the lesser share', 'in the worst round'],
    [RING, BATCH].map((name) => [
      name,
      millions(median(figures.of<Throughput>('two readers', name).map((one) => one.perSecond))),
      percent(median(figures.leastShares(name))),
      percent(Math.min(...figures.leastShares(name))),
    ]),
  );

const openLoopTable = (figures: Figures): string =>
  table(
    ['open loop, 10,000 a second', 'p50', 'p99'],
    figures
      .names('open loop')
      .map((name) => [name, micros(figures.latencyUs(name, 'p50Us')), micros(figures.latencyUs(name, 'p99Us'))]),
  );

const atLeast = (path: string, target: number, beside: string, measured: number): TargetRow => [
  path,
  `≥ ${target} × ${beside}`,
  `${figure(measured)} ×`,
  verdictText(missedAtLeast(measured, target)),
];

function besidePosted(figures: Figures, peer: string, among: string[]): TargetRow[] {
  const times = (name: string, bytes: number): number =>
    ratio(figures.perSecond(name, bytes), figures.perSecond(figures.fastest(bytes, among), bytes));
  const cpuTimes = ratio(figures.cpuNs(figures.leastCpu(64, among), 64), figures.cpuNs(RING, 64));
  return [
    atLeast('64 B', 20, peer, times(RING, 64)),
    atLeast('64 B, `writeBatch`', 25, peer, times(BATCH, 64)),
    atLeast('64 B, CPU', 15, `less than ${peer}`, cpuTimes),
    atLeast('1 KiB', 15, peer, times(RING, 1_024)),
  ];
}

const besidePeer = (figures: Figures, path: string, bytes: number, target: number): TargetRow =>
  atLeast(path, target, PEER, ratio(figures.perSecond(RING, bytes), figures.perSecond(PEER, bytes)));

function latencyRow(figures: Figures, what: keyof Latency, label: string): TargetRow {
  const peers = figures.names('open loop').filter(isPosted);
  const ours = figures.latencyUs(RING, what);
  const peer = Math.min(...peers.map((name) => figures.latencyUs(name, what)));
  const verdict = verdictText(missedAtMost(ours, peer));
  return [`open loop, ${label}`, 'no more than `postMessage`', `${Math.round(ours)} to ${micros(peer)}`, verdict];
}

function idleRow(figures: Figures): TargetRow {
  const idles = figures.of<Idle>('idle', 'evenkeel');
  const cpuRatio = median(idles.map((one) => one.cpuRatio));
  const wakeUps = median(idles.map((one) => one.wakeUps));
  const verdict = wakeUps <= 0 && cpuRatio < 0.01 ? 'met' : 'missed';
  return ['idle', '0 wake-ups, < 1 % CPU', `${wakeUps}, ${percent(cpuRatio)}`, verdict];
}

function sharesRow(figures: Figures): TargetRow {
  const shares = [RING, BATCH].map((name) => figures.leastShares(name));
  const usual = Math.min(...shares.map(median));
  const worst = Math.min(...shares.flat());
  const verdict = worst >= 0.35 ? 'met' : usual >= 0.35 ? 'met, but for some rounds' : 'missed';
  return ['two readers, the lesser share', '≥ 35 %', `${percent(usual)}, at worst ${percent(worst)}`, verdict];
}

/** What this run says of the targets. */
export function ringTargetRows({ cases }: RingRun): TargetRow[] {
  const figures = new Figures(cases);
  return [
    ...besidePosted(figures, 'the best `postMessage`', single),
    ...besidePosted(figures, 'the best `postMessage`, also of 32 messages', posted),
    besidePeer(figures, '64 B', 64, 3),
    besidePeer(figures, '1 KiB', 1_024, 10),
    latencyRow(figures, 'p50Us', 'p50'),
    latencyRow(figures, 'p99Us', 'p99'),
    idleRow(figures),
    sharesRow(figures),
  ];
}

export function ringMarkdown(run: RingRun): string {
  const { startedAt, machine, cases } = run;
  const figures = new Figures(cases);
  return [
    `${startedAt.slice(0, 10)}, ${machineText(machine)}; medians of ${cases[0]?.rounds.length} rounds.`,
    ...warnings(machineDoubts(machine)),
    ...SIZES.map((bytes) => throughputTable(figures, bytes)),
    twoReadersTable(figures),
    openLoopTable(figures),
    table(['path', 'target', 'measured', 'verdict'], ringTargetRows(run)),
  ].join('\n\n');
}
