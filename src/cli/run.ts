import { accessSync, constants, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { type Comparison, compareReports, type Report, simulate } from '../testing/index.js';
import { FileError, UsageError, wrongFile } from './errors.js';
import { type Loaded, load } from './load.js';

const USAGE = `evenkeel plays scenarios in virtual time.

  evenkeel simulate <file> [options]         one scenario: its totals; checks the bounds that the file exports
  evenkeel compare <file> <file> [options]   two to five scenarios beside each other

  <file>         a module whose default export is a scenario; its export "expectations" holds the bounds
  <file>#<name>  another export, with its bounds in "<name>Expectations"

  --svg <file>   write a picture
  --json <file>  write the figures
  --seed <n>     play another seed than the file's

Exit code 1: a bound is broken, or the scenario is wrong. 2: called in a wrong way.`;

interface Options {
  svg?: string | undefined;
  json?: string | undefined;
  seed?: string | undefined;
}

/** Runs the command line `args`, prints what it found, and gives the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = readArguments(args);
    const [command, ...files] = positionals;
    if (values.help || command === undefined || command === 'help') {
      console.log(USAGE);
      return 0;
    }
    if (command === 'simulate') return await simulateOne(files, values);
    if (command === 'compare') return await compareAll(files, values);
    throw new UsageError(`there is no command ${command}; there are simulate and compare`);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`evenkeel: ${error.message}`);
      return error.exitCode;
    }
    throw error;
  }
}

function readArguments(args: readonly string[]): {
  values: Options & { help?: boolean | undefined };
  positionals: string[];
} {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { svg: text, json: text, seed: text, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

async function simulateOne(files: readonly string[], options: Options): Promise<number> {
  const [file, ...more] = files;
  if (file === undefined || more.length > 0) throw new UsageError(`simulate takes one file, got ${files.length}`);
  checkOutputs(options);
  const loaded = await load(file);
  const report = await play(loaded, options);
  console.log(report.toText());
  write(options.svg, () => report.toSvg());
  write(options.json, () => `${JSON.stringify(report)}\n`);
  if (loaded.expectations === undefined) {
    console.log('\nNo bounds to check.');
    return 0;
  }
  try {
    report.assert(loaded.expectations);
  } catch (error) {
    // Bounds that are wrong in themselves.
    if (error instanceof TypeError || error instanceof RangeError) throw new FileError(`${file}: ${error.message}`);
    console.error(`\nNot as expected: ${(error as Error).message}`);
    return 1;
  }
  console.log('\nAll as expected.');
  return 0;
}

async function compareAll(files: readonly string[], options: Options): Promise<number> {
  if (files.length < 2 || files.length > 5)
    throw new UsageError(`compare takes two to five files, got ${files.length}`);
  const twice = files.find((file, i) => files.indexOf(file) < i);
  if (twice !== undefined) throw new UsageError(`compare got ${twice} twice`);
  checkOutputs(options);
  const reports: Record<string, Report> = {};
  for (const file of files) reports[file] = await play(await load(file), options);
  const comparison: Comparison = compareReports(reports);
  console.log(comparison.toText());
  write(options.svg, () => comparison.toSvg());
  write(options.json, () => `${JSON.stringify(reports)}\n`);
  return 0;
}

async function play({ spec, scenario }: Loaded, { seed }: Options): Promise<Report> {
  if (seed !== undefined && !/^-?\d+$/.test(seed)) throw new UsageError(`--seed must be a whole number, got ${seed}`);
  const { stderr } = process;
  try {
    return await simulate(seed === undefined ? scenario : { ...scenario, seed: Number(seed) }, {
      // Only with the debug switch: a log would be full of it.
      onProgress: ({ atMs, durationMs }) => {
        if (stderr.isTTY) stderr.write(`\r${spec}: ${Math.round((100 * atMs) / durationMs)} %`);
      },
    });
  } catch (error) {
    throw wrongFile(spec, error);
  } finally {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  }
}

/** Before a long run rather than after it. */
function checkOutputs({ svg, json }: Options): void {
  for (const path of [svg, json]) {
    if (path === undefined) continue;
    try {
      accessSync(dirname(path), constants.W_OK);
    } catch (error) {
      throw cannotWrite(path, error);
    }
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw cannotWrite(path, new Error('it is a folder'));
  }
}

const cannotWrite = (path: string, error: unknown): UsageError =>
  new UsageError(`cannot write ${path}: ${(error as Error).message}`, { cause: error });

function write(path: string | undefined, content: () => string): void {
  if (path === undefined) return;
  try {
    writeFileSync(path, content());
  } catch (error) {
    throw cannotWrite(path, error);
  }
}
