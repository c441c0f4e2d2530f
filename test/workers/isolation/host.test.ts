/** The host's side alone: the test plays the workers, which can do, and die, between any two steps. */
import { EventEmitter, getEventListeners } from 'node:events';
import { isTimeout, type ResilienceEvent } from 'evenkeel';
import type { Sets, SetsOptions } from 'evenkeel/isolation';
import { ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  Answer,
  bytesOfError,
  CONNECTION,
  type Connection,
  GivenUp,
  Header,
  Phase,
  REPLY_HEADER_BYTES,
  REQUEST_HEADER_BYTES,
  WorkerStatus,
} from '../../../src/workers/isolation/protocol.js';

const played = vi.hoisted(() => ({
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
      const { waits } = played;
      let now = 0;
      let closed = false;
      return Object.assign(reader, {
        wait: async (timeoutMs: number) => {
          waits.count++;
          if (closed) waits.closed++;
          if (played.noWaits > 0) return played.noWaits-- > 0;
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
    return played.make(file, options);
  },
}));
vi.mock('../../../src/workers/isolation/protocol.js', async (original) => ({
  ...(await original<object>()),
  sharedClock: () => () => played.now,
}));
const { createSets } = await import('../../../src/workers/isolation/sets.js');

interface PlayedOptions {
  workerData: Record<string, unknown>;
}

class PlayedWorker extends EventEmitter {
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

let clock: ManualClock;
let events: ResilienceEvent[];
let opened: Sets[];

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

const WORKER = new URL('file:///played.mjs');

/** One set '0' of `workers` that are up. */
function open(options: Partial<SetsOptions> = {}, workers = 1): Sets {
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

const worker = (nth: number): PlayedWorker => played.workers[nth] as PlayedWorker;

const message = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

/** A call, and what has become of it by now. */
function call(sets: Sets, options?: Parameters<Sets['call']>[1]) {
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
const heard = (): Promise<void> => clock.advance(0);

const NOTHING = {
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

describe('a worker', () => {
  it('is started with the options of the user, and what connects it', () => {
    const workerOptions = { workerData: { mine: 1 }, name: 'checker' };
    open({ workerOptions, messageBytes: 100, capacity: 10 }, 2);
    expect(played.workers.map(({ file, keepsProcess }) => [file, keepsProcess])).toEqual([
      [WORKER, false],
      [WORKER, false],
    ]);
    const { options, connection } = worker(1);
    expect(options).toEqual({ name: 'checker', workerData: { mine: 1, evenkeel: connection } });
    expect(connection).toMatchObject({ reader: 1, messageBytes: 100, replyBytes: 100 });
    expect(workerOptions).toEqual({ workerData: { mine: 1 }, name: 'checker' });
  });

  it('has room for answers of 64 bytes, if messages are shorter', () => {
    open({ messageBytes: 3 });
    expect(worker(0).connection).toMatchObject({ messageBytes: 3, replyBytes: 64 });
  });

  it('that dies young is replaced at once, then after waits that double; one that has lived long, at once', async () => {
    open({ restartMinMs: 100, restartMaxMs: 350 });
    const startedAt: number[] = [];
    const { make } = played;
    played.make = (file, options) => {
      startedAt.push(clock.now());
      return make(file, options);
    };
    const waits: number[] = [];
    for (const livesMs of [0, 349, 0, 0, 0, 350, 0, 0]) {
      worker(played.workers.length - 1).is(Phase.IDLE);
      await clock.advance(livesMs);
      const diedAt = clock.now();
      worker(played.workers.length - 1).exit();
      await clock.advance(350);
      waits.push((startedAt.at(-1) as number) - diedAt);
      // Back to when it started, so that the next one is no older than it shall be.
      clock.jump((startedAt.at(-1) as number) - clock.now());
    }
    expect(waits).toEqual([0, 100, 200, 350, 350, 0, 0, 100]);
    expect(events[0]).toEqual({
      type: 'worker_exit',
      policy: 'sets',
      at: 1_000,
      set: '0',
      end: 'exit',
      error: undefined,
    });
  });

  it('that is at one message for too long is ended, not a moment sooner, and once', async () => {
    const sets = open({ messageTimeoutMs: 500, maxKills: 1 });
    const slow = call(sets);
    const next = call(sets);
    worker(0).begin();
    played.now += 499.9;
    await clock.advance(50);
    expect(worker(0).terminations).toBe(0);
    played.now = 5_500;
    await clock.advance(49);
    expect(worker(0).terminations).toBe(0);
    await clock.advance(1);
    expect(worker(0).terminations).toBe(1);
    await clock.advance(1_000);
    expect(worker(0).terminations).toBe(1);
    worker(0).exit();
    await heard();
    expect([slow.fate, next.fate]).toEqual(['set_aside', 'none yet']);
    expect(events).toEqual([
      { type: 'worker_exit', policy: 'sets', at: 2_100, set: '0', end: 'timeout', error: undefined },
      { type: 'message_set_aside', policy: 'sets', at: 2_100, set: '0', kills: 1 },
    ]);
    worker(1).is(Phase.IDLE);
    worker(1).serve(3);
    await clock.advance(50);
    expect(next.fate).toBe('answer 3');
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, done: 1, setAside: 1, restarts: 1 });
  });

  it.each([
    [5, 1],
    [1e6, 100],
  ])('is looked after from time to time: of %s ms for a message, every %s ms', async (messageTimeoutMs, everyMs) => {
    const sets = open({ messageTimeoutMs });
    call(sets);
    call(sets);
    expect(clock.dueTimes()).toEqual([1_000 + everyMs]);
    await clock.advance(everyMs);
    expect(clock.dueTimes()).toEqual([1_000 + 2 * everyMs]);
    // Until nothing is left to look after.
    worker(0).serve();
    worker(0).serve();
    await clock.advance(everyMs);
    expect(clock.waiting).toBe(0);
  });

  it('is looked after in time also when calls come one after the other', async () => {
    const sets = open();
    for (const ms of [0, 40, 40]) {
      await clock.advance(ms);
      call(sets);
      worker(0).serve();
      await vi.waitUntil(() => sets.snapshot()['0']?.inWork === 0, { interval: 1 });
      expect(clock.dueTimes()).toEqual([1_100]);
    }
  });

  it('that was ended for one message and has another by then is not killed by that', async () => {
    const sets = open({ messageTimeoutMs: 500, maxKills: 1 });
    const slow = call(sets);
    const next = call(sets);
    const place = worker(0).begin();
    played.now = 5_500;
    await clock.advance(50);
    worker(0).reply(place, Answer.VALUE, message(1));
    worker(0).begin();
    worker(0).exit();
    await heard();
    expect([slow.fate, next.fate]).toEqual(['answer 1', 'none yet']);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 1, setAside: 0 });
  });

  it('that goes on to its next message while it is looked at is not ended for the last one', async () => {
    const sets = open({ messageTimeoutMs: 500 });
    call(sets);
    worker(0).begin();
    const beganAt = vi.spyOn(WorkerStatus.prototype, 'beganAt', 'get').mockReturnValueOnce(-1e6);
    await clock.advance(50);
    expect(beganAt).toHaveBeenCalledTimes(2);
    beganAt.mockRestore();
    expect(worker(0).terminations).toBe(0);
  });

  it('that is dead is not ended for what it was at', async () => {
    const sets = open({ messageTimeoutMs: 500, maxKills: 9, restartMinMs: 5_000 });
    call(sets);
    for (const nth of [0, 1]) {
      worker(nth).begin();
      worker(nth).exit();
      await heard();
    }
    played.now += 1e6;
    await clock.advance(1_000);
    expect(played.workers.map(({ terminations }) => terminations)).toEqual([0, 0]);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 1, workers: 0 });
  });

  it('that does not start in time is ended', async () => {
    const sets = open({ startTimeoutMs: 200 });
    worker(0).is(Phase.STARTING);
    call(sets);
    await clock.advance(199);
    expect(worker(0).terminations).toBe(0);
    await clock.advance(1);
    expect(worker(0).terminations).toBe(1);
  });

  it('that is idle, or between two messages, is left alone', async () => {
    const sets = open({ messageTimeoutMs: 500, startTimeoutMs: 100 }, 2);
    call(sets);
    worker(0).name(worker(0).claim());
    played.now += 1e6;
    await clock.advance(1_000);
    expect(played.workers.map(({ terminations }) => terminations)).toEqual([0, 0]);
  });
});

describe('a call', () => {
  it('is waiting, in work and done, and ages', async () => {
    const sets = open({ capacity: 3 }, 2);
    worker(1).is(Phase.STARTING);
    const first = call(sets);
    clock.jump(20);
    const second = call(sets);
    clock.jump(5);
    expect(sets.snapshot()).toEqual({ '0': { ...NOTHING, queued: 2, oldestAgeMs: 25 } });
    const place = worker(0).begin();
    expect(sets.snapshot()).toEqual({ '0': { ...NOTHING, queued: 1, inWork: 1, oldestAgeMs: 25 } });
    worker(0).reply(place, Answer.VALUE, message(1, 2));
    worker(0).is(Phase.IDLE);
    // Its replies are waited for: no clock has to move on.
    await vi.waitUntil(() => first.fate !== 'none yet', { interval: 1 });
    expect(first.fate).toBe('answer 1,2');
    expect(sets.snapshot()).toEqual({ '0': { ...NOTHING, queued: 1, oldestAgeMs: 5, done: 1 } });
    worker(0).reply(worker(0).begin(), Answer.ERROR, bytesOfError(new RangeError('no'), 64));
    await clock.advance(100);
    expect(second.fate).toBe('RangeError: no');
    expect(sets.snapshot()).toEqual({ '0': { ...NOTHING, done: 1, failed: 1 } });
  });

  it('that is skipped was too old, or timed out if its own limit is not the longer one', async () => {
    const sets = open({ maxAgeMs: 100 });
    const calls = [Infinity, 101, 100].map((timeoutMs) => call(sets, { timeoutMs }));
    for (const _ of calls) worker(0).reply(worker(0).claim(), Answer.SKIPPED);
    await vi.waitUntil(() => calls.every(({ fate }) => fate !== 'none yet'), { interval: 1 });
    expect(calls.map(({ fate }) => fate)).toEqual(['too_old', 'too_old', 'timed out']);
    const rejected = {
      type: 'rejected',
      at: 1_000,
      policy: 'sets.0',
      reason: 'too_old',
      retryAfterMs: 0,
      shadow: false,
    };
    expect(events).toEqual([rejected, rejected]);
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, droppedByAge: 2, abandoned: 1 });
  });

  it('that no worker has come to is too old just at its age, and not one in work', async () => {
    const sets = open({ maxAgeMs: 300 });
    const calls = [0, 0, 0].map(() => call(sets));
    worker(0).begin();
    calls.push(call(sets, { timeoutMs: 1_000 }));
    const fates = (): string[] => calls.map(({ fate }) => fate);
    played.now += 299;
    await clock.advance(100);
    expect(fates()).toEqual(['none yet', 'none yet', 'none yet', 'none yet']);
    played.now += 1;
    await clock.advance(100);
    expect(fates()).toEqual(['none yet', 'too_old', 'too_old', 'too_old']);
    expect(sets.snapshot()['0']).toMatchObject({ inWork: 1, queued: 0, droppedByAge: 3 });
  });

  it('leaves nothing behind: no timer, no listener', async () => {
    const sets = open();
    const { signal } = new AbortController();
    const done = call(sets, { signal, timeoutMs: 50_000 });
    expect([getEventListeners(signal, 'abort').length, clock.waiting]).toEqual([1, 2]);
    worker(0).serve(1);
    await clock.advance(100);
    expect(done.fate).toBe('answer 1');
    expect([getEventListeners(signal, 'abort').length, clock.waiting]).toEqual([0, 0]);
  });

  it('is given up by its time limit just then, and its message is marked, but not that of another', async () => {
    const sets = open({ capacity: 4 });
    const calls = [40, 80, Infinity].map((timeoutMs) => call(sets, { timeoutMs }));
    const givenUp = new GivenUp(worker(0).connection.givenUp);
    const marked = (): boolean[] => [0, 1, 2].map((place) => givenUp.has(place));
    await clock.advance(39);
    expect(marked()).toEqual([false, false, false]);
    await clock.advance(1);
    expect(marked()).toEqual([true, false, false]);
    expect(calls.map(({ fate }) => fate)).toEqual(['timed out', 'none yet', 'none yet']);
    expect(calls[0]?.error).toMatchObject({ message: expect.stringContaining('40') });
    expect(sets.snapshot()['0']).toMatchObject({ abandoned: 1, queued: 2 });
    worker(0).reply(worker(0).claim(), Answer.SKIPPED);
    worker(0).serve(1);
    worker(0).serve(2);
    await clock.advance(100);
    expect(calls.map(({ fate }) => fate)).toEqual(['timed out', 'answer 1', 'answer 2']);
    expect(marked()).toEqual([true, false, false]);
  });

  it('that no worker comes to is ended by its own limit as the clock of its set says', async () => {
    const sets = open({ messageTimeoutMs: 5 });
    const limited = call(sets, { timeoutMs: 40 });
    played.now += 1e6;
    await clock.advance(39);
    expect(limited.fate).toBe('none yet');
    await clock.advance(1);
    expect(limited.fate).toBe('timed out');
  });

  it('may be made, and refused, by an observer that is told of another', async () => {
    const made: ReturnType<typeof call>[] = [];
    let told = 0;
    const sets: Sets = open({
      capacity: 2,
      maxAgeMs: 100,
      observer: ({ type }) => {
        if (type === 'rejected' && ++told === 1) made.push(call(sets), call(sets));
      },
    });
    call(sets);
    call(sets);
    worker(0).reply(worker(0).claim(), Answer.SKIPPED);
    await vi.waitUntil(() => made.length > 0, { interval: 1 });
    await heard();
    expect(made.map(({ fate }) => fate)).toEqual(['none yet', 'concurrency_limited']);
  });

  it('may be refused with nobody to tell', async () => {
    const sets = createSets({ worker: WORKER, sets: 1, route: () => 0, capacity: 1, clock });
    opened.push(sets);
    call(sets);
    const refused = call(sets);
    await heard();
    expect(refused.fate).toBe('concurrency_limited');
  });

  it('after a pause is heard of as the first one was', async () => {
    const sets = open();
    for (let i = 0; i < 3; i++) {
      const made = call(sets);
      worker(0).serve(i);
      await vi.waitUntil(() => made.fate !== 'none yet', { interval: 1 });
      expect(made.fate).toBe(`answer ${i}`);
    }
  });

  it('leaves its turns to others, however many answers come', async () => {
    const sets = open();
    played.noWaits = 10_000;
    call(sets);
    await new Promise((resolve) => setImmediate(resolve));
    expect(played.noWaits).toBeGreaterThan(9_000);
    played.noWaits = 0;
  });

  it('has its replies waited for once, also after its worker was replaced', async () => {
    const sets = open({ maxKills: 9 });
    call(sets);
    worker(0).begin();
    worker(0).exit();
    await heard();
    worker(1).is(Phase.IDLE);
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      worker(1).serve();
      await clock.advance(100);
      expect(sets.snapshot()['0']).toMatchObject({ inWork: 0, queued: 0 });
      call(sets);
    }
    expect(played.waits).toMatchObject({ most: 1, closed: 0 });
  });

  it('carries the sooner end of its own limit and its set’s', () => {
    const sets = open({ maxAgeMs: 100 });
    for (const timeoutMs of [30, 200]) call(sets, { timeoutMs });
    const ends: number[] = [];
    const header = new Header();
    ringReader(worker(0).connection.requests, { id: 0 }).readBatch((frame) => {
      ends.push(header.read(frame, REQUEST_HEADER_BYTES).expiresAt);
      expect([...frame.subarray(REQUEST_HEADER_BYTES)]).toEqual([7]);
    });
    expect(ends).toEqual([5_030, 5_100]);
  });

  it('is refused when the set is full, until a worker has passed by what was given up', async () => {
    const sets = open({ capacity: 2, maxAgeMs: 1e6 });
    const caller = new AbortController();
    for (let i = 0; i < 2; i++) call(sets, { signal: caller.signal });
    const refused = call(sets);
    await heard();
    expect(refused.error).toMatchObject({ policy: 'sets.0', reason: 'concurrency_limited', retryAfterMs: 0 });
    caller.abort('not any more');
    const again = call(sets);
    await heard();
    expect(again.fate).toBe('concurrency_limited');
    worker(0).reply(worker(0).claim(), Answer.SKIPPED);
    const taken = call(sets);
    worker(0).claim();
    worker(0).serve(5);
    await clock.advance(100);
    expect(taken.fate).toBe('answer 5');
    expect(events.map((event) => 'reason' in event && event.reason)).toEqual([
      'concurrency_limited',
      'concurrency_limited',
    ]);
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, abandoned: 2, refused: 2, done: 1 });
  });
});

describe('bytes', () => {
  it('of the longest message and the longest answer come through, and are nobody else’s', async () => {
    const sets = open({ messageBytes: 40, replyBytes: 16 });
    const longest = Uint8Array.from({ length: 40 }, (_, i) => i);
    const answer = sets.call(longest);
    longest[0] = 99;
    const read = new Uint8Array(100);
    const length = ringReader(worker(0).connection.requests, { id: 0 }).tryRead(read);
    expect([...read.subarray(REQUEST_HEADER_BYTES, length)]).toEqual(Array.from({ length: 40 }, (_, i) => i));
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => 100 + i);
    worker(0).reply(0, Answer.VALUE, bytes);
    await clock.advance(100);
    expect(await answer).toEqual(bytes);
    expect((await answer).buffer.byteLength).toBe(16);
  });

  it('that are none, or no call, are refused with nothing done', async () => {
    const sets = open({
      messageBytes: 4,
      sets: { a: { workers: 1 }, b: { workers: 1 } },
      route: ([first]) => first as number,
    });
    const errorOf = (...args: unknown[]): Promise<string> =>
      sets.call(...(args as Parameters<Sets['call']>)).then(
        () => 'none',
        (error) => String(error),
      );
    expect(await errorOf('x')).toBe('TypeError: call: message must be a Uint8Array, got "x"');
    expect(await errorOf(new Uint8Array(5))).toBe('RangeError: call: message.length must be ≤ messageBytes, 4, got 5');
    for (const timeoutMs of [NaN, 0, -1]) {
      expect(await errorOf(message(0), { timeoutMs })).toBe(
        `RangeError: call: timeoutMs must be a number > 0, got ${timeoutMs}`,
      );
    }
    expect(await errorOf(message(0), { timeoutMs: '5' })).toContain('TypeError: call: timeoutMs must be a number > 0');
    expect(await errorOf(message(0), { signal: null })).toBe(
      'TypeError: call: signal must be an AbortSignal, got null',
    );
    expect(await errorOf(message(0), { signal: {} })).toContain('TypeError: call: signal must be an AbortSignal');
    expect(await errorOf(message(7))).toBe(
      "RangeError: createSets: route must be a function that returns one of 'a', 'b', got 7",
    );
    expect(await errorOf(message(7), { signal: AbortSignal.abort('before') })).toBe('before');
    expect(sets.snapshot()).toEqual({ a: { ...NOTHING }, b: { ...NOTHING } });
  });

  it('go to the set that the route names', async () => {
    const sets = open({ sets: 3, route: ([first]) => first as number });
    for (const set of [2, 0, 2]) void sets.call(message(set)).catch(() => {});
    expect(Object.entries(sets.snapshot()).map(([name, { queued }]) => [name, queued])).toEqual([
      ['0', 1],
      ['1', 0],
      ['2', 2],
    ]);
  });
});

describe('a message whose worker dies', () => {
  const phases: [string, (dying: PlayedWorker) => void, number][] = [
    ['before it has named it', (dying) => void dying.claim(), 0],
    ['before it has begun', (dying) => dying.name(dying.claim()), 0],
    ['at it', (dying) => void dying.begin(), 1],
  ];

  it.each(phases)('%s goes to another worker, in which it is killed or not', async (_, die, kills) => {
    const sets = open({ maxKills: 2 }, 2);
    const lost = call(sets);
    die(worker(0));
    worker(0).emit('error', new Error('why'));
    worker(0).exit();
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, queued: 1, restarts: 1 });
    worker(1).begin();
    worker(1).exit();
    await heard();
    expect(lost.fate).toBe(kills === 1 ? 'set_aside' : 'none yet');
    expect(events.slice(0, 1)).toEqual([
      { type: 'worker_exit', policy: 'sets', at: 1_000, set: '0', end: 'exit', error: new Error('why') },
    ]);
    if (kills === 1) {
      expect(lost.error).toMatchObject({ set: 'sets.0', kills: 2, reason: 'set_aside' });
      return;
    }
    worker(2).is(Phase.IDLE);
    worker(2).serve(4);
    await clock.advance(100);
    expect(lost.fate).toBe('answer 4');
  });

  it('is answered if it said so before, and nothing is tried again', async () => {
    const sets = open();
    const calls = [call(sets), call(sets)];
    worker(0).reply(worker(0).begin(), Answer.VALUE, message(1));
    worker(0).exit();
    await heard();
    expect(calls.map(({ fate }) => fate)).toEqual(['answer 1', 'none yet']);
    expect(sets.snapshot()['0']).toMatchObject({ done: 1, queued: 1 });
  });

  it('is left to a living worker that may have it, and looked for soon again', async () => {
    const sets = open({}, 2);
    const calls = [call(sets), call(sets)];
    worker(0).claim();
    const place = worker(1).claim();
    worker(0).exit();
    // Either may have either.
    expect(sets.snapshot()['0']).toMatchObject({ queued: 0, inWork: 2 });
    expect(clock.dueTimes()).toEqual([1_000, 1_001]);
    await clock.advance(1);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 0, inWork: 2 });
    expect(clock.dueTimes()).toEqual([1_002]);
    worker(1).name(place);
    await clock.advance(1);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 1, inWork: 1 });
    expect(clock.dueTimes()).toEqual([1_102]);
    worker(1).reply(place, Answer.VALUE, message(2));
    worker(1).serve(1);
    await clock.advance(100);
    expect(calls.map(({ fate }) => fate)).toEqual(['answer 1', 'answer 2']);
  });

  it('is not looked for again where a living worker claims, but nothing is missing', () => {
    const sets = open({}, 2);
    call(sets);
    worker(1).is(Phase.CLAIMING);
    clock.jump(10);
    worker(0).exit();
    expect(clock.dueTimes()).toEqual([1_010, 1_100]);
  });

  it('is not looked for while nobody has died', async () => {
    const sets = open();
    call(sets);
    worker(0).claim();
    await clock.advance(100);
    expect(clock.dueTimes()).toEqual([1_200]);
  });

  it('is not tried again when it was given up', async () => {
    const sets = open({ maxKills: 1 });
    const caller = new AbortController();
    const given = call(sets, { signal: caller.signal });
    worker(0).begin();
    caller.abort('not any more');
    worker(0).exit();
    await clock.advance(100);
    expect(given.fate).toBe('not any more');
    expect(events.map(({ type }) => type)).toEqual(['worker_exit']);
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, workers: 0, abandoned: 1, restarts: 1 });
    expect(clock.waiting).toBe(0);
  });
});

describe('workers that do not start', () => {
  it('fail what waits, and what comes, until one of them is up', async () => {
    const sets = open({ restartMinMs: 200, restartMaxMs: 200 }, 2);
    for (const one of played.workers) one.is(Phase.STARTING);
    const waits = call(sets);
    worker(0).exit(3);
    await heard();
    // The other one may start still.
    expect(waits.fate).toBe('none yet');
    worker(1).exit(3);
    await heard();
    expect(waits.fate).toBe('worker_lost');
    expect(String((waits.error as Error).cause)).toBe(
      'Error: the worker ended with exit code 3 before it called serve',
    );
    // Started at once, they are not up yet.
    const refused = call(sets);
    await heard();
    expect(refused.error).toMatchObject({ policy: 'sets.0', reason: 'no_instance', retryAfterMs: 0 });
    await clock.advance(50);
    worker(2).exit(3);
    await clock.advance(30);
    worker(3).exit(3);
    const later = call(sets);
    await heard();
    expect(later.error).toMatchObject({ reason: 'no_instance', retryAfterMs: 170 });
    await clock.advance(170);
    expect(played.workers).toHaveLength(5);
    worker(4).is(Phase.IDLE);
    const accepted = call(sets);
    worker(4).reply(worker(4).claim(), Answer.SKIPPED);
    worker(4).serve(9);
    await clock.advance(100);
    expect(accepted.fate).toBe('answer 9');
    expect(sets.snapshot()['0']).toMatchObject({ refused: 2, workerLost: 1, done: 1, restarts: 4, workers: 1 });
  });

  it('say that they had not called serve in time', async () => {
    const sets = open({ startTimeoutMs: 50 });
    worker(0).is(Phase.STARTING);
    const waits = call(sets);
    await clock.advance(100);
    worker(0).exit();
    await heard();
    expect(String((waits.error as Error).cause)).toBe('Error: the worker did not call serve within startTimeoutMs, 50');
    expect(events[0]).toMatchObject({ end: 'start_timeout' });
  });

  it('since the host has no thread to give are tried again', async () => {
    const sets = open({ restartMinMs: 200 });
    const { make } = played;
    played.make = () => {
      throw new Error('no thread');
    };
    const waits = call(sets);
    worker(0).exit();
    await heard();
    expect(waits.fate).toBe('worker_lost');
    expect(events.map((event) => 'error' in event && event.error)).toEqual([undefined, new Error('no thread')]);
    played.make = make;
    await clock.advance(200);
    expect(played.workers).toHaveLength(2);
  });
});

describe('close', () => {
  it('hears the last answers, fails the rest, and leaves no timer', async () => {
    const sets = open({}, 2);
    const answered = call(sets);
    const lost = call(sets);
    worker(0).exit();
    await heard();
    worker(2).is(Phase.IDLE);
    // The next one would come in 100 ms.
    worker(2).exit();
    const place = worker(1).begin();
    const closed = sets.close({ graceMs: 0 });
    await heard();
    expect(played.workers.map(({ terminations }) => terminations)).toEqual([0, 1, 0]);
    worker(1).reply(place, Answer.VALUE, message(1));
    worker(1).exit();
    await closed;
    expect([answered.fate, lost.fate]).toEqual(['answer 1', 'worker_lost']);
    expect(lost.error).toMatchObject({
      message: 'set sets.0 has no answer to the message: the sets were closed before it was answered',
    });
    expect(events.map(({ type }) => type)).toEqual(['worker_exit', 'worker_exit']);
    expect(clock.waiting).toBe(0);
    const late = call(sets);
    await heard();
    expect(late.error).toMatchObject({ policy: 'sets.0', reason: 'no_instance', retryAfterMs: 0 });
    expect(sets.snapshot()['0']).toEqual({
      ...NOTHING,
      workers: 0,
      done: 1,
      workerLost: 1,
      restarts: 2,
      refused: 1,
    });
  });

  it('waits for its grace, ten seconds unless told, and no longer than for the calls', async () => {
    const sets = open();
    call(sets);
    void sets.close();
    expect(clock.dueTimes()).toEqual([1_100, 11_000]);
    await clock.advance(9_999);
    expect(worker(0).terminations).toBe(0);
    await clock.advance(1);
    expect(worker(0).terminations).toBe(1);
  });

  it('of sets with nothing to do takes no time, and of bad grace is refused', async () => {
    const sets = open();
    await expect(sets.close({ graceMs: -1 })).rejects.toThrow(
      new RangeError('close: graceMs must be a number ≥ 0, got -1'),
    );
    expect(worker(0).terminations).toBe(0);
    const closed = sets.close();
    await heard();
    expect([worker(0).terminations, clock.now(), clock.waiting]).toEqual([1, 1_000, 0]);
    worker(0).exit();
    await closed;
  });

  it('may be asked for twice', async () => {
    const sets = open();
    const last = call(sets);
    const closed = [sets.close(), sets.close()];
    await heard();
    expect(worker(0).terminations).toBe(0);
    worker(0).serve(1);
    await clock.advance(100);
    worker(0).exit();
    await Promise.all(closed);
    expect([last.fate, clock.waiting]).toEqual(['answer 1', 0]);
  });

  it('ends the workers with the last call', async () => {
    const sets = open();
    const last = call(sets);
    const closed = sets.close();
    worker(0).serve(1);
    await clock.advance(100);
    expect([last.fate, worker(0).terminations, clock.waiting]).toEqual(['answer 1', 1, 0]);
    worker(0).exit();
    await closed;
  });
});

describe('the process', () => {
  /** What keeps it; a wait for replies does so, too. */
  const holds = new Set<unknown>();
  beforeEach(() => {
    holds.clear();
    const { setInterval, clearInterval } = globalThis;
    vi.stubGlobal('setInterval', (...args: Parameters<typeof setInterval>) => {
      const hold = setInterval(...args);
      holds.add(hold);
      return hold;
    });
    vi.stubGlobal('clearInterval', (hold: ReturnType<typeof setInterval>) => {
      holds.delete(hold);
      clearInterval(hold);
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const someTurns = async (enough: () => boolean = () => false): Promise<void> => {
    for (const until = performance.now() + 200; !enough() && performance.now() < until; ) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it('is kept while a call waits and no worker is there to keep it', async () => {
    const sets = open({ restartMinMs: 300, maxKills: 9 });
    const first = call(sets);
    expect(holds.size).toBe(1);
    worker(0).begin();
    worker(0).exit();
    await heard();
    worker(1).is(Phase.IDLE);
    worker(1).begin();
    worker(1).exit();
    await someTurns();
    expect(holds.size).toBe(1);
    await clock.advance(300);
    worker(2).is(Phase.IDLE);
    worker(2).serve(1);
    await clock.advance(100);
    expect(first.fate).toBe('answer 1');
    await someTurns(() => holds.size === 0);
    expect(holds.size).toBe(0);
    worker(2).exit();
    expect(holds.size).toBe(0);
    const waiting = call(sets);
    expect(holds.size).toBe(1);
    await clock.advance(600);
    worker(3).is(Phase.IDLE);
    worker(3).serve(2);
    await clock.advance(100);
    expect(waiting.fate).toBe('answer 2');
    await someTurns(() => holds.size === 0);
    expect(holds.size).toBe(0);
  });

  it('is not kept by the set while one of its workers is there', async () => {
    const sets = open({}, 2);
    worker(0).exit();
    call(sets);
    // The wait for the replies of the other one.
    expect(holds.size).toBe(1);
  });
});
