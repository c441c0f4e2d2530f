import { getEventListeners } from 'node:events';
import type { Sets } from 'evenkeel/isolation';
import { ringReader } from 'evenkeel/ring-buffer';
import { describe, expect, it, vi } from 'vitest';
import {
  Answer,
  bytesOfError,
  GivenUp,
  Header,
  Phase,
  REQUEST_HEADER_BYTES,
} from '../../../src/workers/isolation/protocol.js';
import {
  call,
  clock,
  createSets,
  events,
  heard,
  message,
  NOTHING,
  open,
  opened,
  played,
  WORKER,
  worker,
} from './played-host.js';

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
