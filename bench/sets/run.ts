/** `npm run bench:sets`: request and reply through a worker thread, work that does nothing: sets beside piscina. */
import { join } from 'node:path';
import { buildBeside } from '../build.js';
import { ask, rotated } from '../measure.js';
import { Progress } from '../progress.js';
import { machineText, table, warnings } from '../report.js';
import { machine, machineDoubts } from '../results.js';
import { median } from '../stats.js';
import { openSuite } from '../suite.js';
import type { Figures, PiscinaSetting, Setting } from './case.js';

const USAGE = `npm run bench:sets
  --rounds <n>       default 5
  --markdown <page>  put the table between the lines "<!-- sets -->" and "<!-- /sets -->" of the page
`;

const CONCURRENCIES = [1, 64, 512];
const ATOMICS = ['sync', 'async', 'disabled'] as const;

interface Case {
  setting: Setting;
  concurrency: number;
  rounds: Figures[];
}

const cases: Case[] = CONCURRENCIES.flatMap((concurrency) => {
  const tasks = concurrency === 1 ? [1] : [1, concurrency];
  const peers = tasks.flatMap((count) => ATOMICS.map((atomics): PiscinaSetting => ({ atomics, tasks: count })));
  return ['sets' as const, ...peers].map((setting) => ({ setting, concurrency, rounds: [] }));
});

const callsOf = ({ rounds }: Case): number => median(rounds.map(({ callsPerSecond }) => callsPerSecond));
const p50Of = ({ rounds }: Case): number => median(rounds.map(({ p50Us }) => p50Us));

/** The setting that is best at calls a second, and the p50 of the one that is best at that: each its own. */
function row(concurrency: number): string[] {
  const here = cases.filter((one) => one.concurrency === concurrency);
  const [ours, ...peers] = here as [Case, ...Case[]];
  const fastest = peers.reduce((best, one) => (callsOf(one) > callsOf(best) ? one : best));
  const setting = fastest.setting as PiscinaSetting;
  const p50 = Math.min(...peers.map(p50Of));
  const ratio = median(
    ours.rounds.map((mine, i) => mine.callsPerSecond / (fastest.rounds[i]?.callsPerSecond as number)),
  );
  const count = (value: number): string => Math.round(value).toLocaleString('en');
  return [
    String(concurrency),
    count(callsOf(ours)),
    `${count(callsOf(fastest))} (atomics: ${setting.atomics}, tasks a worker: ${setting.tasks})`,
    `${ratio.toFixed(1)} ×`,
    `${count(p50Of(ours))} µs`,
    `${count(p50)} µs`,
  ];
}

const { rounds, publish } = openSuite('sets', USAGE, 5);
const startedAt = new Date().toISOString();
const where = machine();
const entries = { case: 'sets/case.ts', serve: 'sets/serve.ts', task: 'sets/task.ts' };
const worker = join(await buildBeside('build-sets', entries), 'case.js');

const progress = new Progress(cases.length * rounds);
for (let round = 0; round < rounds; round++) {
  for (const one of rotated(cases, round, rounds)) {
    const setting = JSON.stringify(one.setting);
    progress.step(`round ${round + 1} of ${rounds} · ${setting}, ${one.concurrency} at a time`);
    one.rounds.push(await ask<Figures>(worker, [setting, String(one.concurrency)], []));
  }
}
progress.end();

const head = [
  'calls at a time',
  'sets, calls/s',
  'best of piscina, calls/s',
  'in a round',
  'sets, p50',
  'best of piscina, p50',
];
const text = [
  `${startedAt.slice(0, 10)}, ${machineText(where)}; 64 bytes there and back, one worker; medians of ${rounds} rounds.`,
  ...warnings(machineDoubts(where)),
  table(head, CONCURRENCIES.map(row)),
].join('\n\n');
publish({ startedAt, machine: where, cases }, text);
