/** The two ends one call at a time: what each costs, and what it leaves behind. */
import {
  createRing,
  type RingOptions,
  type RingReaderOptions,
  type RingWriterOptions,
  ringReader,
  ringWriter,
} from 'evenkeel/ring-buffer';
import { manualClock } from 'evenkeel/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/core/time/clock.js';
import { Batch } from '../../../src/workers/ring-buffer/batch.js';
import { attach, READ, SLEEPERS, WRITE } from '../../../src/workers/ring-buffer/layout.js';
import { SharedMemory } from '../../../src/workers/ring-buffer/memory.js';
import { Pace } from '../../../src/workers/ring-buffer/pace.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const many = (n: number): Uint8Array[] => Array.from({ length: n }, (_, i) => bytes(i));

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

function open({ capacity = 4, ...options }: { capacity?: number } & RingWriterOptions & RingReaderOptions = {}) {
  const ring = createRing({ capacity, slotBytes: 8 });
  const clock = manualClock(1_000);
  const { maxAgeMs = Infinity, ...ofWriter } = options;
  return {
    ring,
    clock,
    words: new Int32Array(ring),
    writer: ringWriter(ring, { clock, ...ofWriter }),
    reader: ringReader(ring, { clock, maxAgeMs }),
    another: () => ringReader(ring, { clock }),
  };
}

describe('the memory', () => {
  it.each<[RingOptions, number]>([
    [{ capacity: 1, slotBytes: 1, maxReaders: 1 }, 320 + 24],
    [{ capacity: 3, slotBytes: 8, maxReaders: 8 }, 320 + 4 * 24],
    [{ capacity: 4, slotBytes: 9, maxReaders: 9 }, 384 + 4 * 32],
    [{ capacity: 5, slotBytes: 16 }, 384 + 8 * 32],
    [{ capacity: 8, slotBytes: 17, maxReaders: 32 }, 512 + 8 * 40],
  ])('of %o has %i bytes', (options, size) => {
    const ring = createRing(options);
    expect(ring.byteLength).toBe(size);
    const header = [0x6576656e, 1, options.capacity, options.slotBytes, options.maxReaders ?? 16];
    expect([...new Int32Array(ring, 0, 6)]).toEqual([...header, 0]);
    expect(attach('test', ring).shape).toEqual({
      capacity: options.capacity,
      mask: 2 ** Math.ceil(Math.log2(options.capacity)) - 1,
      slotBytes: options.slotBytes,
      maxReaders: options.maxReaders ?? 16,
    });
  });

  const RING = 'test: buffer must be a ring of createRing: ';
  it.each<[string, [number, number][], string]>([
    ['no capacity', [[2, 0]], 'capacity 0, slotBytes 8, maxReaders 16'],
    ['no slots', [[3, 0]], 'capacity 4, slotBytes 0, maxReaders 16'],
    ['no readers', [[4, 0]], 'capacity 4, slotBytes 8, maxReaders 0'],
    ['too many readers', [[4, 33]], 'capacity 4, slotBytes 8, maxReaders 33'],
    ['another size', [[2, 5]], 'it has 480 bytes, its header means 576'],
    ['another version', [[1, 3]], 'its layout has version 3, expected 1'],
    ['another kind', [[0, 3]], 'its first word is wrong'],
    ['more in it than fit', [[WRITE, 5]], '5 unread of 4'],
    ['less than nothing in it', [[READ, 1]], '-1 unread of 4'],
  ])('is refused with %s', (_, words, message) => {
    const ring = createRing({ capacity: 4, slotBytes: 8 });
    for (const [at, value] of words) new Int32Array(ring)[at] = value;
    expect(() => attach('test', ring)).toThrow(new RangeError(RING + message));
  });

  it('is refused when it is too small for a header, or no ring at all', () => {
    expect(() => attach('test', new SharedArrayBuffer(319))).toThrow(new RangeError(`${RING}it has 319 bytes`));
    expect(() => attach('test', new SharedArrayBuffer(320))).toThrow(new RangeError(`${RING}its first word is wrong`));
    const message = 'test: buffer must be a SharedArrayBuffer of createRing, got Null';
    expect(() => attach('test', null as never)).toThrow(new TypeError(message));
    expect(() => createRing({ capacity: 128, slotBytes: 2 ** 24 })).toThrow(
      new RangeError(
        'createRing: a capacity of 128 with slotBytes of 16777216 takes 2147486080 bytes, must be ≤ 2147483647',
      ),
    );
  });

  it('is a ring when it is full, also when it moves while it is looked at', () => {
    const { ring, writer, reader } = open();
    writer.writeBatch(many(4));
    expect(() => attach('test', ring)).not.toThrow();
    const { load } = Atomics;
    let moves = true;
    const moving = (all: Int32Array, at: number): number => {
      const value = load(all, at);
      // The other threads go on between the two looks.
      if (at === READ && moves) {
        moves = false;
        reader.readBatch(() => {}, 2);
        writer.writeBatch(many(2));
      }
      return value;
    };
    vi.stubGlobal('Atomics', Object.assign(Object.create(Atomics), { load: moving }));
    expect(() => attach('test', ring)).not.toThrow();
  });

  it.each([
    [1, 8, 1],
    [4, 8, 4],
    [100, 8, 32],
    [100, 4_096, 15],
    [100, 2 ** 20, 1],
  ])('of a batch: with a capacity of %i, of %i bytes each, %i messages', (capacity, slotBytes, size) => {
    const batch = new Batch(capacity, slotBytes);
    expect([batch.size, batch.bytes.length]).toEqual([size, size * (16 + slotBytes)]);
  });
});

describe('a batch', () => {
  it('is claimed 32 at a time, with a pause in between, as long as there are any', () => {
    const { writer, reader } = open({ capacity: 128 });
    const gather = vi.spyOn(Pace.prototype, 'gather');
    const isEmpty = vi.spyOn(Pace.prototype, 'isEmpty');
    writer.writeBatch(many(100));
    expect(reader.readBatch(() => {}, 40)).toBe(40);
    expect([gather.mock.calls, isEmpty.mock.calls.length]).toEqual([[[32]], 0]);
    gather.mockClear();
    const seen: number[] = [];
    expect(reader.readBatch((view) => seen.push(view[0] as number), Infinity)).toBe(60);
    expect(seen).toEqual(Array.from({ length: 60 }, (_, i) => 40 + i));
    expect([gather.mock.calls, isEmpty.mock.calls.length]).toEqual([[[32], [28]], 1]);
  });

  it('ends where its callback closes the reader', () => {
    const { writer, reader } = open({ capacity: 128 });
    writer.writeBatch(many(100));
    expect(reader.readBatch(() => reader.close())).toBe(32);
  });

  it.each([0, 1.5, -1, Number.NaN])('of at most %d is refused', (max) => {
    const { reader } = open();
    expect(() => reader.readBatch(() => {}, max)).toThrow(
      new RangeError(`ringReader: max must be a whole number ≥ 1, got ${max}`),
    );
  });

  it('of more than 64 is published part by part, and what does not fit is counted', () => {
    const { writer, reader, words } = open({ capacity: 100 });
    const cas = vi.spyOn(SharedMemory.prototype, 'cas');
    expect(writer.writeBatch(many(130))).toBe(100);
    expect(cas.mock.calls.filter(([word]) => word === WRITE).map(([, from, to]) => [from, to])).toEqual([
      [0, 64],
      [64, 100],
    ]);
    expect(writer.stats()).toMatchObject({ written: 100, rejected: 30, unread: 100 });
    expect([writer.writeBatch([]), words[WRITE]]).toEqual([0, 100]);
    reader.close();
  });

  it('of which more is held than asked for is handed out as asked for', () => {
    const { writer, reader } = open();
    writer.writeBatch(many(4));
    const fails = (): void => {
      throw new Error('first');
    };
    expect(() => reader.readBatch(fails)).toThrow('first');
    writer.writeBatch(many(1));
    expect([reader.readBatch(() => {}, 1), reader.stats().held, writer.stats().unread]).toEqual([1, 2, 1]);
    expect([reader.readBatch(() => {}, 9), reader.stats().held]).toEqual([3, 0]);
  });

  it('of which a part is held needs no wait', async () => {
    const { ring, writer } = open();
    const reader = ringReader(ring);
    writer.writeBatch(many(2));
    expect(() => reader.readBatch(() => void reader.tryRead([] as never))).toThrow('into must be a Uint8Array');
    expect([writer.stats().unread, reader.stats().held, await reader.wait(0), reader.waitSync(0)]).toEqual([
      0,
      1,
      true,
      true,
    ]);
    expect(() => reader.tryRead(undefined as never)).toThrow('ringReader: into must be a Uint8Array, got undefined');
  });

  it('of which a part was held is read into what just holds it', () => {
    const { writer, reader } = open();
    writer.writeBatch([bytes(1), bytes(2, 2), bytes(3)], 500);
    const fails = (): void => {
      throw new Error('first');
    };
    expect(() => reader.readBatch(fails)).toThrow('first');
    expect(() => reader.tryRead(new Uint8Array(1))).toThrow(
      new RangeError('ringReader: the message has 2 bytes, into has room for 1'),
    );
    expect([reader.tryRead(new Uint8Array(2)), reader.receivedAt, reader.stats()]).toEqual([
      2,
      500,
      { read: 2, tooOld: 0, held: 1, lostClaims: 0 },
    ]);
  });
});

describe('a writer', () => {
  it('that finds the ring full wakes nobody and sets no timer', async () => {
    const { writer, another, clock } = open({ flushMs: 5 });
    writer.writeBatch(many(4));
    await clock.advance(5);
    expect(clock.waiting).toBe(0);
    expect([writer.writeBatch(many(1)), writer.tryWrite(bytes(1)), clock.waiting]).toEqual([0, false, 0]);
    expect(writer.stats()).toMatchObject({ written: 4, rejected: 2, wakes: 0 });
    // But it looks after what it writes next.
    another().readBatch(() => {});
    writer.tryWrite(bytes(1));
    expect(clock.waiting).toBe(1);
  });

  it('that takes over looks after what the one before has left, if it has', () => {
    const { ring, writer, clock } = open();
    ringWriter(ring, { takeOver: true, clock });
    expect(clock.waiting).toBe(0);
    const former = ringWriter(ring, { takeOver: true, clock });
    expect(() => writer.tryWrite(bytes(1))).toThrow('another writer has taken over');
    former.tryWrite(bytes(1));
    expect(clock.waiting).toBe(1);
    ringWriter(ring, { takeOver: true, clock });
    expect(clock.waiting).toBe(2);
  });

  it('knows how old the oldest is that nobody has claimed', () => {
    const { writer, reader, clock } = open();
    expect(writer.stats().oldestAgeMs).toBe(0);
    writer.tryWrite(bytes(1), 990);
    writer.tryWrite(bytes(2), 1_010);
    clock.jump(5);
    expect(writer.stats().oldestAgeMs).toBe(15);
    reader.tryRead(new Uint8Array(8));
    // Received in 5 ms from now, as somebody said.
    expect(writer.stats().oldestAgeMs).toBe(0);
    reader.tryRead(new Uint8Array(8));
    clock.jump(50);
    expect(writer.stats()).toMatchObject({ oldestAgeMs: 0, unread: 0 });
  });

  it("knows that in its own thread's time", () => {
    const writer = ringWriter(createRing({ capacity: 1, slotBytes: 8 }));
    writer.tryWrite(bytes(1), systemClock.now() - 50);
    expect(Math.floor(writer.stats().oldestAgeMs / 3_600_000)).toBe(0);
    expect(writer.stats().oldestAgeMs).toBeGreaterThanOrEqual(49);
    writer.close();
  });

  it('that closes or flushes wakes those below the threshold, once, and keeps no timer', async () => {
    const { writer, another, clock, words } = open({ wakeThreshold: 3, wakeCount: 2 });
    const waiting = Array.from({ length: 5 }, another);
    const waits = waiting.map((reader) => reader.wait());
    writer.tryWrite(bytes(1));
    expect([writer.stats().wakes, clock.waiting]).toEqual([0, 1]);
    writer.flush();
    expect(writer.stats().wakes).toBe(2);
    const last = [another(), another(), another()].map((reader) => reader.waitSync(0));
    expect(last).toEqual([true, true, true]);
    writer.close();
    writer.close();
    expect([writer.stats().wakes, clock.waiting, words[SLEEPERS]]).toEqual([4, 0, 1 << (waiting[4]?.id ?? 0)]);
    waiting[4]?.close();
    expect(await Promise.all(waits)).toEqual([true, true, true, true, false]);
    for (const call of [() => writer.tryWrite(bytes(1)), () => writer.writeBatch([]), () => writer.flush()])
      expect(call).toThrow(new Error('ringWriter: closed'));
  });

  it('names what it refuses', () => {
    const { writer } = open();
    const refused = (call: () => unknown): string => {
      try {
        return String(call());
      } catch (error) {
        return String(error);
      }
    };
    expect([
      refused(() => writer.tryWrite(undefined as never)),
      refused(() => writer.writeBatch([bytes(1), 'two' as never])),
      refused(() => writer.writeBatch([new Uint8Array(9)])),
      refused(() => writer.tryWrite(bytes(1), 'now' as never)),
      refused(() => writer.tryWrite(bytes(1), Infinity)),
      refused(() => writer.tryWrite(new Uint8Array(8))),
    ]).toEqual([
      'TypeError: ringWriter: bytes must be a Uint8Array, got undefined',
      'TypeError: ringWriter: list[1] must be a Uint8Array, got "two"',
      'RangeError: ringWriter: list[0].length must be ≤ slotBytes, 8, got 9',
      'TypeError: ringWriter: receivedAt must be a finite number, got "now"',
      'RangeError: ringWriter: receivedAt must be a finite number, got Infinity',
      'true',
    ]);
  });
});

describe('a place', () => {
  it('that is taken is refused by name', () => {
    const ring = createRing({ capacity: 4, slotBytes: 8, maxReaders: 2 });
    const how = 'the place of a reader whose thread has exited is had by { id, takeOver: true }';
    ringReader(ring, { id: 1 });
    expect(() => ringReader(ring, { id: 1 })).toThrow(new Error(`ringReader: place 1 is taken; ${how}`));
    expect(ringReader(ring).id).toBe(0);
    ringReader(ring, { id: 1, takeOver: true }).close();
    // Not the next one that is free.
    expect(() => ringReader(ring, { id: 0 })).toThrow(new Error(`ringReader: place 0 is taken; ${how}`));
    expect(ringReader(ring).id).toBe(1);
    expect(() => ringReader(ring)).toThrow(new Error(`ringReader: all 2 places for readers are taken; ${how}`));
    expect(() => ringReader(ring, { takeOver: true })).toThrow(
      'ringReader: takeOver must be given with the id of the dead reader, got true',
    );
    ringWriter(ring);
    expect(() => ringWriter(ring)).toThrow(
      new Error('ringWriter: this ring has a writer; when its thread has exited, attach with { takeOver: true }'),
    );
  });

  it('counts its holders: two for one that is taken over, one for one that is free', () => {
    const { ring, words } = open();
    const [writer, reader] = [49, 64];
    expect([words[writer], words[reader]]).toEqual([1, 1]);
    const again = [ringWriter(ring, { takeOver: true }), ringReader(ring, { id: 0, takeOver: true })];
    expect([words[writer], words[reader]]).toEqual([3, 3]);
    for (const end of again) end.close();
    expect([words[writer], words[reader]]).toEqual([4, 4]);
    ringWriter(ring, { takeOver: true });
    ringReader(ring, { id: 0, takeOver: true });
    expect([words[writer], words[reader], words[66]]).toEqual([5, 5, 0]);
  });

  it('is still its own for a reader that closes twice', () => {
    const { reader, words } = open();
    reader.close();
    reader.close();
    expect(words[64]).toBe(2);
  });
});

describe('a reader that blocks its thread', () => {
  /** A host in whose time each sleep takes as long as it may, or so long. */
  function host(sleepMs = Infinity) {
    let nowMs = 1_000;
    vi.spyOn(systemClock, 'now').mockImplementation(() => nowMs);
    const wait = vi.spyOn(SharedMemory.prototype, 'wait').mockImplementation((_word, _expected, timeoutMs) => {
      // A loop that never ends fails.
      if (wait.mock.calls.length > 100) throw new Error('no end');
      nowMs += Math.min(sleepMs, timeoutMs);
      return 'ok';
    });
    const timeouts = (): number[] => wait.mock.calls.map(([, , timeoutMs]) => timeoutMs);
    return { wait, timeouts, pass: (ms: number) => (nowMs += ms) };
  }

  it('sleeps for what is left of its time, and looks once more', () => {
    const { reader } = open();
    const { timeouts, pass, wait } = host(4);
    expect([reader.waitSync(10), timeouts()]).toEqual([false, [10, 6, 2, 0]]);
    wait.mockClear();
    wait.mockImplementationOnce(() => {
      pass(50);
      return 'ok';
    });
    expect([reader.waitSync(10), timeouts()]).toEqual([false, [10, 0]]);
  });

  it('without time looks once, and neither spins nor naps', () => {
    const { reader, writer } = open();
    const { timeouts } = host();
    const spin = vi.spyOn(Pace.prototype, 'spin');
    const wantsNap = vi.spyOn(Pace.prototype, 'wantsNap');
    expect([reader.waitSync(0), timeouts(), spin.mock.calls.length]).toEqual([false, [0], 0]);
    expect([reader.waitSync(0.9), spin.mock.calls.length, wantsNap.mock.calls.length]).toEqual([false, 1, 0]);
    expect([reader.waitSync(1), wantsNap.mock.calls.length]).toEqual([false, 1]);
    writer.tryWrite(bytes(1));
    expect([reader.waitSync(0), reader.waitSync(5), wantsNap.mock.calls.length]).toEqual([true, true, 1]);
  });

  it('sleeps on without a limit until there is something', () => {
    const { reader, writer } = open();
    const { wait, timeouts } = host(1);
    wait
      .mockImplementationOnce(() => 'ok')
      .mockImplementationOnce(() => (writer.tryWrite(bytes(1)) ? 'ok' : 'timed-out'));
    expect([reader.waitSync(), timeouts()]).toEqual([true, [Infinity, Infinity]]);
  });

  it.each([-1, Number.NaN])('for %d ms is refused', async (timeoutMs) => {
    const { reader } = open();
    const error = new RangeError(`ringReader: timeoutMs must be a number ≥ 0, got ${timeoutMs}`);
    expect(() => reader.waitSync(timeoutMs)).toThrow(error);
    await expect(reader.wait(timeoutMs)).rejects.toThrow(error);
    reader.close();
    expect(() => reader.waitSync(0)).toThrow(new Error('ringReader: closed'));
    await expect(reader.wait(0)).rejects.toThrow(new Error('ringReader: closed'));
    expect(() => reader.readBatch(() => {})).toThrow(new Error('ringReader: closed'));
  });
});

it('a buffer that is no ring is refused in the name of who asked', () => {
  const buffer = new SharedArrayBuffer(8);
  expect(() => ringReader(buffer)).toThrow('ringReader: buffer must be a ring of createRing: it has 8 bytes');
  expect(() => ringWriter(buffer)).toThrow('ringWriter: buffer must be a ring of createRing: it has 8 bytes');
});

it('a loop over the messages gives the host a turn after each 256, and no more', async () => {
  const ring = createRing({ capacity: 1_024, slotBytes: 8 });
  ringWriter(ring).writeBatch(many(1_024));
  const turns = vi.spyOn(globalThis, 'setImmediate');
  const seen: number[] = [];
  let n = 0;
  for await (const _ of ringReader(ring)) {
    n++;
    if (turns.mock.calls.length > seen.length) seen.push(n);
    if (n === 1_024) break;
  }
  expect(seen).toEqual([256, 512, 768, 1_024]);
});
