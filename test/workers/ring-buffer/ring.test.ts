import { createRing, ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const SMALL = { capacity: 4, slotBytes: 8 };
/** Where the layout has its words. */
const [WRITE, READ, SLEEPERS, PLACES] = [16, 32, 48, 64];
const wordsOf = (ring: SharedArrayBuffer): Int32Array => new Int32Array(ring);

describe('messages', () => {
  it('go to one reader each, in order', () => {
    const ring = createRing(SMALL);
    const writer = ringWriter(ring);
    const [a, b] = [ringReader(ring), ringReader(ring)];
    for (const one of [bytes(1), bytes(2, 2), bytes(), bytes(4)]) expect(writer.tryWrite(one)).toBe(true);
    expect(writer.tryWrite(bytes(5))).toBe(false);
    const into = new Uint8Array(8);
    expect([a.tryRead(into), into[0]]).toEqual([1, 1]);
    expect([b.tryRead(into), into[1]]).toEqual([2, 2]);
    expect(a.tryRead(into)).toBe(0);
    const seen: number[] = [];
    expect(b.readBatch((view) => seen.push(...view))).toBe(1);
    expect([seen, a.tryRead(into), b.readBatch(() => {})]).toEqual([[4], -1, 0]);
    expect(writer.stats()).toMatchObject({ written: 4, rejected: 1, unread: 0 });
  });

  it('behave as a queue does, whatever the order of calls, the capacity and where the indices start', () => {
    const start = fc.constantFrom(0, 2 ** 31 - 8, -8, -1);
    const step = fc.tuple(fc.constantFrom('write', 'writeBatch', 'read', 'readBatch'), fc.integer({ min: 1, max: 12 }));
    // Of short messages in long slots a batch copies only what they hold.
    const slot = fc.constantFrom({ slotBytes: 5, unit: 1 }, { slotBytes: 500, unit: 100 }, { slotBytes: 500, unit: 1 });
    const sized = fc.tuple(fc.integer({ min: 1, max: 9 }), slot);
    fc.assert(
      fc.property(start, sized, fc.array(step, { maxLength: 60 }), (at, [capacity, { slotBytes, unit }], steps) => {
        const ring = createRing({ capacity, slotBytes });
        wordsOf(ring)[WRITE] = wordsOf(ring)[READ] = at;
        const writer = ringWriter(ring);
        const readers = [ringReader(ring), ringReader(ring)];
        const queue: number[][] = [];
        let next = 0;
        const message = (): number[] => Array.from({ length: (next % 6) * unit }, (_, i) => (next * 7 + i) & 0xff);
        for (const [what, n] of steps) {
          const reader = readers[n % 2] as (typeof readers)[number];
          if (what === 'write') {
            const fits = queue.length < capacity;
            expect(writer.tryWrite(bytes(...message()))).toBe(fits);
            if (fits) queue.push(message());
            next++;
          } else if (what === 'writeBatch') {
            const list = Array.from({ length: n }, () => {
              next++;
              return message();
            });
            const written = writer.writeBatch(list.map((one) => bytes(...one)));
            expect(written).toBe(Math.min(n, capacity - queue.length));
            queue.push(...list.slice(0, written));
          } else if (what === 'read') {
            const into = new Uint8Array(slotBytes);
            const length = reader.tryRead(into);
            expect(length < 0 ? undefined : [...into.subarray(0, length)]).toEqual(queue.shift());
          } else {
            const got: number[][] = [];
            expect(reader.readBatch((view) => got.push([...view]), n)).toBe(Math.min(n, queue.length));
            expect(got).toEqual(queue.splice(0, n));
          }
          expect(writer.stats().unread).toBe(queue.length);
        }
      }),
    );
  });

  it('that are too long are refused, and nothing of their batch is written', () => {
    const writer = ringWriter(createRing(SMALL));
    expect(() => writer.tryWrite(new Uint8Array(9))).toThrow(
      new RangeError('ringWriter: bytes.length must be ≤ slotBytes, 8, got 9'),
    );
    expect(() => writer.writeBatch([bytes(1), new Uint8Array(9)])).toThrow('ringWriter: list[1].length must be ≤ ');
    expect(() => writer.tryWrite('text' as never)).toThrow(TypeError);
    expect(() => writer.tryWrite(bytes(1), Number.NaN)).toThrow('receivedAt must be a finite number, got NaN');
    expect(writer.stats()).toMatchObject({ written: 0, unread: 0 });
  });

  it("that do not fit into the reader's buffer stay", () => {
    const ring = createRing(SMALL);
    ringWriter(ring).tryWrite(bytes(1, 2, 3));
    const reader = ringReader(ring);
    expect(() => reader.tryRead(new Uint8Array(2))).toThrow(RangeError);
    expect(reader.tryRead(new Uint8Array(3))).toBe(3);
    expect(() => reader.tryRead([] as never)).toThrow('ringReader: into must be a Uint8Array, got an array');
    expect(() => reader.tryRead(undefined as never)).toThrow(TypeError);
  });

  it('behind one whose callback throws are not lost', () => {
    const ring = createRing(SMALL);
    ringWriter(ring).writeBatch([bytes(1), bytes(2), bytes(3), bytes(4)]);
    const reader = ringReader(ring);
    const seen: number[] = [];
    const fn = (view: Uint8Array): void => {
      seen.push(view[0] as number);
      if (view[0] === 2) throw new Error('two');
    };
    expect(() => reader.readBatch(fn)).toThrow('two');
    expect([reader.stats().held, reader.waitSync(0)]).toEqual([2, true]);
    expect(() => reader.tryRead(new Uint8Array(0))).toThrow('the message has 1 bytes, into has room for 0');
    const into = new Uint8Array(8);
    expect([reader.tryRead(into), into[0]]).toEqual([1, 3]);
    expect(reader.readBatch(fn)).toBe(1);
    expect(seen).toEqual([1, 2, 4]);
  });

  it('of one length are shown by one view, batch after batch', () => {
    const ring = createRing(SMALL);
    const writer = ringWriter(ring);
    const reader = ringReader(ring);
    const views = [bytes(1, 2), bytes(3, 4), bytes(5), bytes(6)].map((message) => {
      writer.tryWrite(message);
      let seen: Uint8Array | undefined;
      reader.readBatch((view) => {
        expect(view).toEqual(message);
        seen = view;
      });
      return seen;
    });
    expect([views[1] === views[0], views[2] === views[1], views[3] === views[2]]).toEqual([true, false, true]);
  });

  it('cannot be read in batches from within a batch, one by one they can', () => {
    const ring = createRing(SMALL);
    ringWriter(ring).writeBatch([bytes(1), bytes(2), bytes(3)]);
    const reader = ringReader(ring);
    expect(() => reader.readBatch(() => void reader.readBatch(() => {}))).toThrow('from its own callback');
    const seen: number[] = [];
    const into = new Uint8Array(8);
    reader.readBatch((view) => {
      reader.tryRead(into);
      seen.push(view[0] as number, into[0] as number);
    });
    expect(seen).toEqual([2, 3]);
  });

  it('older than maxAgeMs are dropped and counted', () => {
    const clock = manualClock(1_000);
    const ring = createRing(SMALL);
    const writer = ringWriter(ring, { clock });
    const reader = ringReader(ring, { clock, maxAgeMs: 50 });
    writer.writeBatch([bytes(1), bytes(2)], 900);
    writer.tryWrite(bytes(3), 950);
    writer.tryWrite(bytes(4));
    expect(writer.stats().oldestAgeMs).toBe(100);
    const into = new Uint8Array(8);
    expect([reader.tryRead(into), into[0], reader.receivedAt]).toEqual([1, 3, 950]);
    clock.jump(51);
    expect([reader.readBatch(() => {}), reader.stats()]).toEqual([0, { read: 1, tooOld: 3, held: 0, lostClaims: 0 }]);
  });

  it('have their time of receipt', () => {
    const ring = createRing(SMALL);
    const writer = ringWriter(ring);
    const reader = ringReader(ring);
    writer.tryWrite(bytes(1), 12_345);
    reader.tryRead(new Uint8Array(8));
    expect(Math.round(reader.receivedAt)).toBe(12_345);
  });
});

describe('places', () => {
  it('one writer; taking over is explicit, and the former one may not go on', () => {
    const ring = createRing(SMALL);
    const former = ringWriter(ring);
    former.tryWrite(bytes(1));
    expect(() => ringWriter(ring)).toThrow('this ring has a writer');
    const writer = ringWriter(ring, { takeOver: true });
    expect(() => former.tryWrite(bytes(2))).toThrow('another writer has taken over');
    expect(() => former.writeBatch([bytes(2)])).toThrow('another writer has taken over');
    former.close();
    expect(writer.tryWrite(bytes(3))).toBe(true);
    writer.close();
    writer.close();
    expect(() => writer.tryWrite(bytes(4))).toThrow('ringWriter: closed');
    const seen: number[] = [];
    ringReader(ring).readBatch((view) => seen.push(...view));
    expect([seen, ringWriter(ring).tryWrite(bytes(4))]).toEqual([[1, 3], true]);
  });

  it('what a writer left half written is harmless', () => {
    const ring = createRing(SMALL);
    ringWriter(ring).tryWrite(bytes(1));
    // A second message, not published.
    new Uint8Array(ring).fill(0xff, ring.byteLength - 3 * 24);
    ringWriter(ring, { takeOver: true }).tryWrite(bytes(2));
    const seen: number[] = [];
    ringReader(ring).readBatch((view) => seen.push(...view));
    expect(seen).toEqual([1, 2]);
  });

  it("a bounded number of readers; a dead one's place goes to another on demand only", () => {
    const ring = createRing({ ...SMALL, maxReaders: 2 });
    const [a, b] = [ringReader(ring), ringReader(ring)];
    expect([a.id, b.id]).toEqual([0, 1]);
    expect(() => ringReader(ring)).toThrow('all 2 places for readers are taken');
    expect(() => ringReader(ring, { id: 1 })).toThrow('place 1 is taken');
    const c = ringReader(ring, { id: 1, takeOver: true });
    expect(() => b.waitSync(0)).toThrow('another reader 1 has taken over');
    expect(() => ringReader(ring, { takeOver: true })).toThrow(/takeOver must be given with the id/);
    b.close();
    expect(() => ringReader(ring)).toThrow('all 2 places');
    c.close();
    const d = ringReader(ring);
    c.close();
    expect(d.id).toBe(1);
    expect(() => ringReader(ring)).toThrow('all 2 places');
    expect(() => c.tryRead(new Uint8Array(8))).toThrow('ringReader: closed');
  });

  it('a reader that is closed once more does not disturb the next one at its place', async () => {
    const ring = createRing(SMALL);
    const [writer, former] = [ringWriter(ring), ringReader(ring)];
    former.close();
    const reader = ringReader(ring);
    const wait = reader.wait();
    former.close();
    writer.tryWrite(bytes(1));
    expect([writer.stats().wakes, await wait]).toEqual([1, true]);
  });

  it('storms of readers that come, wait and go leave nothing behind', async () => {
    const ring = createRing(SMALL);
    const writer = ringWriter(ring);
    for (let i = 0; i < 500; i++) {
      const readers = Array.from({ length: 16 }, () => ringReader(ring));
      const ends = readers.map((reader, k) => (k % 2 === 0 ? reader.wait() : reader.waitSync(0)));
      for (const reader of readers) reader.close();
      expect((await Promise.all(ends)).every((end) => end === false)).toBe(true);
    }
    expect(wordsOf(ring)[SLEEPERS]).toBe(0);
    const places = Array.from({ length: 16 }, (_, id) => wordsOf(ring)[PLACES + 2 * id] as number);
    expect(places.every((place) => place % 2 === 0)).toBe(true);
    writer.tryWrite(bytes(1));
    expect(writer.stats().wakes).toBe(0);
    writer.close();
  });
});

describe('waiting', () => {
  it('ends with a message, for the one that is woken', async () => {
    const ring = createRing(SMALL);
    // By the host's clock a writer whose message lies there for long wakes the other, too.
    const writer = ringWriter(ring, { clock: manualClock() });
    const readers = [ringReader(ring), ringReader(ring)];
    const waits = readers.map((reader) => reader.wait().then(() => reader.tryRead(new Uint8Array(8))));
    writer.tryWrite(bytes(1));
    expect(writer.stats().wakes).toBe(1);
    expect(await Promise.race(waits)).toBe(1);
    writer.tryWrite(bytes(2));
    expect(await Promise.all(waits)).toEqual([1, 1]);
    for (const reader of readers) reader.close();
  });

  it('wakes at most wakeCount at a time, from wakeThreshold on, or after flushMs', async () => {
    const clock = manualClock();
    const ring = createRing({ capacity: 16, slotBytes: 8 });
    const writer = ringWriter(ring, { clock, wakeThreshold: 3, wakeCount: 2, flushMs: 10 });
    const readers = Array.from({ length: 5 }, () => ringReader(ring, { clock }));
    const waits = readers.map((reader) => reader.wait());
    writer.tryWrite(bytes(1));
    writer.tryWrite(bytes(2));
    expect(writer.stats().wakes).toBe(0);
    writer.tryWrite(bytes(3));
    expect(writer.stats().wakes).toBe(2);
    // Nobody reads: after flushMs two more are woken, then the last.
    await clock.advance(10);
    expect(writer.stats().wakes).toBe(4);
    await clock.advance(10);
    expect([writer.stats().wakes, await Promise.all(waits)]).toEqual([5, readers.map(() => true)]);
    await clock.advance(100);
    expect(clock.waiting).toBe(0);
  });

  it('costs no timer where nothing is written', async () => {
    const clock = manualClock();
    const ring = createRing(SMALL);
    ringWriter(ring, { clock });
    const reader = ringReader(ring, { clock });
    const wait = reader.wait();
    expect(clock.waiting).toBe(0);
    reader.close();
    expect(await wait).toBe(false);
  });

  it('a wake that meets one who gives up goes to another', async () => {
    const ring = createRing(SMALL);
    const writer = ringWriter(ring);
    const [a, b] = [ringReader(ring), ringReader(ring)];
    const abort = new AbortController();
    const waitA = a.wait(Infinity, abort.signal);
    const waitB = b.wait();
    // Whichever of the two is woken, the other must end up with the message.
    writer.tryWrite(bytes(1));
    abort.abort(new Error('gone'));
    await expect(waitA).rejects.toThrow('gone');
    expect(await waitB).toBe(true);
  });

  it('ends after its time, on abort, and at once where there is something', async () => {
    const clock = manualClock();
    const ring = createRing(SMALL);
    const reader = ringReader(ring, { clock });
    const wait = reader.wait(50);
    await clock.advance(50);
    expect(await wait).toBe(false);
    await expect(reader.wait(50, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    ringWriter(ring).tryWrite(bytes(1));
    expect([await reader.wait(), reader.waitSync()]).toEqual([true, true]);
    expect(clock.waiting).toBe(0);
    await expect(reader.wait(-1)).rejects.toThrow(RangeError);
  });

  it('two waits of one reader both end', async () => {
    const ring = createRing(SMALL);
    const reader = ringReader(ring);
    const waits = [reader.wait(), reader.wait()];
    expect(reader.waitSync(0)).toBe(false);
    ringWriter(ring).tryWrite(bytes(1));
    expect(await Promise.all(waits)).toEqual([true, true]);
  });

  it('looks now and then where the host has no Atomics.waitAsync', async () => {
    const clock = manualClock();
    const ring = createRing(SMALL);
    const reader = ringReader(ring, { clock });
    vi.stubGlobal('Atomics', Object.assign(Object.create(Atomics), { waitAsync: undefined }));
    try {
      const wait = reader.wait();
      await clock.advance(10);
      expect(clock.waiting).toBe(1);
      ringWriter(ring).tryWrite(bytes(1));
      await clock.advance(5);
      expect([await wait, clock.waiting]).toEqual([true, 0]);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('for await', () => {
  it('gives copies until the reader is closed', async () => {
    const ring = createRing(SMALL);
    const writer = ringWriter(ring);
    const reader = ringReader(ring);
    writer.writeBatch([bytes(1), bytes(2)]);
    const seen: Uint8Array[] = [];
    for await (const message of reader) {
      seen.push(message);
      if (seen.length === 2) setImmediate(() => writer.tryWrite(bytes(3)));
      if (seen.length === 3) reader.close();
    }
    expect(seen).toEqual([bytes(1), bytes(2), bytes(3)]);
  });

  it('ends when it is left while it waits', async () => {
    const reader = ringReader(createRing(SMALL));
    const messages = reader[Symbol.asyncIterator]();
    expect(messages[Symbol.asyncIterator]()).toBe(messages);
    const next = messages.next();
    await messages.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    reader.close();
  });

  it('ends with an error when the reader’s place was taken over', async () => {
    const ring = createRing(SMALL);
    const former = ringReader(ring);
    ringReader(ring, { id: former.id, takeOver: true });
    await expect(former[Symbol.asyncIterator]().next()).rejects.toThrow('another reader 0 has taken over');
  });

  it('lets the host do other things', async () => {
    const ring = createRing({ capacity: 1_024, slotBytes: 8 });
    ringWriter(ring).writeBatch(Array.from({ length: 1_024 }, () => bytes(1)));
    let turns = 0;
    const count = (): unknown => setImmediate(() => ++turns < 100 && count());
    count();
    let n = 0;
    for await (const _ of ringReader(ring)) if (++n === 1_024) break;
    expect(turns).toBeGreaterThanOrEqual(3);
  });
});

describe('a buffer that is no ring', () => {
  const damage = (change: (words: Int32Array) => void): SharedArrayBuffer => {
    const ring = createRing(SMALL);
    change(wordsOf(ring));
    return ring;
  };
  it.each<[string, unknown, RegExp]>([
    ['another type', new ArrayBuffer(1_024), /must be a SharedArrayBuffer of createRing, got ArrayBuffer/],
    ['undefined', undefined, /got Undefined/],
    ['too small', new SharedArrayBuffer(16), /it has 16 bytes/],
    ['foreign', new SharedArrayBuffer(4_096), /its first word is wrong/],
    ['another version', damage((words) => words.fill(2, 1, 2)), /version 2, expected 1/],
    ['another size', damage((words) => words.fill(8, 2, 3)), /bytes, its header means/],
    ['a damaged header', damage((words) => words.fill(-1, 3, 4)), /slotBytes -1/],
    ['impossible indices', damage((words) => words.fill(5, WRITE, WRITE + 1)), /5 unread of 4/],
    ['indices the wrong way round', damage((words) => words.fill(1, READ, READ + 1)), /-1 unread of 4/],
  ])('is refused: %s', (_, buffer, message) => {
    expect(() => ringReader(buffer as SharedArrayBuffer)).toThrow(message);
    expect(() => ringWriter(buffer as SharedArrayBuffer)).toThrow(message);
  });

  it('nor is any, where the host has no shared memory', () => {
    const ring = createRing(SMALL);
    vi.stubGlobal('SharedArrayBuffer', undefined);
    try {
      expect(() => createRing(SMALL)).toThrow(
        'this host has no SharedArrayBuffer; a page must be cross-origin isolated',
      );
      expect(() => ringReader(ring)).toThrow('must be a SharedArrayBuffer of createRing');
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('nor can one be made that is too large', () => {
    expect(() => createRing({ capacity: 2 ** 20, slotBytes: 2 ** 20 })).toThrow(/capacity of 1048576 with slotBytes/);
  });
});
