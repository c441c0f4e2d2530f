import { Worker } from 'node:worker_threads';
import { isRejected, isTimeout, type ResilienceEvent } from 'evenkeel';
import { createSets, isMessageLost, type Sets, type SetsOptions } from 'evenkeel/isolation';
import { afterEach, vi } from 'vitest';

/** What the sets of a test have told. */
export const events: ResilienceEvent[] = [];
const opened: Sets[] = [];

/** One set '0' with one worker, unless `options` say otherwise; closed after the test. */
export function openSets(worker: URL, options: Partial<SetsOptions> = {}): Sets {
  const sets = createSets({ worker, sets: 1, route: () => 0, observer: (event) => events.push(event), ...options });
  opened.push(sets);
  return sets;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((sets) => sets.close({ graceMs: 0 })));
  events.length = 0;
});

export const message = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

/** What became of a call, in a word. */
export const fate = (call: Promise<Uint8Array>): Promise<string> =>
  call.then(
    (bytes) => `answer ${bytes.join()}`,
    (error: unknown) => {
      if (isRejected(error) || isMessageLost(error)) return error.reason;
      return isTimeout(error) ? 'timed out' : String(error);
    },
  );

/** How many calls the sets know of: each is in just one place. */
export function total(sets: Sets): number {
  const { oldestAgeMs, restarts, workers, ...counts } = sets.snapshot()['0'] as never as Record<string, number>;
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

export const eventsOf = (type: ResilienceEvent['type']): ResilienceEvent[] =>
  events.filter((event) => event.type === type);

/** Lets the host go on until `isThere`. */
export async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await new Promise((resolve) => setImmediate(resolve));
}

/** The worker threads that are started from now on, until mocks are restored. */
export function startedWorkers(): Worker[] {
  const started: Worker[] = [];
  const { unref } = Worker.prototype;
  vi.spyOn(Worker.prototype, 'unref').mockImplementation(function (this: Worker) {
    started.push(this);
    this.once('exit', () => {
      if (started.includes(this)) started.splice(started.indexOf(this), 1);
    });
    unref.call(this);
  });
  return started;
}
