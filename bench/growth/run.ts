/** `npm run bench:growth`: what a call costs against the number of keys, gates, calls, timers, instances, readers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { buildBeside, resultsDir } from '../kit/build.js';
import { ask, rotated } from '../kit/measure.js';
import { Progress } from '../kit/progress.js';
import { machine } from '../kit/results.js';
import { openSuite } from '../kit/suite.js';
import { type GrowthRun, growthChart, growthMarkdown } from './report.js';
import { type Sweep, sweeps } from './sweeps.js';

const USAGE = `npm run bench:growth -- [part of a sweep's name …]
  --rounds <n>       default 5
  --markdown <page>  put the table between the lines "<!-- growth -->" and "<!-- /growth -->" of the page, and the
                     figures into the folder beside it that is called like it; else they go to bench/results/growth
Sweeps: ${sweeps.map((one) => one.name).join(', ')}.
`;

async function measure(chosen: readonly Sweep[], rounds: number): Promise<GrowthRun> {
  const entries = { worker: 'growth/worker.ts', 'ring-reader': 'growth/ring-reader.ts' };
  const worker = join(await buildBeside('build-growth', entries), 'worker.js');
  const run: GrowthRun = { startedAt: new Date().toISOString(), machine: machine(), rounds, points: [] };
  run.points = chosen.flatMap(({ name, counts, series }) =>
    series.flatMap((one) => counts.map((count) => ({ sweep: name, series: one.name, count, nsByRound: [] }))),
  );
  const progress = new Progress(run.points.length * rounds);
  for (let round = 0; round < rounds; round++) {
    for (const point of rotated(run.points, round, rounds)) {
      progress.step(`round ${round + 1} of ${rounds} · ${point.series}, ${point.count.toLocaleString('en')}`);
      point.nsByRound.push(await ask(worker, [point.sweep, point.series, String(point.count)], []));
    }
  }
  progress.end();
  return run;
}

const chosenBy = (words: readonly string[]): readonly Sweep[] =>
  sweeps.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word.toLowerCase())));

const { rounds, words, markdown, publish } = openSuite('growth', USAGE, 5, (words) =>
  chosenBy(words).length > 0 ? undefined : `no sweep is named like ${words.join(', ')}`,
);
const chosen = chosenBy(words);
const folder = markdown === undefined ? join(resultsDir, 'growth') : join(dirname(markdown), basename(markdown, '.md'));

const run = await measure(chosen, rounds);
mkdirSync(folder, { recursive: true });
for (const sweep of chosen) writeFileSync(join(folder, `${sweep.name}.svg`), growthChart(run, sweep));
publish(run, growthMarkdown(run, chosen, basename(folder)));
console.log(`\nfigures: ${folder}`);
