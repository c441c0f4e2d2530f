/** The worker's side, in the thread of the test: `serve` with the rings of a set that has no thread of its own. */
import type { Handler } from 'evenkeel/isolation';
import { createRing, ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/core/time/clock.js';
import {
  Answer,
  bytesOfError,
  CONNECTION,
  type Connection,
  errorOf,
  GivenUp,
  Header,
  Phase,
  REPLY_HEADER_BYTES,
  REQUEST_HEADER_BYTES,
  WorkerStatus,
} from '../../../src/workers/isolation/protocol.js';
import { SharedMemory } from '../../../src/workers/ring-buffer/memory.js';

const thread = vi.hoisted(() => ({ workerData: null as unknown }));
vi.mock('node:worker_threads', async (original) => ({
  ...(await original<object>()),
  get workerData() {
    return thread.workerData;
  },
}));
const { serve } = await import('../../../src/workers/isolation/serve.js');

const CAPACITY = 64;
const REPLIES = 20;
const REPLY_BYTES = 200;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

interface Reply {
  place: number;
  answer: number;
  bytes: Uint8Array;
}

/** The host's side of one worker. */
class Host {
  readonly status = new WorkerStatus();
  readonly givenUp = GivenUp.of(CAPACITY);
  readonly #header = new Header();
  readonly #requests = createRing({ capacity: CAPACITY, slotBytes: REQUEST_HEADER_BYTES + 32 });
  readonly #writer = ringWriter(this.#requests);
  readonly #replyRing = createRing({ capacity: REPLIES, slotBytes: REPLY_HEADER_BYTES + REPLY_BYTES, maxReaders: 1 });
  readonly #replies = ringReader(this.#replyRing);
  #place = 0;

  send(message: Uint8Array, expiresAt = Infinity): number {
    const frame = new Uint8Array(REQUEST_HEADER_BYTES + message.length);
    frame.set(message, REQUEST_HEADER_BYTES);
    this.givenUp.begin(this.#place);
    this.#header.request(frame, this.#place, expiresAt);
    expect(this.#writer.tryWrite(frame)).toBe(true);
    return this.#place++;
  }

  /** As the thread of a worker that was started for this host. */
  serve(handler: Handler): void {
    thread.workerData = { mine: 1, [CONNECTION]: this.connection };
    serve(handler);
  }

  get connection(): Connection {
    return {
      requests: this.#requests,
      givenUp: this.givenUp.buffer,
      replies: this.#replyRing,
      status: this.status.buffer,
      reader: 0,
      messageBytes: 32,
      replyBytes: REPLY_BYTES,
    };
  }

  /** The next replies, as they come. */
  async replies(count: number): Promise<Reply[]> {
    const got: Reply[] = [];
    while (got.length < count) {
      await this.#replies.wait();
      this.#replies.readBatch((frame) => {
        const { place, answer } = this.#header.read(frame, REPLY_HEADER_BYTES);
        got.push({ place, answer, bytes: frame.slice(REPLY_HEADER_BYTES) });
      });
    }
    return got;
  }

  async errorOf(handler: Handler): Promise<Error> {
    this.send(bytes());
    this.serve(handler);
    const [reply] = await this.replies(1);
    expect(reply?.answer).toBe(Answer.ERROR);
    return errorOf(reply?.bytes as Uint8Array);
  }

  /** Has the worker end, as a thread does whose replies nobody takes any more: by an error that nobody catches. */
  async end(): Promise<unknown> {
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    const ended = new Promise((resolve) => process.once('unhandledRejection', resolve));
    for (let i = 0; i <= REPLIES; i++) this.send(bytes());
    try {
      return await ended;
    } finally {
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
  }
}

let host: Host;
beforeEach(() => {
  host = new Host();
  thread.workerData = null;
});

describe('serve', () => {
  afterEach(async () => {
    vi.restoreAllMocks();
    if (host.status.phase !== Phase.STARTING) await host.end();
  });

  it('answers messages one at a time, and says what it is at', async () => {
    const seen: unknown[] = [];
    const places = [host.send(bytes(1, 2)), host.send(bytes(3))];
    host.serve((message) => {
      seen.push([...message], host.status.phase, host.status.place, host.status.beganAt > 0);
      message.fill(9);
      return bytes(message.length);
    });
    expect(await host.replies(2)).toEqual(
      places.map((place, i) => ({ place, answer: Answer.VALUE, bytes: bytes(2 - i) })),
    );
    expect(seen).toEqual([[1, 2], Phase.HANDLING, places[0], true, [3], Phase.HANDLING, places[1], true]);
    while (host.status.phase !== Phase.IDLE) await new Promise(setImmediate);
    // From where it sleeps too.
    host.send(bytes(4, 4, 4));
    expect(await host.replies(1)).toMatchObject([{ place: 2, bytes: bytes(3) }]);
  });

  it('takes a message that comes while it blocks at once, without the event loop', async () => {
    const { wait } = SharedMemory.prototype;
    const blocked = vi.spyOn(SharedMemory.prototype, 'wait').mockImplementationOnce(function (
      this: SharedMemory,
      ...args
    ) {
      host.send(bytes(7));
      return wait.apply(this, args);
    });
    const seen: number[] = [];
    host.serve((message) => {
      seen.push(...message);
      return message;
    });
    expect([blocked.mock.results[0]?.value, seen]).toEqual(['not-equal', [7]]);
    expect(await host.replies(1)).toMatchObject([{ answer: Answer.VALUE, bytes: bytes(7) }]);
  });

  it('waits for a promise before it takes the next message', async () => {
    const order: string[] = [];
    host.send(bytes(1));
    host.send(bytes(2));
    host.serve(async (message) => {
      order.push(`begin ${message}`);
      await new Promise(setImmediate);
      order.push(`end ${message}`);
      return message;
    });
    expect((await host.replies(2)).map((reply) => [...reply.bytes])).toEqual([[1], [2]]);
    expect(order).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  it('begins with nothing that is too old or given up', async () => {
    host.send(bytes(1), 0);
    host.givenUp.add(host.send(bytes(2)));
    host.send(bytes(3));
    const begun: number[] = [];
    host.serve((message) => {
      begun.push(...message);
      return message;
    });
    expect((await host.replies(3)).map(({ answer }) => answer)).toEqual([Answer.SKIPPED, Answer.SKIPPED, Answer.VALUE]);
    expect(begun).toEqual([3]);
  });

  it.each<[string, Handler]>([
    [
      'throws',
      () => {
        throw Object.assign(new RangeError('no room'), { name: 'NoRoomError', stack: 'here' });
      },
    ],
    ['rejects', () => Promise.reject(Object.assign(new Error('no room'), { name: 'NoRoomError', stack: 'here' }))],
  ])('sends the error of a handler that %s', async (_, handler) => {
    const { name, message, stack } = await host.errorOf(handler);
    expect([name, message, stack]).toEqual(['NoRoomError', 'no room', 'here']);
  });

  it.each<[string, unknown, RegExp]>([
    ['what is no answer', 'x', /^TypeError: serve: the handler's answer must be a Uint8Array, got "x"/],
    ['a promise of what is none', Promise.resolve(5), /^TypeError: serve: the handler's answer must be .* got 5/],
    [
      'too long an answer',
      new Uint8Array(201),
      /^RangeError: serve: the handler's answer must be ≤ replyBytes \(200\),/,
    ],
  ])('sends an error instead of %s', async (_, answer, message) => {
    expect(`${await host.errorOf(() => answer as never)}`).toMatch(message);
  });

  it.each([
    [0.5, 1],
    [11, 20],
  ])('of 20 handlers of %d ms each, the host gets a turn after every one that is long: %d', async (tookMs, atLeast) => {
    const { now } = systemClock;
    let nowMs: number | undefined = 0;
    vi.spyOn(systemClock, 'now').mockImplementation(() => nowMs ?? now());
    for (let i = 0; i < 20; i++) host.send(bytes(i));
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns++;
      if (counting) setImmediate(count);
    };
    let turnsAtEnd = 0;
    host.serve(([i]) => {
      if (i === 0) setImmediate(count);
      turnsAtEnd = turns;
      // Before it goes to sleep time has to go on.
      nowMs = i === 19 ? undefined : (nowMs as number) + tookMs;
      return bytes(0);
    });
    await host.replies(20);
    counting = false;
    expect(turnsAtEnd).toBeGreaterThanOrEqual(atLeast - 1);
    expect(turnsAtEnd).toBeLessThan(atLeast + 2);
  });

  it('is refused the second time, outside a worker of a set, and for what is no handler', () => {
    for (const data of [null, undefined, {}]) {
      thread.workerData = data;
      expect(() => serve((message) => message)).toThrow(
        'serve: must be called in a worker that createSets has started',
      );
    }
    expect(() => host.serve('x' as never)).toThrow(new TypeError('serve: handler must be a function, got "x"'));
    host.serve((message) => message);
    expect(() => host.serve((message) => message)).toThrow('serve: must be called only once in a worker');
  });
});

it('a worker that cannot answer ends, so that its messages go to another', async () => {
  host.serve((message) => message);
  expect(String(await host.end())).toContain('serve: the ring of replies is full, which must not be');
});

describe('an error in bytes', () => {
  const passed = (thrown: unknown, maxBytes = 1_000): Error => errorOf(bytesOfError(thrown, maxBytes));

  it('comes back with its name, message and stack', () => {
    const error = new RangeError('too € much');
    const { name, message, stack } = passed(error);
    expect({ name, message, stack }).toEqual({ name: 'RangeError', message: 'too € much', stack: error.stack });
  });

  it('is made of what is none', () => {
    expect([`${passed('text')}`, `${passed(undefined)}`]).toEqual(['Error: text', 'Error: undefined']);
    expect(passed(Object.create(null)).message).toBe('the handler threw what cannot be turned into text');
  });

  it('without a stack has that of where it came in', () => {
    const bare = Object.assign(new Error('bare'), { stack: undefined });
    expect(passed(bare).stack).toContain('serve.test.ts');
  });

  it('is cut to what fits, between characters', () => {
    expect(bytesOfError(new Error('€€€'), 10)).toHaveLength(9);
    expect(passed(new Error('€€€'), 10).message).toBe('€');
    expect(errorOf(bytes())).toMatchObject({ name: '', message: '' });
  });
});
