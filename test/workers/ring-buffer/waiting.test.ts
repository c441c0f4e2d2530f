/** Waits that do not block: what they hold on to while they last, and that nothing of it is left. */
import { getEventListeners } from 'node:events';
import { createRing, type RingReader, ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SLEEPERS } from '../../../src/workers/ring-buffer/layout.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** What ends at all ends by the next turn; a test that waited for ever would fail late. */
const end = (wait: Promise<unknown>): Promise<unknown> => Promise.race([wait, turn().then(() => 'goes on')]);

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

function open() {
  const ring = createRing({ capacity: 4, slotBytes: 8 });
  const clock = manualClock();
  const words = new Int32Array(ring);
  return {
    clock,
    writer: ringWriter(ring, { clock, wakeThreshold: 2, flushMs: 1_000 }),
    reader: ringReader(ring, { clock }),
    attach: (): RingReader => ringReader(ring, { clock }),
    asleep: (): number => words[SLEEPERS] as number,
  };
}

/** The host's list of waiters, whose wakes come at once and not in some turn of the event loop. */
function stubHost(): void {
  const waiters = new Map<number, (() => void)[]>();
  const waitAsync = (words: Int32Array, word: number, expected: number): unknown => {
    if (Atomics.load(words, word) !== expected) return { async: false, value: 'not-equal' };
    const value = new Promise<void>((resolve) => waiters.set(word, [...(waiters.get(word) ?? []), resolve]));
    return { async: true, value };
  };
  const notify = (_: Int32Array, word: number): number => {
    const woken = waiters.get(word) ?? [];
    waiters.delete(word);
    for (const wake of woken) wake();
    return woken.length;
  };
  vi.stubGlobal('Atomics', Object.assign(Object.create(Atomics), { waitAsync, notify }));
}

/** The intervals that keep the event loop alive. */
function held(): () => number {
  const live = new Set<unknown>();
  const [set, clear] = [setInterval, clearInterval];
  vi.spyOn(globalThis, 'setInterval').mockImplementation(((fn: () => void, ms: number) => {
    const interval = set(fn, ms);
    live.add(interval);
    return interval;
  }) as never);
  vi.spyOn(globalThis, 'clearInterval').mockImplementation((interval) => {
    live.delete(interval);
    clear(interval as never);
  });
  return () => live.size;
}

describe('a wait', () => {
  beforeEach(stubHost);

  it('keeps the event loop alive until the last of a reader ends, and no timer without a limit', async () => {
    const { reader, writer, clock } = open();
    const live = held();
    const abort = new AbortController();
    const ends = [reader.wait(50), reader.wait(Infinity, abort.signal), reader.wait()];
    expect([live(), clock.waiting, getEventListeners(abort.signal, 'abort').length]).toEqual([1, 1, 1]);
    await clock.advance(50);
    expect([await end(ends[0] as Promise<boolean>), live(), clock.waiting]).toEqual([false, 1, 0]);
    abort.abort(new Error('gone'));
    await expect(end(ends[1] as Promise<boolean>)).rejects.toThrow('gone');
    expect(live()).toBe(1);
    writer.writeBatch([bytes(1), bytes(2)]);
    expect([await end(ends[2] as Promise<boolean>), live()]).toEqual([true, 0]);
  });

  it('lets go of its signal and its timer when something comes', async () => {
    const { reader, writer, clock } = open();
    const abort = new AbortController();
    const wait = reader.wait(500, abort.signal);
    writer.writeBatch([bytes(1), bytes(2)]);
    expect(await end(wait)).toBe(true);
    // The timer that is left is the writer's.
    expect([getEventListeners(abort.signal, 'abort').length, clock.waiting]).toEqual([0, 1]);
  });

  it.each(['aborted', 'timed out', 'closed'])(
    'that is %s takes its bit back for good, and passes a wake on',
    async (how) => {
      const { reader, writer, clock, attach, asleep } = open();
      const abort = new AbortController();
      const wait = reader.wait(50, abort.signal).catch(() => 'aborted');
      const other = attach().wait();
      expect(asleep()).toBe(0b11);
      // Below the threshold: nobody is woken.
      writer.tryWrite(bytes(1));
      expect([writer.stats().wakes, asleep()]).toEqual([0, 0b11]);
      if (how === 'aborted') abort.abort();
      else if (how === 'closed') reader.close();
      else await clock.advance(50);
      expect(asleep()).toBe(0);
      expect([await end(wait), await end(other)]).toEqual([
        { aborted: 'aborted', 'timed out': true, closed: false }[how],
        true,
      ]);
      await turn();
      expect(asleep()).toBe(0);
    },
  );

  it('that ends with nothing to read wakes nobody', async () => {
    const { reader, clock, attach, asleep } = open();
    const wait = reader.wait(50);
    const other = attach();
    const late = other.wait();
    await clock.advance(50);
    await turn();
    expect([await end(wait), asleep()]).toEqual([false, 0b10]);
    other.close();
    expect([await end(late), asleep()]).toEqual([false, 0]);
  });

  it('is announced anew after its thread has slept', async () => {
    const { reader, writer, asleep } = open();
    const wait = reader.wait();
    expect([reader.waitSync(0), asleep()]).toEqual([false, 0]);
    await turn();
    expect(asleep()).toBe(1);
    writer.writeBatch([bytes(1), bytes(2)]);
    expect([writer.stats().wakes, await end(wait)]).toEqual([1, true]);
  });

  it('goes on when a wake was for nothing', async () => {
    const { reader, writer, attach, asleep } = open();
    const wait = reader.wait();
    writer.writeBatch([bytes(1), bytes(2)]);
    attach().readBatch(() => {});
    await turn();
    expect(asleep()).toBe(1);
    writer.writeBatch([bytes(1), bytes(2)]);
    expect([writer.stats().wakes, await end(wait)]).toEqual([2, true]);
  });
});

describe('where the host has no Atomics.waitAsync, a wait', () => {
  const poll = (): void =>
    void vi.stubGlobal('Atomics', Object.assign(Object.create(Atomics), { waitAsync: undefined }));

  it('looks every 4 ms, once for all, and asks for no wake', async () => {
    const { reader, writer, clock, asleep } = open();
    poll();
    const ends = [reader.wait(), reader.wait()];
    expect([clock.waiting, asleep()]).toEqual([1, 0]);
    await clock.advance(6);
    writer.tryWrite(bytes(1));
    let ended = 0;
    for (const one of ends) void one.then((isThere) => (ended += Number(isThere)));
    await clock.advance(1.9);
    expect(ended).toBe(0);
    await clock.advance(0.2);
    expect(ended).toBe(2);
    // The writer's.
    expect(clock.waiting).toBe(1);
  });

  it('looks no more once it has ended', async () => {
    const { reader, clock } = open();
    poll();
    const wait = reader.wait(2);
    await clock.advance(2);
    expect([await end(wait), clock.waiting]).toEqual([false, 1]);
    await clock.advance(2);
    expect(clock.waiting).toBe(0);
  });
});
