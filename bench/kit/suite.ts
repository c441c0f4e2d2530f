import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { resultsDir } from './build.js';
import { MarkedPlace } from './marked-place.js';

export interface Suite {
  rounds: number;
  /** What was asked for beside the options: parts of names. */
  words: readonly string[];
  /** The page that gets the tables. */
  markdown: string | undefined;
  /** Everything as JSON into `results`; the tables into the page, and printed. */
  publish(run: object, tables: string): void;
}

export function wholeRounds(usage: string, given: string): number {
  const rounds = Number(given);
  return Number.isInteger(rounds) && rounds >= 1
    ? rounds
    : usageAndExit(usage, `--rounds must be a whole number ≥ 1, got ${given}`);
}

/**
 * The command line that the suites share: `--rounds`, `--markdown`, `--help`. What makes no sense ends the process with the usage.
 *
 * @param name of the file in `results`, and of the place in the page
 * @param check says what is wrong with the words beside the options; without it there may be none
 */
export function openSuite(
  name: string,
  usage: string,
  defaultRounds: number,
  check?: (words: readonly string[]) => string | undefined,
): Suite {
  const { values, positionals: words } = readArguments(usage, {
    allowPositionals: check !== undefined,
    options: {
      rounds: { type: 'string', default: String(defaultRounds) },
      markdown: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) usageAndExit(usage);
  const problem = check?.(words);
  if (problem !== undefined) usageAndExit(usage, problem);
  const rounds = wholeRounds(usage, values.rounds);
  const { markdown } = values;
  const page = markdown === undefined ? undefined : new MarkedPlace(markdown, name);
  const publish = (run: object, tables: string): void => {
    mkdirSync(resultsDir, { recursive: true });
    writeFileSync(join(resultsDir, `${name}.json`), `${JSON.stringify(run, null, 2)}\n`);
    page?.write(tables);
    console.log(tables);
  };
  return { rounds, words, markdown, publish };
}
