/** Each check of the soak, with something planted that it has to notice. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { census, heapKb, leftOver } from './census.js';
import { bytesACall, MOST_BYTES_A_CALL } from './growth.js';
import { problemsOf, type RingPeriod } from './ring.js';
import { differences, type Outcomes } from './sets.js';

describe('what is left', () => {
  it('is noticed: a listener, timers, a thread, a port', async () => {
    const { signal } = new AbortController();
    const before = census(signal);
    expect(leftOver(before, census(signal))).toEqual([]);
    const onAbort = (): void => {};
    signal.addEventListener('abort', onAbort);
    const timers = [1, 2].map(() => setTimeout(() => {}, 1e6));
    const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
    const { port1, port2 } = new MessageChannel();
    const found = leftOver(before, census(signal)).join();
    for (const kind of ['hostTimers', 'listeners: 0 before, 1 now', 'workers', 'messagePorts']) {
      expect(found).toContain(kind);
    }
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    port1.close();
    await Promise.all([once(port2, 'close'), worker.terminate()]);
  });

  it('on the heap is noticed: 16 bytes a call, and not 0', () => {
    const kept: unknown[] = [];
    const growthOf = (leak: boolean): number => {
      const samples = Array.from({ length: 8 }, (_, i) => {
        for (let call = 0; call < 50_000; call++) {
          const left = { call };
          if (leak) kept.push(left);
        }
        return { kb: heapKb(), calls: (i + 1) * 50_000 };
      });
      return bytesACall(samples);
    };
    expect(growthOf(false)).toBeLessThan(MOST_BYTES_A_CALL);
    expect(growthOf(true)).toBeGreaterThan(MOST_BYTES_A_CALL);
    kept.length = 0;
  });
});

describe("the ring's books", () => {
  const good: RingPeriod = { numbered: 100, written: 100, read: 100, deadReaders: 0, deadWriters: 0, wrong: 0 };

  it('are in order, also where each of the dead has taken a batch along', () => {
    expect(problemsOf(good)).toEqual([]);
    expect(problemsOf({ ...good, numbered: 116, read: 84, deadReaders: 2, deadWriters: 1 })).toEqual([]);
  });

  it.each([
    ['one lost, and nobody has died', { read: 99 }, 'lost'],
    ['more lost than the dead can have claimed', { read: 83, deadReaders: 2 }, 'lost'],
    ['more read than written', { read: 101, deadReaders: 1 }, 'lost'],
    ['one that was never written', { numbered: 101 }, 'never written'],
    ['one read twice', { wrong: 8 }, 'message 7 was damaged'],
  ])('show %s', (_, change, problem) => {
    expect(problemsOf({ ...good, ...change })).toEqual([expect.stringContaining(problem)]);
  });
});

describe("the sets' books", () => {
  const seen: Outcomes = { done: 5, failed: 1, refused: 2, droppedByAge: 0, setAside: 1, workerLost: 0, abandoned: 3 };
  const set = { queued: 0, inWork: 0, oldestAgeMs: 0, restarts: 2, workers: 1 };

  it('are in order', () => {
    expect(differences(12, seen, [{ ...set, ...seen }])).toEqual([]);
  });

  it.each([
    ['a call without an outcome', differences(13, seen, [{ ...set, ...seen }]), '13 calls, 12 outcomes'],
    ['a call that is under way for ever', differences(12, seen, [{ ...set, ...seen, inWork: 1 }]), 'under way'],
    ['a call counted twice', differences(12, seen, [{ ...set, ...seen, done: 6 }]), '5 calls done, 6 by their count'],
  ])('show %s', (_, found, problem) => {
    expect(found).toEqual([expect.stringContaining(problem)]);
  });
});
