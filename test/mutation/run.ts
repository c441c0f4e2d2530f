import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Stryker } from '@stryker-mutator/core';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { changedLines } from './changed-lines.js';
import { MODULES, type Module, testsOf } from './modules.js';

const USAGE = `npm run test:mutation -- [module …]
  Stryker changes the code of each module, one place at a time; the module's own tests must notice.

  --since <commit>  only the lines changed since that commit
  --minutes <n>     ends after n minutes at the latest, and names the modules left out
  --jobs <n>        that many at once; 2 unless told
  --afresh          runs again what earlier runs have settled

Exit code 1 when too few changes were noticed. Modules: ${MODULES.map(({ name }) => name).join(', ')}.
`;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Score {
  module: Module;
  noticed: number;
  missed: number;
  /** Left as they are by a comment, which gives the reason. */
  excused: number;
}

const percentOf = ({ noticed, missed }: Score): number => (noticed * 100) / Math.max(1, noticed + missed);

async function score(module: Module, places: readonly string[], whole: boolean): Promise<Score> {
  // With its own `testFiles`, Stryker switches changes of what runs on loading on too late (stryker-js #6144).
  process.env.MUTATION_TESTS = testsOf(module).join(',');
  const results = await new Stryker({
    mutate: [...places],
    testRunner: 'vitest',
    vitest: { configFile: 'vitest.mutation.config.ts', related: false },
    coverageAnalysis: 'perTest',
    // A part of a file would make it forget the rest.
    incremental: whole,
    incrementalFile: `node_modules/.cache/stryker/${module.name}.json`,
    force: values.afresh,
    concurrency: Number(values.jobs),
    timeoutMS: 10_000,
    reporters: ['clear-text', 'html'],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportScoreTable: false } as never,
    htmlReporter: { fileName: `coverage/mutation/${module.name}.html` },
    ignorePatterns: ['dist', 'coverage', 'bench', 'demo', 'docs/figures'],
    disableTypeChecks: true,
    allowConsoleColors: false,
    cleanTempDir: 'always',
  }).runMutationTest();
  const count = (...states: string[]): number => results.filter(({ status }) => states.includes(status)).length;
  return {
    module,
    // The last: a test file does not load.
    noticed: count('Killed', 'Timeout', 'RuntimeError'),
    missed: count('Survived', 'NoCoverage'),
    excused: count('Ignored'),
  };
}

const { values, positionals } = readArguments(USAGE, {
  allowPositionals: true,
  options: {
    since: { type: 'string' },
    minutes: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    afresh: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) usageAndExit(USAGE);
const unknown = positionals.filter((name) => !MODULES.some((module) => module.name === name));
if (unknown.length > 0) usageAndExit(USAGE, `no module ${unknown.join(', ')}`);
if (values.minutes !== undefined && !(Number(values.minutes) > 0))
  usageAndExit(USAGE, `--minutes must be a number above 0, got ${values.minutes}`);
if (!(Number(values.jobs) >= 1)) usageAndExit(USAGE, `--jobs must be a whole number of 1 or more, got ${values.jobs}`);

const changed =
  values.since === undefined
    ? undefined
    : changedLines(
        execFileSync('git', ['diff', '--unified=0', '--no-color', values.since, '--', 'src'], {
          cwd: ROOT,
          encoding: 'utf8',
          maxBuffer: 1e8,
        }),
      );
const placesOf = ({ files }: Module): readonly string[] =>
  changed === undefined ? files : files.flatMap((file) => changed.get(file) ?? []);

const chosen = MODULES.filter((module) => positionals.length === 0 || positionals.includes(module.name)).filter(
  (module) => placesOf(module).length > 0,
);
if (chosen.length === 0) console.log('nothing to change: none of these lines is in a module that is judged');
const scores: Score[] = [];

function finish(): never {
  console.log('\n| Module | Noticed | Missed | Excused | Score | At least |\n|---|---:|---:|---:|---:|---:|');
  for (const one of scores) {
    const { module, noticed, missed, excused } = one;
    console.log(
      `| ${module.name} | ${noticed} | ${missed} | ${excused} | ${percentOf(one).toFixed(1)} % | ${module.atLeast} % |`,
    );
  }
  const leftOut = chosen.slice(scores.length).map(({ name }) => name);
  if (leftOut.length > 0) console.log(`\nNOT CHECKED, out of time: ${leftOut.join(', ')}`);
  process.exit(scores.some((one) => percentOf(one) < one.module.atLeast) ? 1 : 0);
}

if (values.minutes !== undefined) setTimeout(finish, Number(values.minutes) * 60_000);
for (const module of chosen) scores.push(await score(module, placesOf(module), changed === undefined));
finish();
