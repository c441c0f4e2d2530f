/** Runs each case in processes of its own, in rounds. */
import { fork } from 'node:child_process';
import { type Case, type Group, idOf } from './case.js';
import { groups } from './cases/index.js';
import { Progress } from './progress.js';
import { newCaseResult, newRun, type Run } from './results.js';
import type { Measure } from './worker.js';

/** A worker that has not ended by then is stuck. */
const WORKER_MS = 60_000;
/** MB: room for a batch of the greediest case without a collection. */
const YOUNG_MB = 128;

const NODE_FLAGS: Record<Measure, string[]> = {
  time: [],
  bytes: ['--expose-gc', `--min-semi-space-size=${YOUNG_MB}`, `--max-semi-space-size=${YOUNG_MB}`],
};

/** The figures that a fresh process, given `args`, comes to. */
export function ask<T = number>(worker: string, args: readonly string[], nodeFlags: string[]): Promise<T> {
  return new Promise((resolve, reject) => {
    let result: T | undefined;
    const child = fork(worker, args, { execArgv: nodeFlags, timeout: WORKER_MS });
    child.on('message', (message) => {
      result = message as T;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0 && result !== undefined) resolve(result);
      else reject(new Error(`${args.join(' ')}: the worker ended with ${signal ?? code}`));
    });
  });
}

const measureCase = (worker: string, measure: Measure, id: string): Promise<number> =>
  ask(worker, [measure, id], NODE_FLAGS[measure]);

/** The groups with a case that fits, whole: ratios need the floor and the peers. */
export function chosenGroups(words: readonly string[]): Group[] {
  if (words.length === 0) return groups;
  return groups.filter((group) =>
    group.cases.some((one) => words.some((word) => idOf(group, one).toLowerCase().includes(word.toLowerCase()))),
  );
}

/** Each round begins elsewhere, and every other one runs backwards, so that no case always follows the same one. */
export function rotated<T>(items: readonly T[], round: number, rounds: number): T[] {
  const from = Math.floor((items.length * round) / rounds);
  const order = [...items.slice(from), ...items.slice(0, from)];
  return round % 2 === 0 ? order : order.reverse();
}

/** @param options `title` goes before what the progress line says. */
export async function measureAll(
  worker: string,
  chosen: readonly Group[],
  { rounds, bytesRounds, title = '' }: { rounds: number; bytesRounds: number; title?: string },
): Promise<Run> {
  const run = newRun(rounds);
  run.cases = chosen.flatMap((group) => group.cases.map((made: Case) => newCaseResult(group, made)));
  const progress = new Progress(run.cases.length * (rounds + bytesRounds));
  for (let round = 0; round < rounds; round++) {
    for (const result of rotated(run.cases, round, rounds)) {
      progress.step(`${title}round ${round + 1} of ${rounds} · ${result.id}`);
      result.nsByRound.push(await measureCase(worker, 'time', result.id));
    }
  }
  for (let round = 0; round < bytesRounds; round++) {
    for (const result of run.cases) {
      progress.step(`${title}bytes a call, round ${round + 1} of ${bytesRounds} · ${result.id}`);
      result.bytesByRound.push(await measureCase(worker, 'bytes', result.id));
    }
  }
  progress.end();
  return run;
}
