/** `npm run bench`: runs each case in processes of its own, in rounds, and reports. */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildWorker, resultsDir } from './build.js';
import { type Case, type Group, idOf } from './case.js';
import { groups } from './cases/index.js';
import { chart } from './chart.js';
import { Progress } from './progress.js';
import { markdown } from './report.js';
import { newCaseResult, newRun, type Run } from './results.js';
import { verdicts } from './targets.js';
import type { Measure } from './worker.js';

const USAGE = `npm run bench -- [part of a group's or case's name …]
  --rounds <n>       default 7
  --markdown <file>  put the tables between the lines "${'<!-- bench -->'}" and "${'<!-- /bench -->'}" of the file
  --strict           exit 1 when a target is missed
  --list             name the cases
`;
const BEGIN = '<!-- bench -->';
const END = '<!-- /bench -->';
/** A worker that has not ended by then is stuck. */
const WORKER_MS = 60_000;
/** MB: room for a batch of the greediest case without a collection. */
const YOUNG_MB = 128;

const BYTES_ROUNDS = 3;

const NODE_FLAGS: Record<Measure, string[]> = {
  time: [],
  bytes: ['--expose-gc', `--min-semi-space-size=${YOUNG_MB}`, `--max-semi-space-size=${YOUNG_MB}`],
};

function usageError(text: string): never {
  console.error(`${text}\n\n${USAGE}`);
  process.exit(2);
}

function measureInWorker(worker: string, measure: Measure, id: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let result: number | undefined;
    const child = fork(worker, [measure, id], { execArgv: NODE_FLAGS[measure], timeout: WORKER_MS });
    child.on('message', (message) => {
      result = message as number;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0 && result !== undefined) resolve(result);
      else reject(new Error(`${id}: the worker ended with ${signal ?? code}`));
    });
  });
}

/** The groups with a case that fits, whole: ratios need the floor and the peers. */
function chosenGroups(words: readonly string[]): Group[] {
  if (words.length === 0) return groups;
  return groups.filter((group) =>
    group.cases.some((one) => words.some((word) => idOf(group, one).toLowerCase().includes(word.toLowerCase()))),
  );
}

/** Each round begins elsewhere, and every other one runs backwards, so that no case always follows the same one. */
function rotated<T>(items: readonly T[], round: number, rounds: number): T[] {
  const from = Math.floor((items.length * round) / rounds);
  const order = [...items.slice(from), ...items.slice(0, from)];
  return round % 2 === 0 ? order : order.reverse();
}

async function measureAll(worker: string, chosen: readonly Group[], rounds: number): Promise<Run> {
  const run = newRun(rounds);
  run.cases = chosen.flatMap((group) => group.cases.map((made: Case) => newCaseResult(group, made)));
  const bytesRounds = Math.min(rounds, BYTES_ROUNDS);
  const progress = new Progress(run.cases.length * (rounds + bytesRounds));
  for (let round = 0; round < rounds; round++) {
    for (const result of rotated(run.cases, round, rounds)) {
      progress.step(`round ${round + 1} of ${rounds} · ${result.id}`);
      result.nsByRound.push(await measureInWorker(worker, 'time', result.id));
    }
  }
  for (let round = 0; round < bytesRounds; round++) {
    for (const result of run.cases) {
      progress.step(`bytes a call, round ${round + 1} of ${bytesRounds} · ${result.id}`);
      result.bytesByRound.push(await measureInWorker(worker, 'bytes', result.id));
    }
  }
  progress.end();
  return run;
}

/** `file` before and after the place for the tables; ends the program where there is none. */
function aroundTables(file: string): [before: string, after: string] {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : `${BEGIN}\n${END}\n`;
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END, begin);
  if (begin < 0 || end < 0) usageError(`${file} must have the lines "${BEGIN}" and "${END}"`);
  return [text.slice(0, begin), text.slice(end)];
}

function writeTables(file: string, tables: string): void {
  const [before, after] = aroundTables(file);
  writeFileSync(file, `${before}${BEGIN}\n\n${tables}\n${after}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '7' },
      markdown: { type: 'string' },
      strict: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) usageError('--rounds must be a whole number ≥ 1');
  const chosen = chosenGroups(positionals);
  if (chosen.length === 0) usageError(`no case is named like ${positionals.join(', ')}; --list names them`);
  if (values.help) return console.log(USAGE);
  if (values.list) return console.log(chosen.flatMap((group) => group.cases.map((one) => idOf(group, one))).join('\n'));

  // Better to hear of it now than after minutes; read again then, since the file may have been edited meanwhile.
  if (values.markdown !== undefined) aroundTables(values.markdown);
  const run = await measureAll(await buildWorker(), chosen, rounds);
  const tables = markdown(run);
  mkdirSync(resultsDir, { recursive: true });
  writeFileSync(join(resultsDir, 'bench.json'), `${JSON.stringify(run, null, 2)}\n`);
  writeFileSync(join(resultsDir, 'bench.svg'), chart(run));
  if (values.markdown !== undefined) writeTables(values.markdown, tables);
  console.log(tables);
  console.error(`also in ${resultsDir}: bench.json, bench.svg`);
  if (values.strict && verdicts(run).some((one) => one.missedByRatio > 0)) process.exitCode = 1;
}

await main();
