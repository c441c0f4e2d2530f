import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BackendStatus, Message, Order } from './backend.js';

/** A running back-end. */
export interface BackendProcess {
  url: string;
  /** The latest that it told of itself. */
  status(): BackendStatus;
  setServiceTime(serviceTimeMs: number): void;
  /** Rejects when it ends before `stop`; otherwise stays pending. */
  crashed: Promise<never>;
  /** Resolves when the process is gone. */
  stop(): Promise<void>;
}

/** Starts a fresh back-end and waits until it listens. */
export function startBackend(): Promise<BackendProcess> {
  const child = fork(fileURLToPath(new URL('./backend.ts', import.meta.url)));
  const killNow = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killNow);

  let status: BackendStatus = { queued: 0, served: 0, servedInVain: 0 };
  let stopping = false;
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const crashed = exited.then((code) => {
    process.off('exit', killNow);
    if (stopping) return new Promise<never>(() => {});
    throw new Error(`the back-end ended by itself, exit code ${code}`);
  });

  const started = new Promise<BackendProcess>((resolve) => {
    child.on('message', (message: Message) => {
      if ('status' in message) {
        status = message.status;
        return;
      }
      resolve({
        url: `http://127.0.0.1:${message.port}/`,
        status: () => status,
        setServiceTime: (serviceTimeMs) => child.send({ serviceTimeMs } satisfies Order),
        crashed,
        stop: async () => {
          stopping = true;
          killNow();
          await exited;
        },
      });
    });
  });
  return Promise.race([started, crashed]);
}
