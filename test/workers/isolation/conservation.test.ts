import { join } from 'node:path';
import type { Sets, SetsOptions } from 'evenkeel/isolation';
import { seededRandom } from 'evenkeel/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { builtWorker } from './build.js';
import { Command } from './commands.js';
import { fate, message, openSets, startedWorkers, total } from './open.js';

const worker = builtWorker(join(import.meta.dirname, 'work.ts'));
const open = (options?: Partial<SetsOptions>): Sets => openSets(worker.url(), options);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a set with several workers', () => {
  it('gives every one of many calls one outcome, whatever dies in the middle', async () => {
    const sets = open({ sets: { only: { workers: 3 } }, route: () => 'only', restartMinMs: 1, restartMaxMs: 5 });
    const calls = Array.from({ length: 1_000 }, (_, i) =>
      sets.call(message(i % 100 === 50 ? Command.EXIT : 0, i % 256)),
    );
    const fates = await Promise.all(calls.map(fate));
    expect(fates).toEqual(fates.map((_, i) => (i % 100 === 50 ? 'set_aside' : `answer 0,${i % 256}`)));
    expect(sets.snapshot().only).toMatchObject({ done: 990, setAside: 10, restarts: 20, queued: 0, inWork: 0 });
  });
});

describe('workers that are terminated at random times', () => {
  it('lose nothing: a hundred of them, and every call is answered once', async () => {
    const random = seededRandom(5);
    const started = startedWorkers();
    const sets = open({
      sets: { '0': { workers: 3 } },
      maxKills: 1_000,
      restartMinMs: 1,
      restartMaxMs: 1,
      capacity: 64,
    });
    let offered = 0;
    let terminated = 0;
    const wrong: string[] = [];
    const client = async (id: number): Promise<void> => {
      while (terminated < 100) {
        const [high, low] = [(offered >> 8) & 255, offered++ & 255];
        const answer = await fate(sets.call(message(0, id, high, low)));
        if (answer !== `answer 0,${id},${high},${low}`) wrong.push(answer);
        if (random() < 0.01 && started.length > 0) {
          terminated++;
          const [worker] = started.splice(Math.floor(random() * started.length), 1);
          void worker?.terminate();
        }
      }
    };
    await Promise.all(Array.from({ length: 32 }, (_, id) => client(id)));
    expect(wrong).toEqual([]);
    expect(sets.snapshot()['0']).toMatchObject({ done: offered, queued: 0, inWork: 0 });
    expect(total(sets)).toBe(offered);
  }, 60_000);
});
