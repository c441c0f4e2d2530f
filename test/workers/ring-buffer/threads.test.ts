/** Real threads. `npm run test:threads` is the full run: 10^7 messages a ring, 200 terminations. */
import { execFileSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { systemClock } from 'evenkeel';
import { ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { seededRandom } from 'evenkeel/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COUNT, DONE, fill, PROBLEM, type Shared, share } from './messages.js';
import { buildPrograms, ended, startReader } from './threads.js';

const FULL = process.env.RING_THREADS === 'full';
const MESSAGES = FULL ? 10_000_000 : 300_000;
const TERMINATIONS = FULL ? 200 : 12;
const SLOT_BYTES = 64;

let programs: Awaited<ReturnType<typeof buildPrograms>>;
beforeAll(async () => {
  programs = await buildPrograms('reader-program', 'loop-program', 'writer-program');
}, 60_000);
afterAll(() => programs?.remove());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const start = (shared: Shared, id: number, takeOver = false): Worker =>
  startReader(programs.path('reader-program'), shared, { id, takeOver });

/** Writes messages `from` to before `to`; gives the event loop a turn where the ring is full. */
async function writeAll(
  shared: Shared,
  batch: number,
  during: (written: number) => Promise<void> | undefined = () => undefined,
): Promise<void> {
  const writer = ringWriter(shared.ring);
  const total = shared.seen.byteLength;
  const space = Array.from({ length: batch }, () => new Uint8Array(SLOT_BYTES));
  for (let i = 0; i < total; ) {
    const list = space.slice(0, total - i).map((bytes, k) => fill(bytes, i + k));
    const written = writer.writeBatch(list);
    i += written;
    if (written < list.length) await turn();
    await during(i);
  }
  Atomics.store(new Int32Array(shared.state), DONE, 1);
  writer.flush();
}

describe('threads', { timeout: 600_000 }, () => {
  it.each([1, 2, 4])('%i readers get each message once, whole and in order', async (readers) => {
    const shared = share(MESSAGES, { capacity: 512, slotBytes: SLOT_BYTES });
    const ends = Array.from({ length: readers }, (_, id) => ended(start(shared, id)));
    await writeAll(shared, 16);
    await Promise.all(ends);
    const state = new Int32Array(shared.state);
    expect([state[PROBLEM], state[COUNT]]).toEqual([0, MESSAGES]);
    expect(new Uint8Array(shared.seen).every((count) => count === 1)).toBe(true);
  });

  it(`goes on through ${TERMINATIONS} terminations`, async () => {
    const readers = 3;
    const random = seededRandom(11);
    const shared = share(FULL ? 2_000_000 : 200_000, { capacity: 256, slotBytes: SLOT_BYTES }, 8);
    const total = shared.seen.byteLength;
    const run = (id: number, takeOver: boolean) => {
      const worker = start(shared, id, takeOver);
      return { worker, end: ended(worker) };
    };
    const runs = Array.from({ length: readers }, (_, id) => run(id, false));
    let terminated = 0;
    let change: Promise<void> | undefined;
    const terminate = async (id: number): Promise<void> => {
      await runs[id]?.worker.terminate();
      runs[id] = run(id, true);
      change = undefined;
    };
    await writeAll(shared, 4, (written) => {
      if (terminated === TERMINATIONS || written <= (total * terminated) / TERMINATIONS) return;
      // The others go on while one is replaced.
      if (change !== undefined) return written > (total * (terminated + 1)) / (TERMINATIONS + 1) ? change : undefined;
      terminated++;
      change = terminate(Math.floor(random() * readers));
      return;
    });
    await change;
    await Promise.all(runs.map(({ end }) => end));
    expect(terminated).toBe(TERMINATIONS);
    const counts = new Uint8Array(shared.seen);
    expect(new Int32Array(shared.state)[PROBLEM]).toBe(0);
    expect(counts.every((count) => count <= 1)).toBe(true);
    // At most the batch in its hands a reader that died.
    expect(counts.filter((count) => count === 0).length).toBeLessThanOrEqual(8 * TERMINATIONS);
  });

  it('times of receipt are comparable, wherever a thread begins to count', async () => {
    const { ring } = share(1, { capacity: 4, slotBytes: 8 });
    const reader = ringReader(ring);
    const before = systemClock.now();
    const worker = new Worker(programs.path('writer-program'), { workerData: { ring, shiftMs: -12_345 } });
    await Promise.all([reader.wait(), ended(worker)]);
    expect(reader.tryRead(new Uint8Array(8))).toBe(1);
    // The two origins are measured, to a small part of a ms.
    expect(reader.receivedAt).toBeGreaterThan(before - 1);
    expect(reader.receivedAt).toBeLessThan(systemClock.now() + 1);
    expect(reader.tryRead(new Uint8Array(8))).toBe(1);
    // What the writer said: received 100 ms before.
    expect(reader.receivedAt).toBeGreaterThan(before - 101);
    expect(reader.receivedAt).toBeLessThan(systemClock.now() - 99);
  });

  it.each([
    ['waits', 'timeout false\nmessage true\n'],
    ['no waitAsync', 'timeout false\nmessage true\n'],
    ['aborted', 'aborted true\n'],
    ['closed', 'closed false\n'],
    ['left', 'left true\n'],
  ])('a process stays alive while a reader waits, and no longer: %s', (what, printed) => {
    expect(execFileSync(process.execPath, [programs.path('loop-program'), what], { encoding: 'utf8' })).toBe(printed);
  });
});
