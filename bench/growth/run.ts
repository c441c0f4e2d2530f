/** `npm run bench:growth`: what a call costs against the number of keys, gates, calls, timers, instances, readers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBeside, resultsDir } from '../build.js';
import { MarkedPlace } from '../marked-place.js';
import { ask, rotated } from '../measure.js';
import { Progress } from '../progress.js';
import { machine } from '../results.js';
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

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    markdown: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const chosen = sweeps.filter(
  ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word.toLowerCase())),
);
if (values.help || chosen.length === 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
const { markdown } = values;
const page = markdown === undefined ? undefined : new MarkedPlace(markdown, 'growth');
const folder = markdown === undefined ? join(resultsDir, 'growth') : join(dirname(markdown), basename(markdown, '.md'));

const run = await measure(chosen, rounds);
for (const dir of [resultsDir, folder]) mkdirSync(dir, { recursive: true });
writeFileSync(join(resultsDir, 'growth.json'), `${JSON.stringify(run, null, 2)}\n`);
for (const sweep of chosen) writeFileSync(join(folder, `${sweep.name}.svg`), growthChart(run, sweep));
const text = growthMarkdown(run, chosen, basename(folder));
page?.write(text);
console.log(`${text}\n\nfigures: ${folder}`);
