/** What another thread does between two steps of one side: the races that threads show once in a million times. */
import { createRing, ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { manualClock } from 'evenkeel/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/core/time/clock.js';
import { Batch } from '../../../src/workers/ring-buffer/batch.js';
import { attach, placeOf, SLEEPERS, signalOf, WRITER } from '../../../src/workers/ring-buffer/layout.js';
import { SharedMemory } from '../../../src/workers/ring-buffer/memory.js';
import { Pace } from '../../../src/workers/ring-buffer/pace.js';
import { ReadSide, WriteSide } from '../../../src/workers/ring-buffer/protocol.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const SHAPE = { capacity: 4, slotBytes: 8 };

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

type Step = 'load' | 'cas' | 'set' | 'wait' | 'copy' | 'copyBatch' | 'lengthOf';

/** Has another thread do `other` once, before or after the next such step of `memory`. */
function race(memory: SharedMemory, step: Step, when: 'before' | 'after', other: () => void): void {
  const real = memory[step] as (...args: unknown[]) => unknown;
  vi.spyOn(memory, step as 'load').mockImplementationOnce(function (this: SharedMemory, ...args: unknown[]) {
    if (when === 'before') other();
    const result = real.apply(this, args) as number;
    if (when === 'after') other();
    return result;
  });
}

/** A reader's side, the memory that only it uses, and the ends of the others. */
function openReader() {
  const ring = createRing(SHAPE);
  const [writer, other] = [ringWriter(ring), ringReader(ring)];
  const { memory, shape } = attach('test', ring);
  const id = 1;
  memory.cas(placeOf(id), 0, 1);
  const side = new ReadSide(memory, shape, id, 1);
  return { ring, writer, other, memory, shape, side, id };
}

describe('a reader that is overtaken by another', () => {
  it('before its claim, takes the next message', () => {
    const { writer, other, memory, side } = openReader();
    writer.writeBatch([bytes(1), bytes(2)]);
    race(memory, 'copy', 'after', () => void other.tryRead(new Uint8Array(8)));
    const into = new Uint8Array(8);
    expect([side.read(into), into[0], side.lost, side.read(into)]).toEqual([1, 2, 1, -1]);
  });

  it('before its claim of a batch, takes those that are left', () => {
    const { writer, other, memory, shape, side } = openReader();
    writer.writeBatch([bytes(1), bytes(2), bytes(3)]);
    race(memory, 'copyBatch', 'after', () => void other.readBatch(() => {}, 2));
    const batch = new Batch(shape.capacity, shape.slotBytes);
    expect([side.readBatch(batch, 4), batch.view(0)[0], side.lost]).toEqual([1, 3, 1]);
    expect(side.readBatch(batch, 4)).toBe(0);
  });

  it('at a message that is too long for it, is none the worse for it', () => {
    const { writer, other, memory, side } = openReader();
    writer.writeBatch([bytes(1, 1, 1), bytes(2)]);
    race(memory, 'lengthOf', 'after', () => void other.tryRead(new Uint8Array(8)));
    const into = new Uint8Array(1);
    expect([side.read(into), into[0]]).toEqual([1, 2]);
  });
});

describe('a reader that goes to sleep', () => {
  it('stays awake for a message that comes after it has looked', () => {
    const { writer, memory, side } = openReader();
    race(memory, 'set', 'after', () => void writer.tryWrite(bytes(1)));
    const wait = vi.spyOn(memory, 'wait');
    expect(side.sleep(1_000)).toBe(true);
    expect(wait).not.toHaveBeenCalled();
    expect(memory.load(SLEEPERS)).toBe(0);
  });

  it('wakes up at once when it is signalled before it sleeps', () => {
    const { writer, memory, side } = openReader();
    race(memory, 'wait', 'before', () => void writer.tryWrite(bytes(1)));
    expect(side.sleep(1_000)).toBe(true);
    expect(vi.mocked(memory.wait)).toHaveReturnedWith('not-equal');
  });

  it('and is woken for nothing, as another was faster, says so', () => {
    const { writer, other, memory, side } = openReader();
    race(memory, 'wait', 'before', () => {
      writer.tryWrite(bytes(1));
      other.tryRead(new Uint8Array(8));
    });
    expect(side.sleep(1_000)).toBe(false);
  });

  it('takes its bit back when its time is over', () => {
    const { memory, side } = openReader();
    expect(side.sleep(0)).toBe(false);
    expect(memory.load(SLEEPERS)).toBe(0);
  });

  it('takes a nap instead once sleeps follow one another in haste, unless there is no time for one', () => {
    const ring = createRing(SHAPE);
    const writer = ringWriter(ring);
    const reader = ringReader(ring);
    let nowMs = 1_000;
    vi.spyOn(systemClock, 'now').mockImplementation(() => nowMs);
    const sleeps = vi.spyOn(SharedMemory.prototype, 'wait').mockImplementation(() => {
      nowMs += 0.1;
      return 'ok';
    });
    const nap = vi.spyOn(Pace.prototype, 'nap').mockImplementation(() => void writer.tryWrite(bytes(1)));
    expect(reader.waitSync(0.9)).toBe(false);
    expect([nap.mock.calls.length, sleeps.mock.calls.length]).toEqual([0, 10]);
    sleeps.mockClear();
    expect(reader.waitSync(100)).toBe(true);
    expect([nap.mock.calls.length, sleeps.mock.calls.length]).toEqual([1, 4]);
  });
});

describe('a reader that waits without blocking', () => {
  it('waits for the next wake when one comes in between', async () => {
    const ring = createRing(SHAPE);
    const [writer, reader] = [ringWriter(ring), ringReader(ring)];
    const { memory } = attach('test', ring);
    type Wait = (words: Int32Array, word: number, value: number) => unknown;
    const { waitAsync } = Atomics as unknown as { waitAsync: Wait };
    const looks: unknown[] = [];
    const wait: Wait = (words, word, value) => {
      // Woken, and the message is gone, just before the host would have had it wait.
      if (looks.length === 0) memory.add(signalOf(reader.id), 1);
      looks.push(waitAsync(words, word, value));
      return looks.at(-1);
    };
    vi.stubGlobal('Atomics', Object.assign(Object.create(Atomics), { waitAsync: wait }));
    const waiting = reader.wait();
    expect(looks).toMatchObject([{ async: false }, { async: true }]);
    writer.tryWrite(bytes(1));
    expect(await waiting).toBe(true);
  });

  it('keeps its place while any of its waits goes on', async () => {
    const ring = createRing(SHAPE);
    const [writer, reader] = [ringWriter(ring), ringReader(ring)];
    const abort = new AbortController();
    const [gone, stays] = [reader.wait(Infinity, abort.signal), reader.wait()];
    abort.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    writer.tryWrite(bytes(1));
    expect([writer.stats().wakes, await stays]).toEqual([1, true]);
  });

  it('fails when its place was taken over', async () => {
    const ring = createRing(SHAPE);
    const clock = manualClock();
    const former = ringReader(ring, { clock });
    ringReader(ring, { id: former.id, takeOver: true });
    await expect(former.wait(50)).rejects.toThrow('another reader 0 has taken over');
    expect(clock.waiting).toBe(0);
  });

  it('fails when its place is taken over meanwhile', async () => {
    const ring = createRing(SHAPE);
    const clock = manualClock();
    const [writer, former] = [ringWriter(ring), ringReader(ring, { clock })];
    const waits = [former.wait(50), former.wait()];
    const reader = ringReader(ring, { id: former.id, takeOver: true });
    writer.tryWrite(bytes(1));
    reader.tryRead(new Uint8Array(8));
    const ends = await Promise.allSettled(waits);
    const error = expect.objectContaining({ message: expect.stringContaining('another reader 0 has taken over') });
    expect(ends).toEqual(waits.map(() => ({ status: 'rejected', reason: error })));
    expect(clock.waiting).toBe(0);
  });
});

describe('two that attach at the same time', () => {
  it('are not both the writer', () => {
    const ring = createRing(SHAPE);
    race(SharedMemory.prototype, 'cas', 'before', () => void ringWriter(ring));
    expect(() => ringWriter(ring)).toThrow('ringWriter: another writer has attached at the same time');
  });

  it('are readers at different places, as long as there are any', () => {
    const ring = createRing({ ...SHAPE, maxReaders: 2 });
    race(SharedMemory.prototype, 'cas', 'before', () => expect(ringReader(ring).id).toBe(0));
    expect(ringReader(ring).id).toBe(1);
  });
});

it('two writers that both hold the place for theirs: the second to publish is told', () => {
  const { memory, shape } = attach('test', createRing(SHAPE));
  const [one, other] = [1, 1].map((place) => new WriteSide(memory, shape, place)) as [WriteSide, WriteSide];
  memory.cas(WRITER, 0, 1);
  expect(other.write(bytes(1), 0)).toBe(true);
  expect(() => one.write(bytes(2), 0)).toThrow('another writer has taken over this ring, or writes to it');
  expect(() => one.writeBatch([bytes(2)], 0, 1, 0)).toThrow('another writer');
  expect(other.unread()).toBe(1);
});
