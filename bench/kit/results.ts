/** What a run found, as it goes into the JSON file, and what follows from it. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { baseName, type Case, type Group, idOf } from './case.js';
import { median, spreadRatio } from './stats.js';

const PEERS = [
  'async-sema',
  'cockatiel',
  'express-rate-limit',
  'limiter',
  'mollitia',
  'opossum',
  'p-limit',
  'p-retry',
  'p-timeout',
  'rate-limiter-flexible',
];

/** Beyond this spread a figure is marked, and a floor makes the whole run a noisy one. */
const NOISY_RATIO = 0.1;

export interface CaseResult {
  id: string;
  group: string;
  name: string;
  kind: Case['kind'];
  floorId: string | undefined;
  /** The same case on 0.1.0. */
  baseId?: string | undefined;
  /** Nanoseconds per call, one figure a round. */
  nsByRound: number[];
  bytesByRound: number[];
}

export interface Machine {
  cpu: string;
  cores: number;
  node: string;
  platform: string;
  /** How many processes wanted a core in the minute before, Unix only. */
  load: number;
}

export interface Run {
  startedAt: string;
  /** Version by package. */
  peers: Record<string, string>;
  machine: Machine;
  rounds: number;
  cases: CaseResult[];
}

function installedVersion(name: string): string {
  const file = join(import.meta.dirname, '../../node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  load: loadavg()[0] ?? 0,
});

export const newRun = (rounds: number): Run => ({
  startedAt: new Date().toISOString(),
  peers: Object.fromEntries(PEERS.map((name) => [name, installedVersion(name)])),
  machine: machine(),
  rounds,
  cases: [],
});

export function newCaseResult(group: Group, made: Case): CaseResult {
  const floor = group.cases.find(({ kind, name }) => kind === 'floor' && (made.floor ?? name) === name);
  const base =
    made.kind === 'ours' && group.cases.find((one) => one.kind === 'base' && one.name === baseName(made.name));
  return {
    id: idOf(group, made),
    group: group.name,
    name: made.name,
    kind: made.kind,
    floorId: floor && made.kind !== 'floor' ? idOf(group, floor) : undefined,
    baseId: base ? idOf(group, base) : undefined,
    nsByRound: [],
    bytesByRound: [],
  };
}

export const find = (run: Run, id: string | undefined): CaseResult | undefined =>
  run.cases.find((one) => one.id === id);

export const nsOf = ({ nsByRound }: CaseResult): number => median(nsByRound);

/** The median: now and then a process compiles something later than the others, and so allocates more. */
export const bytesOf = ({ bytesByRound }: CaseResult): number => Math.round(median(bytesByRound));

/** How many times as long `a` takes as `b`, one figure a round: machines have slow phases, which a round shares. */
export const ratios = (a: CaseResult, b: CaseResult): number[] =>
  a.nsByRound.map((ns, round) => ns / (b.nsByRound[round] ?? Number.NaN));

export function bestPeer(run: Run, group: string): CaseResult | undefined {
  const peers = run.cases.filter((one) => one.group === group && one.kind === 'peer');
  return peers.sort((a, b) => nsOf(a) - nsOf(b))[0];
}

export const isNoisy = ({ nsByRound }: CaseResult): boolean => spreadRatio(nsByRound) > NOISY_RATIO;

/** What speaks against the moment of a run. */
export const machineDoubts = ({ load, cores }: Machine): string[] =>
  load > cores / 2 ? [`busy machine: a load of ${load.toFixed(1)} on ${cores} cores when the run began`] : [];

/** Why not to trust the run; empty = trust it. */
export function doubts(run: Run, enoughRounds = 5): string[] {
  const found = run.cases
    .filter((one) => one.kind === 'floor' && isNoisy(one))
    .map((one) => `noisy run: ${one.id} varies by ± ${Math.round(spreadRatio(one.nsByRound) * 100)} %`);
  found.push(...machineDoubts(run.machine));
  if (run.rounds < enoughRounds) found.push(`only ${run.rounds} rounds: medians are rough`);
  return found;
}
