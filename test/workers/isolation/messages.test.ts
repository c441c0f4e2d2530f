import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import type { Sets, SetsOptions } from 'evenkeel/isolation';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { builtWorker } from './build.js';
import { BEGUN, COUNTER, Command } from './commands.js';
import { eventsOf, fate, message, openSets, total, until } from './open.js';

const worker = builtWorker(join(import.meta.dirname, 'work.ts'));
const open = (options?: Partial<SetsOptions>): Sets => openSets(worker.url(), options);

/** Memory that the workers share, and what opens a gate in it. */
function gates(): { words: Int32Array; open: (gate: number) => void; workerOptions: Record<string, unknown> } {
  const words = new Int32Array(new SharedArrayBuffer(128));
  const openGate = (gate: number): void => {
    Atomics.store(words, gate, 1);
    Atomics.notify(words, gate);
  };
  return { words, open: openGate, workerOptions: { workerData: { shared: words } } };
}

describe('bytes', () => {
  it('of no message, and of the longest, come through, and so do answers', async () => {
    const sets = open({ messageBytes: 16, replyBytes: 16 });
    expect(await fate(sets.call(message()))).toBe('answer ');
    expect(await fate(sets.call(message(Command.EMPTY)))).toBe('answer ');
    const longest = Uint8Array.from({ length: 16 }, (_, i) => i);
    expect(await sets.call(longest)).toEqual(longest);
  });

  it('may be shared, a part of a larger buffer, or of another realm', async () => {
    const sets = open();
    const large = Uint8Array.from([9, 9, Command.SHARED, 7, 9]);
    expect(await fate(sets.call(large.subarray(2, 4)))).toBe(`answer ${Command.SHARED},7`);
    const shared = new Uint8Array(new SharedArrayBuffer(2));
    shared[1] = 5;
    expect(await fate(sets.call(shared))).toBe('answer 0,5');
    expect(await fate(sets.call(runInNewContext('Uint8Array.of(0, 3)')))).toBe('answer 0,3');
  });

  it('that were detached are refused, not sent as nothing', async () => {
    const sets = open();
    const bytes = message(0, 1);
    structuredClone(bytes, { transfer: [bytes.buffer] });
    expect(await fate(sets.call(bytes))).toContain('TypeError');
    expect(await fate(sets.call(message(Command.DETACHED)))).toContain('TypeError');
    expect(total(sets)).toBe(1);
  });

  it('a handler that throws what cannot be shown lives on', async () => {
    const sets = open();
    expect(await fate(sets.call(message(Command.THROW_ODD)))).toContain('cannot be turned into text');
    expect(sets.snapshot()['0']).toMatchObject({ failed: 1, restarts: 0 });
  });
});

describe('a call that nobody waits for any more', () => {
  it('is not begun', async () => {
    const { words, open: openGate, workerOptions } = gates();
    const sets = open({ workerOptions });
    const first = sets.call(message(Command.WAIT, 0));
    const caller = new AbortController();
    const calls = Array.from({ length: 5 }, () => fate(sets.call(message(Command.COUNT), { signal: caller.signal })));
    const last = sets.call(message(Command.COUNT));
    caller.abort('not any more');
    expect(await Promise.all(calls)).toEqual(calls.map(() => 'not any more'));
    openGate(0);
    await Promise.all([first, last]);
    expect(Atomics.load(words, COUNTER)).toBe(1);
    expect(sets.snapshot()['0']).toMatchObject({ abandoned: 5, done: 2, queued: 0, inWork: 0 });
    expect(eventsOf('rejected')).toEqual([]);
  });

  it('nor is one that its route has given up sent at all', async () => {
    const caller = new AbortController();
    const sets = open({
      route: () => {
        caller.abort('by the route');
        return 0;
      },
    });
    expect(await fate(sets.call(message(0), { signal: caller.signal }))).toBe('by the route');
    expect(total(sets)).toBe(0);
  });

  it('leaves its place to others as soon as a worker has come by, also while nobody waits for a reply', async () => {
    const { open: openGate, workerOptions } = gates();
    const sets = open({ workerOptions, capacity: 2 });
    const caller = new AbortController();
    const calls = [0, 0].map(() => fate(sets.call(message(Command.WAIT, 0), { signal: caller.signal })));
    caller.abort('not any more');
    await Promise.all(calls);
    expect(await fate(sets.call(message(0)))).toBe('concurrency_limited');
    openGate(0);
    let answer = 'concurrency_limited';
    while (answer === 'concurrency_limited') answer = await fate(sets.call(message(0)));
    expect(answer).toBe('answer 0');
  });

  it('has timed out when its own limit is the shorter one, whoever notices', async () => {
    const { open: openGate, workerOptions } = gates();
    // Its timers never fire, so that the worker is the one to notice.
    const sets = open({ workerOptions, clock: manualClock() });
    const first = sets.call(message(Command.WAIT, 0));
    const late = fate(sets.call(message(0), { timeoutMs: 1e-6 }));
    openGate(0);
    await first;
    expect(await late).toBe('timed out');
    expect(sets.snapshot()['0']).toMatchObject({ done: 1, abandoned: 1, droppedByAge: 0 });
  });

  it('has no other outcome when its worker answers all the same', async () => {
    const { words, open: openGate, workerOptions } = gates();
    const sets = open({ workerOptions });
    const caller = new AbortController();
    const given = fate(sets.call(message(Command.WAIT, 0), { signal: caller.signal }));
    const next = fate(sets.call(message(0)));
    await until(() => Atomics.load(words, BEGUN) === 1);
    caller.abort('not any more');
    openGate(0);
    expect(await Promise.all([given, next])).toEqual(['not any more', 'answer 0']);
    expect(sets.snapshot()['0']).toMatchObject({ abandoned: 1, done: 1, queued: 0, inWork: 0 });
  });

  it('is told of once when it is too old', async () => {
    const { open: openGate, workerOptions } = gates();
    const sets = open({ workerOptions, maxAgeMs: 50 });
    while ((await fate(sets.call(message(0)))) === 'too_old');
    const before = eventsOf('rejected').length;
    const first = sets.call(message(Command.WAIT, 0));
    expect(await fate(sets.call(message(0)))).toBe('too_old');
    openGate(0);
    await first;
    await until(() => sets.snapshot()['0']?.queued === 0);
    await fate(sets.call(message(0)));
    expect(eventsOf('rejected').length - before).toBe(1);
  });
});

describe('an observer', () => {
  it('may call, and close, the sets that it observes', async () => {
    const answers: Promise<string>[] = [];
    let closed: Promise<void> | undefined;
    const sets: Sets = open({
      capacity: 1,
      observer: ({ type }) => {
        if (type === 'message_set_aside') {
          answers.push(fate(sets.call(message(0, 1))), fate(sets.call(message(0, 2))));
          closed = sets.close();
          answers.push(fate(sets.call(message(0, 3))));
        }
      },
    });
    expect(await fate(sets.call(message(Command.EXIT)))).toBe('set_aside');
    expect(await Promise.all(answers)).toEqual(['answer 0,1', 'concurrency_limited', 'no_instance']);
    await closed;
    expect(total(sets)).toBe(4);
  });
});
