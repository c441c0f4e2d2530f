/** `npm run bench:check`: whether what we cost, in units of the floors, has grown since `baseline.json` was written. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { type Baseline, type Change, compare, floorRatios, newBaseline, typicalTolerance } from '../kit/baseline.js';
import { buildWorker } from '../kit/build.js';
import type { Group } from '../kit/case.js';
import { table } from '../kit/report.js';
import { doubts, type Run } from '../kit/results.js';
import { chosenGroups, measureAll } from './measure-cases.js';

const USAGE = `npm run bench:check -- [part of a group's or case's name …]
  --update  measures five times and writes bench/micro/baseline.json; with names, only what they name

Exit code 1 when a case got slower by more than the noise of the baseline's runs explains, measured twice.
`;
const FILE = join(import.meta.dirname, 'baseline.json');
const RUNS = 5;
const ROUNDS = 3;
/** A guard that lets most cases get slower by more guards nothing. */
const MAX_TOLERANCE = 0.25;

function fail(text: string): never {
  console.error(text);
  process.exit(2);
}

const oursAndFloors = (group: Group): Group => ({
  ...group,
  cases: group.cases.filter(({ kind }) => kind === 'ours' || kind === 'floor'),
});

const measure = (worker: string, chosen: readonly Group[], title: string): Promise<Run> =>
  measureAll({ now: worker }, chosen.map(oursAndFloors), { rounds: ROUNDS, bytesRounds: 0, title });

function sayDoubts(run: Run): void {
  for (const doubt of doubts(run, ROUNDS)) console.error(doubt);
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const row = ({ id, was, ratio, tolerance, verdict }: Change): string[] => [
  id,
  was === undefined ? '' : was.toFixed(2),
  ratio.toFixed(2),
  was === undefined ? '' : `${ratio < was ? '−' : '+'}${percent(Math.abs(ratio / was - 1))}`,
  was === undefined ? '' : `± ${percent(tolerance)}`,
  verdict,
];

const report = (changes: readonly Change[]): string =>
  table(['case, × its floor', 'baseline', 'now', 'change', 'tolerance', 'verdict'], changes.map(row));

async function update(worker: string, chosen: readonly Group[], old: Baseline | undefined): Promise<void> {
  const runs: Run[] = [];
  for (let i = 1; i <= RUNS; i++) runs.push(await measure(worker, chosen, `run ${i} of ${RUNS} · `));
  runs.forEach(sayDoubts);
  const made = newBaseline(runs);
  if (typicalTolerance(made) > MAX_TOLERANCE) {
    fail(
      `not written: by these runs a case could get slower by ${percent(typicalTolerance(made))}; wait for a quiet hour`,
    );
  }
  if (old !== undefined) made.cases = { ...old.cases, ...made.cases };
  writeFileSync(FILE, `${JSON.stringify(made, null, 2)}\n`);
  console.log(report(compare(made, floorRatios(runs.at(-1) as Run))));
}

/** What seems slower a second time, too: machines have phases. */
async function confirmed(worker: string, changes: readonly Change[], baseline: Baseline): Promise<Change[]> {
  const suspects = new Set(changes.filter((one) => one.verdict === 'slower').map((one) => one.id));
  if (suspects.size === 0) return [];
  console.error(`measured again: ${[...suspects].join(', ')}`);
  const again = await measure(worker, chosenGroups([...suspects]), 'again · ');
  return compare(baseline, floorRatios(again)).filter((one) => one.verdict === 'slower' && suspects.has(one.id));
}

async function check(worker: string, chosen: readonly Group[], baseline: Baseline, isAll: boolean): Promise<void> {
  const run = await measure(worker, chosen, '');
  const { cpu, node } = baseline.machine;
  if (cpu !== run.machine.cpu || node !== run.machine.node) {
    console.error(`the baseline is of another machine, ${cpu}, Node ${node}: ratios differ between machines, too`);
  }
  sayDoubts(run);
  const changes = compare(baseline, floorRatios(run));
  console.log(report(changes));
  const gone = Object.keys(baseline.cases).filter((id) => !changes.some((one) => one.id === id));
  if (isAll && gone.length > 0) console.log(`\nno longer there: ${gone.join(', ')}`);
  const slower = await confirmed(worker, changes, baseline);
  if (slower.length === 0) return console.log('\nnothing got slower');
  console.log(`\nslower, twice:\n\n${report(slower)}`);
  process.exitCode = 1;
}

const { values, positionals } = readArguments(USAGE, {
  allowPositionals: true,
  options: { update: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});
if (values.help) usageAndExit(USAGE);
const chosen = chosenGroups(positionals);
if (chosen.length === 0) usageAndExit(USAGE, `no case is named like ${positionals.join(', ')}`);
const isAll = positionals.length === 0;
const baseline: Baseline | undefined = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : undefined;
if (values.update) await update(await buildWorker(), chosen, isAll ? undefined : baseline);
else if (baseline === undefined) fail('there is no bench/micro/baseline.json: npm run bench:check -- --update');
else await check(await buildWorker(), chosen, baseline, isAll);
