/**
 * Sets: each class of messages has a queue and workers of its own, so that what kills or stalls its workers can only
 * hurt its own class. Source: Tencent's article on isolating QQ's back-end services ("set" is its word).
 */
import type { WorkerOptions } from 'node:worker_threads';
import { rejectSoon } from '../../core/call/promises.js';
import type { Observer } from '../../core/events.js';
import { checkNumber, invalid, OptionReader } from '../../core/options/validate.js';
import type { CommonOptions } from '../../core/policy.js';
import { type Clock, systemClock, type TimerHandle } from '../../core/time/clock.js';
import type { SetCallOptions } from './call.js';
import { isBytes } from './protocol.js';
import type { SetSnapshot } from './snapshot.js';
import { type SetSettings, WorkerSet } from './worker-set.js';

/** Options of {@link createSets}. */
export interface SetsOptions<S extends string = string> extends Pick<CommonOptions, 'name' | 'clock' | 'observer'> {
  /** The file that the workers run; it calls {@link serve}. */
  worker: URL | string;
  /** The sets by name, or how many there are with one worker each, named '0', '1' …; 1 to 32 workers a set. */
  sets: number | Readonly<Record<S, { workers: number }>>;
  /** Which set a message goes to: its name or number. */
  route: (message: Uint8Array) => S | number;
  /** A worker that has been at one message for longer is ended, ms, > 0. @default 10_000 */
  messageTimeoutMs?: number | undefined;
  /** A message that has waited longer than this is refused as too old, ms, > 0. @default Infinity */
  maxAgeMs?: number | undefined;
  /** Calls that a set holds at most, waiting and in work; more are refused. Whole, 1 to 2^20. @default 1024 */
  capacity?: number | undefined;
  /** The longest message, in bytes. Whole, 1 to 2^24. @default 1024 */
  messageBytes?: number | undefined;
  /** The longest answer, in bytes. Whole, 16 to 2^24. @default messageBytes, or 64 */
  replyBytes?: number | undefined;
  /** A message is set aside once it has killed so many workers; up to then it is tried again. Whole, ≥ 1. @default 2 */
  maxKills?: number | undefined;
  /** A worker that has not called `serve` after this time is ended, ms, > 0. @default 10_000 */
  startTimeoutMs?: number | undefined;
  /** How long to wait before the second worker that dies young is replaced; doubles with each, ms, > 0. @default 100 */
  restartMinMs?: number | undefined;
  /**
   * The longest such wait, and how old a worker has to get for the next one to be replaced at once, ms. @default 10_000
   */
  restartMaxMs?: number | undefined;
  /** Options of Node's `Worker`; `workerData`, if any, must be a plain object. @default {} */
  workerOptions?: Readonly<Record<string, unknown>> | undefined;
}

/** Groups of workers, each behind a queue of its own. */
export interface Sets {
  /**
   * Has a worker of the message's set answer it. The bytes are copied.
   *
   * Rejects with a {@link RejectedError} when the set is full (`concurrency_limited`), the message has waited too long
   * (`too_old`), or the sets are closed or the set's workers do not start (`no_instance`); with a
   * {@link MessageLostError} when it killed its workers, the sets were closed over it, or no worker started for it;
   * with the signal's reason or a {@link TimeoutError} when it was given up; else with what the handler threw. A
   * message may be worked on more than once: its worker may have died after the work.
   *
   * @throws nothing; bad input rejects with TypeError or RangeError
   */
  call(message: Uint8Array, options?: SetCallOptions): Promise<Uint8Array>;
  /** Each set by its name. */
  snapshot(): Record<string, SetSnapshot>;
  /**
   * Takes no more calls, waits for those that are under way, and ends the workers.
   * @param options `graceMs`: calls that take longer are ended with a {@link MessageLostError}; ≥ 0, @default 10_000
   */
  close(options?: { graceMs?: number | undefined }): Promise<void>;
}

class WorkerSets implements Sets {
  readonly #route: (message: Uint8Array) => string | number;
  readonly #messageBytes: number;
  readonly #clock: Clock;
  readonly #sets: ReadonlyMap<string, WorkerSet>;

  constructor(options: SetsOptions) {
    const read = new OptionReader('createSets', options);
    const capacity = read.number('capacity', 1_024, { min: 1, max: 2 ** 20, integer: true });
    const messageBytes = read.number('messageBytes', 1_024, { min: 1, max: 2 ** 24 - 64, integer: true });
    const restartMinMs = read.number('restartMinMs', 100, { above: 0 });
    const settings: SetSettings = {
      name: read.name('sets'),
      clock: read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']),
      observer: read.fn<Observer>('observer') ?? (() => {}),
      worker: readWorker(read),
      workerOptions: readWorkerOptions(read),
      capacity,
      messageBytes,
      replyBytes: read.number('replyBytes', Math.max(messageBytes, 64), { min: 16, max: 2 ** 24 - 64, integer: true }),
      messageTimeoutMs: read.number('messageTimeoutMs', 10_000, { above: 0 }),
      maxAgeMs: read.number('maxAgeMs', Infinity, { above: 0, infinite: true }),
      maxKills: read.number('maxKills', 2, { min: 1, integer: true }),
      startTimeoutMs: read.number('startTimeoutMs', 10_000, { above: 0 }),
      restartMinMs,
      restartMaxMs: read.number('restartMaxMs', 10_000, { min: restartMinMs }),
    };
    const sizes = readSizes(read);
    this.#route = read.fn('route') ?? invalid('createSets', 'route', 'a function', undefined, true);
    read.done();
    this.#clock = settings.clock;
    this.#messageBytes = messageBytes;
    this.#sets = new Map(sizes.map(([name, workers]) => [name, new WorkerSet(name, workers, settings)]));
  }

  call(message: Uint8Array, options: SetCallOptions = {}): Promise<Uint8Array> {
    try {
      if (!isBytes(message)) invalid('call', 'message', 'a Uint8Array', message, true);
      if (message.length > this.#messageBytes) {
        invalid('call', 'message.length', `≤ messageBytes, ${this.#messageBytes}`, message.length);
      }
      const { signal, timeoutMs = Infinity } = options;
      checkNumber('call', 'timeoutMs', timeoutMs, { above: 0, infinite: true });
      if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
        invalid('call', 'signal', 'an AbortSignal', signal, true);
      }
      const name = this.#route(message);
      if (signal?.aborted) return rejectSoon(signal.reason);
      const set = this.#sets.get(String(name));
      if (set === undefined)
        return invalid('createSets', 'route', `a function that returns one of ${this.#names()}`, name);
      return set.call(message, signal, timeoutMs);
    } catch (error) {
      return rejectSoon(error);
    }
  }

  snapshot(): Record<string, SetSnapshot> {
    return Object.fromEntries([...this.#sets].map(([name, set]) => [name, set.snapshot()]));
  }

  async close(options: { graceMs?: number } = {}): Promise<void> {
    const graceMs = checkNumber('close', 'graceMs', options.graceMs ?? 10_000, { min: 0, infinite: true });
    const sets = [...this.#sets.values()];
    let timer: TimerHandle;
    const grace = new Promise<void>((resolve) => {
      timer = this.#clock.setTimer(resolve, graceMs);
    });
    await Promise.race([Promise.all(sets.map((set) => set.drained())), grace]);
    this.#clock.clearTimer(timer);
    await Promise.all(sets.map((set) => set.close()));
  }

  #names(): string {
    return [...this.#sets.keys()].map((name) => `'${name}'`).join(', ');
  }
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readWorker(read: OptionReader): URL | string {
  const worker = read.whatever('worker');
  if (worker instanceof URL || (typeof worker === 'string' && worker !== '')) return worker;
  return invalid(read.owner, 'worker', "the URL of a file, as new URL('./worker.js', import.meta.url)", worker, true);
}

function readWorkerOptions(read: OptionReader): WorkerOptions {
  const options = read.whatever('workerOptions', {});
  if (!isPlainObject(options)) return invalid(read.owner, 'workerOptions', 'an object', options, true);
  const { workerData = {} } = options;
  if (!isPlainObject(workerData)) invalid(read.owner, 'workerOptions.workerData', 'a plain object', workerData, true);
  return { ...options };
}

/** The names of the sets, and how many workers each has. */
function readSizes(read: OptionReader): [name: string, workers: number][] {
  const sets = read.whatever('sets');
  if (typeof sets === 'number') {
    const count = checkNumber(read.owner, 'sets', sets, { min: 1, max: 1_024, integer: true });
    return Array.from({ length: count }, (_, i) => [String(i), 1]);
  }
  if (!isPlainObject(sets) || Object.keys(sets).length === 0) {
    return invalid(read.owner, 'sets', 'a number, or an object of { workers } by name', sets, true);
  }
  return Object.entries(sets).map(([name, size]) => {
    const option = `sets.${name}`;
    if (!isPlainObject(size)) return invalid(read.owner, option, 'an object of { workers }', size, true);
    return [name, checkNumber(read.owner, `${option}.workers`, size.workers, { min: 1, max: 32, integer: true })];
  });
}

/**
 * Starts the workers of all sets. They do not keep the process alive; calls that are under way do.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function createSets<S extends string = string>(options: SetsOptions<S>): Sets {
  return new WorkerSets(options as SetsOptions);
}
