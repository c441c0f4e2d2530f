/** `npm run bench:sets`: request and reply through a worker thread, work that does nothing: sets beside piscina. */
import { join } from 'node:path';
import { buildBeside } from '../kit/build.js';
import { ask, rotated } from '../kit/measure.js';
import { Progress } from '../kit/progress.js';
import { machine } from '../kit/results.js';
import { openSuite } from '../kit/suite.js';
import type { Figures, PiscinaSetting } from './case.js';
import { type Case, CONCURRENCIES, type SetsRun, setsMarkdown } from './report.js';

const USAGE = `npm run bench:sets
  --rounds <n>       default 5
  --markdown <page>  put the table between the lines "<!-- sets -->" and "<!-- /sets -->" of the page
`;

const ATOMICS = ['sync', 'async', 'disabled'] as const;

const cases: Case[] = CONCURRENCIES.flatMap((concurrency) => {
  const tasks = concurrency === 1 ? [1] : [1, concurrency];
  const peers = tasks.flatMap((count) => ATOMICS.map((atomics): PiscinaSetting => ({ atomics, tasks: count })));
  return ['sets' as const, ...peers].map((setting) => ({ setting, concurrency, rounds: [] }));
});

const { rounds, publish } = openSuite('sets', USAGE, 5);
const run: SetsRun = { startedAt: new Date().toISOString(), machine: machine(), cases };
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

publish(run, setsMarkdown(run));
