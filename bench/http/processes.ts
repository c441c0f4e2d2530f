/** The processes of a run: a server, its upstream, the load generator. None outlives this one. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Order, Report } from './load.js';
import type { ServerMessage } from './serve.js';

/** What has not answered by then is stuck. */
const ANSWER_MS = 60_000;

class Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #kill = (): void => {
    this.#process.kill('SIGKILL');
  };

  constructor(file: string, args: readonly string[]) {
    this.#name = `${file} ${args.join(' ')}`;
    this.#process = fork(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    process.once('exit', this.#kill);
  }

  /** The next message; rejects if the process ends first, or takes too long. */
  next<M>(): Promise<M> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#process.off('message', onMessage).off('exit', onExit);
      };
      const onMessage = (message: unknown): void => {
        done();
        resolve(message as M);
      };
      const onExit = (code: number | null): void => {
        done();
        reject(new Error(`${this.#name} ended by itself, exit code ${code}`));
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`${this.#name} has not answered for ${ANSWER_MS / 1_000} s`));
      }, ANSWER_MS);
      this.#process.on('message', onMessage).on('exit', onExit);
    });
  }

  ask<M>(order: object): Promise<M> {
    this.#process.send(order);
    return this.next<M>();
  }

  stop(): Promise<void> {
    process.off('exit', this.#kill);
    return new Promise((resolve) => {
      this.#process.once('exit', () => resolve());
      this.#kill();
    });
  }
}

export interface ServerProcess {
  port: number;
  /** CPU time of the process so far. */
  cpuMs(): Promise<number>;
  stop(): Promise<void>;
}

export async function startServer(dir: string, file: string, ...args: string[]): Promise<ServerProcess> {
  const child = new Child(join(dir, file), args);
  const { port } = await child.next<Extract<ServerMessage, { port: number }>>();
  return {
    port,
    cpuMs: async () => (await child.ask<Extract<ServerMessage, { cpuMs: number }>>({})).cpuMs,
    stop: () => child.stop(),
  };
}

export interface LoadProcess {
  run(order: Order): Promise<Report>;
  stop(): Promise<void>;
}

export function startLoad(dir: string): LoadProcess {
  const child = new Child(join(dir, 'load.js'), []);
  return { run: (order) => child.ask<Report>(order), stop: () => child.stop() };
}
