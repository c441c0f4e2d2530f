/**
 * The workers, each with one set's users: a thread and messages. The only file that knows: sets of `evenkeel/isolation`
 * can stand in its place.
 */
import { Worker } from 'node:worker_threads';
import type { Counts } from './counts.js';

export interface CrewOptions {
  workerFile: string;
  users: number;
  sets: number;
  /** Where the draws begin: another one for each resumed run. */
  seed: number;
}

export interface Crew {
  /** Has set `place` offer so many requests; one order at a time. Rejects when its worker dies. */
  run(place: number, offered: number): Promise<Counts>;
  close(): Promise<void>;
}

/** What a worker is made with. */
export interface Post extends Omit<CrewOptions, 'workerFile'> {
  place: number;
}

function order(worker: Worker, place: number, offered: number): Promise<Counts> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
    };
    const onMessage = (counts: Counts): void => {
      done();
      resolve(counts);
    };
    const onError = (error: unknown): void => {
      done();
      reject(error);
    };
    const onExit = (code: number): void => onError(new Error(`the worker of set ${place} ended, exit code ${code}`));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(offered);
  });
}

export function startCrew({ workerFile, users, sets, seed }: CrewOptions): Crew {
  const workers = Array.from(
    { length: sets },
    (_, place) => new Worker(workerFile, { workerData: { users, sets, seed, place } satisfies Post }),
  );
  return {
    run: (place, offered) => order(workers[place] as Worker, place, offered),
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
