/** The steps one by one, where the memory shows them: whom a wake reaches, and what costs the others nothing. */
import { createRing } from 'evenkeel/ring-buffer';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Batch } from '../../../src/workers/ring-buffer/batch.js';
import { attach, placeOf, READ, SLEEPERS, signalOf, WRITE, WRITER } from '../../../src/workers/ring-buffer/layout.js';
import { EMPTY, ReadSide, WriteSide, wake } from '../../../src/workers/ring-buffer/protocol.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const READERS = 4;

afterEach(() => {
  vi.restoreAllMocks();
});

interface Ring {
  capacity?: number;
  /** Both indices at the start. */
  at?: number;
  /** The readers that the host has asleep; those woken get up. */
  asleep?: number[];
  /** Those that have announced it. */
  bits?: number[];
}

/** A loop that never ends fails. */
const MAX_STEPS = 1_000;

/** Both sides over one memory. */
function open({ capacity = 4, at = 0, asleep = [], bits = asleep }: Ring = {}) {
  const { memory, shape } = attach('test', createRing({ capacity, slotBytes: 8, maxReaders: READERS }));
  memory.words[WRITE] = memory.words[READ] = at;
  memory.words[WRITER] = 1;
  for (let id = 0; id < READERS; id++) memory.words[placeOf(id)] = 1;
  let steps = 0;
  for (const step of ['load', 'clear', 'cas'] as const) {
    const real = memory[step] as (...args: number[]) => never;
    vi.spyOn(memory, step).mockImplementation((...args: number[]) => {
      if (++steps > MAX_STEPS) throw new Error('no end');
      return real.apply(memory, args);
    });
  }
  const sleeping = new Set<number>();
  const sleep = (ids: number[], announced = ids): void => {
    for (const id of ids) sleeping.add(signalOf(id));
    for (const id of announced) memory.set(SLEEPERS, 1 << id);
  };
  sleep(asleep, bits);
  vi.spyOn(memory, 'notify').mockImplementation((word) => Number(sleeping.delete(word)));
  const writer = new WriteSide(memory, shape, 1);
  const reader = (id: number): ReadSide => new ReadSide(memory, shape, id, 1);
  const signals = (): number[] => Array.from({ length: READERS }, (_, id) => memory.load(signalOf(id)));
  const announced = (): number[] => [0, 1, 2, 3].filter((id) => (memory.load(SLEEPERS) & (1 << id)) !== 0);
  return { memory, shape, writer, reader, signals, announced, sleep };
}

describe('a wake', () => {
  it.each([
    ['one, from the first on', [0, 1, 2, 3], [0, 1, 2, 3], 1, 0, false, 1, [1, 0, 0, 0]],
    ['one, from another on', [0, 1, 2, 3], [0, 1, 2, 3], 1, 2, false, 1, [0, 0, 1, 0]],
    ['as many as asked for, round the end', [0, 1, 2, 3], [0, 1, 2, 3], 3, 2, false, 3, [1, 0, 1, 1]],
    ['no more than sleep, and each once', [1, 3], [1, 3], 32, 3, false, 2, [0, 1, 0, 1]],
    ['another, where one with a bit does not sleep', [2], [0, 1, 2], 1, 0, false, 1, [1, 1, 1, 0]],
    ['nobody without a bit', [0, 1], [], 1, 0, false, 0, [0, 0, 0, 0]],
    ['one without a bit, when all are meant', [1, 2], [], 1, 0, true, 1, [1, 1, 0, 0]],
    ['nobody, where all are meant and none sleeps', [], [], 1, 0, true, 0, [1, 1, 1, 1]],
  ] as const)('reaches %s', (_, asleep, bits, count, first, everyone, woken, signals) => {
    const ring = open({ asleep: [...asleep], bits: [...bits] });
    expect(wake(ring.memory, READERS, count, first, everyone)).toBe(woken);
    expect(ring.signals()).toEqual(signals);
    // A bit is gone if, and only if, its reader was signalled.
    expect(ring.announced()).toEqual(bits.filter((id) => signals[id] === 0));
  });

  it('passes over one that takes its bit back meanwhile', () => {
    const { memory, signals } = open({ asleep: [1], bits: [0, 1] });
    const load = memory.load.bind(memory);
    vi.spyOn(memory, 'load').mockImplementationOnce((word) => {
      const bits = load(word);
      memory.clear(SLEEPERS, 1);
      return bits;
    });
    expect([wake(memory, READERS, 1, 0), signals()]).toEqual([1, [0, 1, 0, 0]]);
  });
});

describe('the writer', () => {
  it('wakes each in its turn, which only a wake moves on', () => {
    const { writer, signals, sleep } = open();
    const woken: number[] = [];
    for (let i = 0; i < 5; i++) {
      writer.write(bytes(1), 0);
      if (writer.hasRoom()) expect(writer.wakeIfDue(1, 1)).toBe(0);
    }
    let before = signals();
    for (let i = 0; i < 5; i++) {
      sleep([0, 1, 2, 3]);
      expect(writer.wakeIfDue(1, 1)).toBe(1);
      woken.push(signals().findIndex((signal, id) => signal !== before[id]));
      before = signals();
    }
    expect(woken).toEqual([1, 2, 3, 0, 1]);
  });

  it('wakes from the threshold on', () => {
    const { writer } = open({ asleep: [0] });
    const woken = [1, 2, 3, 4].map((n) => (writer.write(bytes(n), 0) ? writer.wakeIfDue(3, 1) : -1));
    expect(woken).toEqual([0, 0, 1, 0]);
  });

  it.each([
    ['nobody for nothing', 0, [0], [0], 0],
    ['those that have announced themselves', 1, [0, 3], [3], 1],
    ['all, where none of them has', 1, [0, 3], [], 2],
  ])('rouses %s', (_, messages, asleep, bits, woken) => {
    const { writer } = open({ asleep, bits });
    for (let i = 0; i < messages; i++) writer.write(bytes(i), 0);
    expect(writer.rouse(2)).toBe(woken);
  });

  it.each([0, -2, 2 ** 31 - 2])('from %i on, writes a batch as far as there is room, seen by all', (at) => {
    const { writer, reader, memory, shape } = open({ capacity: 3, at });
    const list = [1, 2, 3, 4, 5].map((n) => bytes(n));
    const one = reader(0);
    const into = new Uint8Array(8);
    expect(one.read(into)).toBe(EMPTY);
    expect(writer.writeBatch(list, 1, 3, 7)).toBe(2);
    expect(() => one.read(new Uint8Array(0))).toThrow(
      new RangeError('ringReader: the message has 1 bytes, into has room for 0'),
    );
    expect([one.read(into), into[0], one.time]).toEqual([1, 2, 7]);
    // It looks again when what it knew of is full.
    expect([writer.writeBatch(list, 0, 5, 8), writer.writeBatch(list, 0, 5, 8), writer.unread()]).toEqual([2, 0, 3]);
    const batch = new Batch(shape.capacity, shape.slotBytes);
    const seen: unknown[] = [];
    for (let count = one.readBatch(batch, 9); count > 0; count = one.readBatch(batch, 9))
      for (; batch.next < batch.end; batch.next++) seen.push([batch.view(batch.next)[0], batch.timeOf(batch.next)]);
    expect(seen).toEqual([[3, 7], [1, 8], [2, 8]]); // biome-ignore format: pairs
    expect([memory.load(READ), memory.load(WRITE)]).toEqual([(at + 4) | 0, (at + 4) | 0]);
  });
});

it('a full ring, and an empty one, are only looked at: nobody loses a cache line to that', () => {
  const { writer, reader, memory, shape } = open({ capacity: 2 });
  const cas = vi.spyOn(memory, 'cas');
  const copy = vi.spyOn(memory, 'copyBatch');
  const one = reader(0);
  const batch = new Batch(shape.capacity, shape.slotBytes);
  expect([one.read(new Uint8Array(8)), one.readBatch(batch, 2), one.hasUnread()]).toEqual([EMPTY, 0, false]);
  expect([cas.mock.calls, copy.mock.calls]).toEqual([[], []]);
  writer.writeBatch([bytes(1), bytes(2)], 0, 2, 0);
  cas.mockClear();
  // Not even whether the place is still its own.
  memory.words[WRITER] = 3;
  expect([writer.write(bytes(3), 0), writer.writeBatch([bytes(3)], 0, 1, 0)]).toEqual([false, 0]);
  expect(cas).not.toHaveBeenCalled();
});

describe('a reader', () => {
  it.each([2 ** 31 - 4, -5, -(2 ** 31), 2 ** 31 - 1])(
    'that last looked long ago finds nothing where there is nothing: at %i',
    (at) => {
      const { reader, memory } = open();
      const one = reader(0);
      memory.words[WRITE] = memory.words[READ] = at;
      expect([one.read(new Uint8Array(8)), memory.load(READ)]).toEqual([EMPTY, at]);
    },
  );

  it('that passes a wake on begins with the next one', () => {
    const { writer, reader, signals } = open({ asleep: [0, 1, 2, 3] });
    const one = reader(1);
    one.passOn();
    expect(signals()).toEqual([0, 0, 0, 0]);
    writer.write(bytes(1), 0);
    one.passOn();
    expect(signals()).toEqual([0, 0, 1, 0]);
  });

  it('sleeps no longer than it may, and leaves no bit behind, however that ends', () => {
    const { writer, reader, memory, announced } = open();
    const wait = vi.spyOn(memory, 'wait').mockReturnValueOnce('timed-out').mockReturnValueOnce('ok');
    const one = reader(2);
    expect([one.sleep(5), announced()]).toEqual([false, []]);
    expect([one.sleep(Infinity), announced()]).toEqual([false, []]);
    expect(wait.mock.calls).toEqual([
      [signalOf(2), 0, 5],
      [signalOf(2), 0, Infinity],
    ]);
    wait.mockImplementationOnce(() => {
      expect(announced()).toEqual([2]);
      writer.write(bytes(1), 0);
      return 'timed-out';
    });
    expect([one.sleep(5), one.sleep(5), announced(), wait.mock.calls.length]).toEqual([true, true, [], 3]);
  });
});

it('one that was taken over is told whose place it was', () => {
  const { writer, reader, memory } = open();
  const [one, two] = [reader(0), reader(3)];
  memory.words[WRITER] = memory.words[placeOf(3)] = 3;
  expect(one.announce()).toBe(0);
  const told = (owner: string, who: string): Error =>
    new Error(`${owner}: another ${who} has taken over this ring, or writes to it: this one must not go on`);
  expect(() => two.announce()).toThrow(told('ringReader', 'reader 3'));
  expect(() => writer.write(bytes(1), 0)).toThrow(told('ringWriter', 'writer'));
  expect(() => writer.writeBatch([bytes(1)], 0, 1, 0)).toThrow(told('ringWriter', 'writer'));
  memory.words[WRITER] = 1;
  memory.words[WRITE] = 1;
  expect(() => writer.write(bytes(1), 0)).toThrow(told('ringWriter', 'writer'));
});
