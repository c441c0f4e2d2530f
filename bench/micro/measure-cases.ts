/** Runs each case in processes of its own, in rounds. */
import { type Case, type Group, idOf } from '../kit/case.js';
import { ask, rotated } from '../kit/measure.js';
import { Progress } from '../kit/progress.js';
import { type CaseResult, newCaseResult, newRun, type Run } from '../kit/results.js';
import { groups } from './cases/index.js';
import type { Measure } from './worker.js';

/** MB: room for a batch of the greediest case without a collection. */
const YOUNG_MB = 128;

const NODE_FLAGS: Record<Measure, string[]> = {
  time: [],
  bytes: ['--expose-gc', `--min-semi-space-size=${YOUNG_MB}`, `--max-semi-space-size=${YOUNG_MB}`],
};

/** The processes that measure: on the library as it is now, and on 0.1.0 where that can be had. */
export interface Workers {
  now: string;
  base?: string | undefined;
}

const measureCase = ({ now, base = now }: Workers, measure: Measure, { id, kind }: CaseResult): Promise<number> =>
  ask(kind === 'base' ? base : now, [measure, id], NODE_FLAGS[measure]);

/** The groups with a case that fits, whole: ratios need the floor and the peers. */
export function chosenGroups(words: readonly string[]): Group[] {
  if (words.length === 0) return groups;
  return groups.filter((group) =>
    group.cases.some((one) => words.some((word) => idOf(group, one).toLowerCase().includes(word.toLowerCase()))),
  );
}

/** @param options `title` goes before what the progress line says. */
export async function measureAll(
  workers: Workers,
  chosen: readonly Group[],
  { rounds, bytesRounds, title = '' }: { rounds: number; bytesRounds: number; title?: string },
): Promise<Run> {
  const run = newRun(rounds);
  run.cases = chosen.flatMap((group) =>
    group.cases
      .filter(({ kind }) => kind !== 'base' || workers.base !== undefined)
      .map((made: Case) => newCaseResult(group, made)),
  );
  const progress = new Progress(run.cases.length * (rounds + bytesRounds));
  for (let round = 0; round < rounds; round++) {
    for (const result of rotated(run.cases, round, rounds)) {
      progress.step(`${title}round ${round + 1} of ${rounds} · ${result.id}`);
      result.nsByRound.push(await measureCase(workers, 'time', result));
    }
  }
  for (let round = 0; round < bytesRounds; round++) {
    for (const result of run.cases) {
      progress.step(`${title}bytes a call, round ${round + 1} of ${bytesRounds} · ${result.id}`);
      result.bytesByRound.push(await measureCase(workers, 'bytes', result));
    }
  }
  progress.end();
  return run;
}
