/** The host's side alone: the test plays the workers, which can do, and die, between any two steps. */
import { EventEmitter } from 'node:events';
import { isTimeout, type ResilienceEvent } from 'evenkeel';
import type { Sets, SetsOptions } from 'evenkeel/isolation';
import { ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import {
  Answer,
  CONNECTION,
  type Connection,
  Header,
  Phase,
  REPLY_HEADER_BYTES,
  REQUEST_HEADER_BYTES,
  WorkerStatus,
} from '../../../src/workers/isolation/protocol.js';

const hoisted = vi.hoisted(() => ({
  workers: [] as PlayedWorker[],
  make: undefined as unknown as (file: unknown, options: PlayedOptions) => PlayedWorker,
  /** What all threads' clock shows. */
  now: 0,
  /** Waits for messages: how many there are, were at most at once with one reader, and of closed readers. */
  waits: { count: 0, most: 0, closed: 0 },
  /** So many waits are none, as when a message has come just before. */
  noWaits: 0,
}));
vi.mock('../../../src/workers/ring-buffer/index.js', async (original) => {
  const real = await original<{ ringReader: typeof ringReader }>();
  return {
    ...real,
    ringReader: (...args: Parameters<typeof ringReader>) => {
      const reader = real.ringReader(...args);
      const [wait, close] = [reader.wait.bind(reader), reader.close.bind(reader)];
      const { waits } = hoisted;
      let now = 0;
      let closed = false;
      return Object.assign(reader, {
        wait: async (timeoutMs: number) => {
          waits.count++;
          if (closed) waits.closed++;
          if (hoisted.noWaits > 0) return hoisted.noWaits-- > 0;
          waits.most = Math.max(waits.most, ++now);
          const found = await wait(timeoutMs);
          now--;
          return found;
        },
        close: () => {
          closed = true;
          close();
        },
      });
    },
  };
});
vi.mock('node:worker_threads', async (original) => ({
  ...(await original<object>()),
  Worker: function Worker(file: unknown, options: PlayedOptions) {
    return hoisted.make(file, options);
  },
}));
vi.mock('../../../src/workers/isolation/protocol.js', async (original) => ({
  ...(await original<object>()),
  sharedClock: () => () => hoisted.now,
}));
export const played = hoisted;
export const { createSets } = await import('../../../src/workers/isolation/sets.js');

interface PlayedOptions {
  workerData: Record<string, unknown>;
}

export class PlayedWorker extends EventEmitter {
  keepsProcess = true;
  terminations = 0;
  readonly connection: Connection;
  readonly #status: WorkerStatus;
  readonly #header = new Header();
  #requests: ReturnType<typeof ringReader> | undefined;
  #replies: ReturnType<typeof ringWriter> | undefined;

  constructor(
    readonly file: unknown,
    readonly options: PlayedOptions,
  ) {
    super();
    this.connection = options.workerData[CONNECTION] as Connection;
    this.#status = new WorkerStatus(this.connection.status);
  }

  unref(): void {
    this.keepsProcess = false;
  }

  /** The host's wish; the thread ends when the test says so. */
  terminate(): Promise<void> {
    this.terminations++;
    return new Promise((resolve) => this.once('exit', () => resolve()));
  }

  is(phase: number): void {
    this.#status.phase = phase;
  }

  /** Takes a message out of the ring, and says nothing. */
  claim(): number {
    this.is(Phase.CLAIMING);
    const bytes = new Uint8Array(REQUEST_HEADER_BYTES + this.connection.messageBytes);
    this.#requests ??= ringReader(this.connection.requests, { id: this.connection.reader, takeOver: true });
    expect(this.#requests.tryRead(bytes)).toBeGreaterThanOrEqual(0);
    return this.#header.read(bytes, REQUEST_HEADER_BYTES).place;
  }

  name(place: number): void {
    this.#status.claimed(place);
  }

  /** Takes the next message and begins with it. */
  begin(at = played.now): number {
    const place = this.claim();
    this.name(place);
    this.#status.handling(at);
    return place;
  }

  reply(place: number, answer: number, bytes: Uint8Array = new Uint8Array()): void {
    const frame = new Uint8Array(REPLY_HEADER_BYTES + bytes.length);
    this.#header.reply(frame, place, answer);
    frame.set(bytes, REPLY_HEADER_BYTES);
    this.#replies ??= ringWriter(this.connection.replies);
    expect(this.#replies.tryWrite(frame)).toBe(true);
  }

  /** Does the next message. */
  serve(...bytes: number[]): void {
    this.reply(this.begin(), Answer.VALUE, Uint8Array.from(bytes));
    this.is(Phase.IDLE);
  }

  exit(code = 1): void {
    this.emit('exit', code);
  }
}

export let clock: ManualClock;
export let events: ResilienceEvent[];
export let opened: Sets[];

beforeEach(() => {
  clock = manualClock(1_000);
  events = [];
  opened = [];
  played.workers = [];
  played.now = 5_000;
  played.waits = { count: 0, most: 0, closed: 0 };
  played.noWaits = 0;
  played.make = (file, options) => {
    const worker = new PlayedWorker(file, options);
    played.workers.push(worker);
    return worker;
  };
});

afterEach(async () => {
  const closed = opened.map((sets) => sets.close({ graceMs: 0 }));
  await clock.advance(0);
  for (const worker of played.workers) worker.exit();
  await Promise.all(closed);
});

export const WORKER = new URL('file:///played.mjs');

/** One set '0' of `workers` that are up. */
export function open(options: Partial<SetsOptions> = {}, workers = 1): Sets {
  const sets = createSets({
    worker: WORKER,
    sets: { '0': { workers } },
    route: () => '0',
    observer: (event) => events.push(event),
    clock,
    ...options,
  });
  opened.push(sets);
  for (const worker of played.workers) worker.is(Phase.IDLE);
  return sets;
}

export const worker = (nth: number): PlayedWorker => played.workers[nth] as PlayedWorker;

export const message = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

/** A call, and what has become of it by now. */
export function call(sets: Sets, options?: Parameters<Sets['call']>[1]) {
  const made = { fate: 'none yet', error: undefined as unknown };
  sets.call(message(7), options).then(
    (bytes) => {
      made.fate = `answer ${bytes.join()}`;
    },
    (error) => {
      made.error = error;
      made.fate = isTimeout(error) ? 'timed out' : (error?.reason ?? String(error));
    },
  );
  return made;
}

/** Lets the host hear what was said, with no time passing. */
export const heard = (): Promise<void> => clock.advance(0);

export const NOTHING = {
  queued: 0,
  inWork: 0,
  oldestAgeMs: 0,
  done: 0,
  failed: 0,
  refused: 0,
  droppedByAge: 0,
  setAside: 0,
  workerLost: 0,
  abandoned: 0,
  restarts: 0,
  workers: 1,
};
