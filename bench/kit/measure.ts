/** A figure from a process of its own, and the order in which a round takes them. */
import { fork } from 'node:child_process';

/** A worker that has not ended by then is stuck. */
const WORKER_MS = 60_000;

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

/** Each round begins elsewhere, and every other one runs backwards, so that no case always follows the same one. */
export function rotated<T>(items: readonly T[], round: number, rounds: number): T[] {
  const from = Math.floor((items.length * round) / rounds);
  const order = [...items.slice(from), ...items.slice(0, from)];
  return round % 2 === 0 ? order : order.reverse();
}
