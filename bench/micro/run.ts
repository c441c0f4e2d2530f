/** `npm run bench`: runs each case in processes of its own, in rounds, and reports. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { buildBaseWorker, buildWorker, resultsDir } from '../kit/build.js';
import { idOf } from '../kit/case.js';
import { chart } from '../kit/chart.js';
import { MarkedPlace } from '../kit/marked-place.js';
import { markdown } from '../kit/report.js';
import { wholeRounds } from '../kit/suite.js';
import { verdicts } from '../kit/targets.js';
import { chosenGroups, measureAll } from './measure-cases.js';

const USAGE = `npm run bench -- [part of a group's or case's name …]
  --rounds <n>       default 7
  --markdown <file>  put the tables between the lines "<!-- bench -->" and "<!-- /bench -->" of the file
  --strict           exit 1 when a target is missed
  --list             name the cases
`;
const BYTES_ROUNDS = 3;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(USAGE, {
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '7' },
      markdown: { type: 'string' },
      strict: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) usageAndExit(USAGE);
  const rounds = wholeRounds(USAGE, values.rounds);
  const chosen = chosenGroups(positionals);
  if (chosen.length === 0) usageAndExit(USAGE, `no case is named like ${positionals.join(', ')}; --list names them`);
  if (values.list) return console.log(chosen.flatMap((group) => group.cases.map((one) => idOf(group, one))).join('\n'));

  const page = values.markdown === undefined ? undefined : new MarkedPlace(values.markdown, 'bench');
  const workers = { now: await buildWorker(), base: await buildBaseWorker() };
  const run = await measureAll(workers, chosen, { rounds, bytesRounds: Math.min(rounds, BYTES_ROUNDS) });
  const tables = markdown(run);
  mkdirSync(resultsDir, { recursive: true });
  writeFileSync(join(resultsDir, 'bench.json'), `${JSON.stringify(run, null, 2)}\n`);
  writeFileSync(join(resultsDir, 'bench.svg'), chart(run));
  page?.write(tables);
  console.log(tables);
  console.error(`also in ${resultsDir}: bench.json, bench.svg`);
  if (values.strict && verdicts(run).some((one) => one.missedByRatio > 0)) process.exitCode = 1;
}

await main();
