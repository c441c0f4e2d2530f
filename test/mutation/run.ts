import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Stryker } from '@stryker-mutator/core';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { changedLines } from './changed-lines.js';
import { EXCUSES, excuseOf, type Place } from './excuses.js';
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
const SRC = join(ROOT, 'src');

interface Score {
  module: Module;
  noticed: number;
  /** Without those that are excused. */
  missed: number;
  /** Missed as well, and excuses.ts has the reason. */
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
    reporters: ['html'],
    htmlReporter: { fileName: `coverage/mutation/${module.name}.html` },
    ignorePatterns: ['dist', 'coverage', 'bench', 'demo', 'docs/figures'],
    disableTypeChecks: true,
    allowConsoleColors: false,
    cleanTempDir: 'always',
  }).runMutationTest();
  const count = (...states: string[]): number => results.filter(({ status }) => states.includes(status)).length;
  const missed = results.filter(({ status }) => status === 'Survived' || status === 'NoCoverage').map(toPlace);
  const excuses = missed.map((one) => excuseOf(one, sourceOf(one.file)));
  const unexcused = missed.filter((_, i) => excuses[i] === undefined);
  for (const one of unexcused) console.log(missedText(one));
  // A change that nobody noticed in the rest of a file would need them.
  if (whole) {
    for (const one of EXCUSES.filter(({ file }) => module.files.includes(`src/${file}`))) {
      if (!excuses.includes(one)) console.log(`no longer needed in excuses.ts: ${one.file}: ${one.code}`);
    }
  }
  return {
    module,
    // The last: a test file does not load.
    noticed: count('Killed', 'Timeout', 'RuntimeError'),
    missed: unexcused.length,
    excused: missed.length - unexcused.length,
  };
}

type MutantResult = Awaited<ReturnType<Stryker['runMutationTest']>>[number];

interface Missed extends Place {
  status: string;
  replacement: string;
}

const toPlace = ({ fileName, mutatorName, location, status, replacement }: MutantResult): Missed => ({
  file: relative(SRC, resolve(ROOT, fileName)).replaceAll('\\', '/'),
  mutator: mutatorName,
  line: location.start.line,
  column: location.start.column,
  status,
  replacement,
});

const sourceOf = (file: string): string => readFileSync(join(SRC, file), 'utf8');

function missedText({ file, mutator, line, column, status, replacement }: Missed): string {
  const source = sourceOf(file).split('\n')[line - 1] ?? '';
  return `${status}: src/${file}:${line}:${column} ${mutator}\n- ${source.trim()}\n+ ${source.slice(0, column - 1).trimStart()}${replacement}`;
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
