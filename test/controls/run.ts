/**
 * Negative controls: plants each of CONTROLS in src as the tests load it, never in the tree, and wants a test to fail.
 * `npm run test:controls -- <word>` runs those with the word in their name or file.
 */
import { fileURLToPath } from 'node:url';
import { startVitest, type TestCase } from 'vitest/node';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { CONTROLS, type Control, isStale } from './controls.js';

const USAGE = `npm run test:controls -- [word …]
  Plants known bugs one by one; tests must fail. With words, only those bugs that have all of them in their text or file.
`;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Far longer than any test here takes. A thread that is kept busy for ever is beyond it: choose tests that come to an end. */
const HANGS_AFTER_MS = 20_000;

interface Run {
  failed: string[];
  /** What kept test files from being loaded. */
  broken: string[];
}

/** Runs `tests`, with `control` planted. */
async function run(tests: readonly string[], control?: Control): Promise<Run> {
  const plant = {
    name: 'plant',
    enforce: 'pre' as const,
    transform(code: string, id: string): string | undefined {
      return control !== undefined && id.split('?')[0] === `${ROOT}src/${control.file}`
        ? code.replace(control.find, () => control.replace)
        : undefined;
    },
  };
  const files = tests.map((test) => `${ROOT}test/${test}`);
  const vitest = await startVitest(
    'test',
    files,
    {
      root: ROOT,
      watch: false,
      bail: control === undefined ? 0 : 1,
      maxWorkers: control === undefined ? 2 : 1,
      // What a bug makes hang has been noticed, too.
      ...(control !== undefined && { testTimeout: HANGS_AFTER_MS, hookTimeout: HANGS_AFTER_MS }),
      reporters: [{}],
      typecheck: { enabled: false },
    },
    { plugins: [plant] },
  );
  const modules = vitest.state.getTestModules();
  const nameOf = (test: TestCase): string => `${test.module.relativeModuleId}: ${test.fullName}`;
  const found: Run = {
    failed: modules.flatMap((one) => [...one.children.allTests('failed')].map(nameOf)),
    broken: modules.flatMap((one) => one.errors().map((error) => `${one.relativeModuleId}: ${error.message}`)),
  };
  if (modules.length < files.length && control === undefined) found.broken.push('not all test files were found');
  await vitest.close();
  // Failing tests are what is wanted here.
  process.exitCode = 0;
  return found;
}

const { values, positionals } = readArguments(USAGE, {
  allowPositionals: true,
  options: { help: { type: 'boolean', default: false } },
});
if (values.help) usageAndExit(USAGE);
const chosen = CONTROLS.filter(({ bug, file }) => positionals.every((word) => `${bug} ${file}`.includes(word)));
if (chosen.length === 0) usageAndExit(USAGE, `no bug or file has ${positionals.join(' and ')} in its name`);
const problems: string[] = [];

const before = await run([...new Set(chosen.flatMap(({ tests }) => tests))]);
for (const problem of [...before.failed, ...before.broken]) problems.push(`fails with no bug planted: ${problem}`);

for (const control of chosen) {
  if (isStale(control)) {
    problems.push(`${control.bug}: its find is not once in src/${control.file}: ${control.find}`);
    continue;
  }
  const { failed, broken } = await run(control.tests, control);
  if (broken.length > 0) problems.push(`${control.bug}: cannot be planted: ${broken[0]}`);
  else if (failed.length === 0) problems.push(`${control.bug}: no test noticed`);
  else console.log(`caught  ${control.bug}\n        by ${failed[0]}`);
}

for (const problem of problems) console.error(`\n${problem}`);
console.log(`\n${chosen.length - problems.length} of ${chosen.length} bugs caught`);
process.exit(problems.length > 0 ? 1 : 0);
