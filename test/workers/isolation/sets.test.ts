import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMessageLost, type Sets, type SetsOptions } from 'evenkeel/isolation';
import { describe, expect, it } from 'vitest';
import { builtWorker } from './build.js';
import { Command } from './commands.js';
import { events, fate, message, openSets, total } from './open.js';

const worker = builtWorker(join(import.meta.dirname, 'work.ts'));
const open = (options?: Partial<SetsOptions>): Sets => openSets(worker.url(), options);

describe('createSets', () => {
  it('takes the path of its worker too', async () => {
    const sets = open({ worker: fileURLToPath(worker.url()) });
    expect(await fate(sets.call(message(0, 7)))).toBe('answer 0,7');
  });
});

describe('a call', () => {
  it('is answered by a worker, later if it takes its time', async () => {
    const sets = open();
    const calls = [Command.ECHO, Command.LATER].map((command) => sets.call(message(command, 7)));
    expect(await Promise.all(calls.map(fate))).toEqual(['answer 0,7', 'answer 4,7']);
  });

  it('does not share its bytes with anybody', async () => {
    const sets = open();
    const bytes = message(Command.LATER, 1);
    const call = sets.call(bytes);
    bytes[1] = 2;
    const answer = await call;
    expect(answer).toEqual(message(Command.LATER, 1));
    expect(answer.buffer.byteLength).toBe(2);
  });

  it('rejects with what the handler threw', async () => {
    const sets = open();
    const error = (await sets.call(message(Command.THROW, 1, 2)).catch((thrown) => thrown)) as Error;
    expect(error).toBeInstanceOf(Error);
    expect(`${error.name}: ${error.message}`).toBe('NoRoomError: no room for 3');
    expect(error.stack).toContain('worker.mjs');
    expect(await fate(sets.call(message(Command.THROW_NOTHING)))).toBe('Error: undefined');
  });

  it('rejects when the handler answers what is no answer, or too long a one', async () => {
    const sets = open();
    expect(await fate(sets.call(message(Command.NONSENSE)))).toContain('must be a Uint8Array, got "nonsense"');
    expect(await fate(sets.call(message(Command.LONG)))).toContain('replyBytes (1024), got 10000 bytes');
    expect(await fate(sets.call(message(Command.ECHO)))).toBe('answer 0');
  });

  it('rejects bad input, and nothing is left of it', async () => {
    const sets = open({ messageBytes: 4, route: ([command]) => (command === 0 ? 0 : 'elsewhere') });
    expect(await fate(sets.call(new Uint8Array(5)))).toBe(
      'RangeError: call: message.length must be ≤ messageBytes, 4, got 5',
    );
    expect(await fate(sets.call('x' as never))).toBe('TypeError: call: message must be a Uint8Array, got "x"');
    for (const timeoutMs of [NaN, 0, -1]) {
      expect(await fate(sets.call(message(0), { timeoutMs }))).toBe(
        `RangeError: call: timeoutMs must be a number > 0, got ${timeoutMs}`,
      );
    }
    for (const signal of [null, {}, 5]) {
      expect(await fate(sets.call(message(0), { signal: signal as never }))).toContain(
        'TypeError: call: signal must be an AbortSignal, got ',
      );
    }
    expect(await fate(sets.call(message(1)))).toBe(
      `RangeError: createSets: route must be a function that returns one of '0', got "elsewhere"`,
    );
    const two = open({ sets: 2, route: () => 2 });
    expect(await fate(two.call(message(1)))).toContain(`returns one of '0', '1', got 2`);
    expect(total(sets)).toBe(0);
  });

  it('is given up by its signal and its time limit, and its place is free once a worker has come to it', async () => {
    const sets = open({ capacity: 3 });
    const controller = new AbortController();
    const busy = sets.call(message(Command.BUSY, 50));
    const calls = [sets.call(message(0), { signal: controller.signal }), sets.call(message(0), { timeoutMs: 5 })];
    controller.abort('not any more');
    expect(await Promise.all([...calls, sets.call(message(0))].map(fate))).toEqual([
      'not any more',
      'timed out',
      'concurrency_limited',
    ]);
    await busy;
    expect(await fate(sets.call(message(0)))).toMatch(/answer|concurrency/);
    expect(await fate(sets.call(message(0), { signal: AbortSignal.abort('before') }))).toBe('before');
    expect(sets.snapshot()['0']).toMatchObject({ abandoned: 2, queued: 0, inWork: 0 });
  });
});

describe('a message that is too old', () => {
  it('is refused, by the worker that comes to it', async () => {
    const sets = open({ maxAgeMs: 50 });
    // Its worker takes a while to start.
    while ((await fate(sets.call(message(0)))) === 'too_old');
    const calls = [sets.call(message(Command.BUSY, 120)), sets.call(message(0))];
    expect(await Promise.all(calls.map(fate))).toEqual(['answer 9,120', 'too_old']);
    expect(sets.snapshot()['0']).toMatchObject({ done: 2, queued: 0, inWork: 0 });
  });

  it('is refused while all workers are busy', async () => {
    const sets = open({ maxAgeMs: 50, messageTimeoutMs: 10_000 });
    while ((await fate(sets.call(message(0)))) === 'too_old');
    const hung = fate(sets.call(message(Command.HANG)));
    expect(await fate(sets.call(message(0)))).toBe('too_old');
    await sets.close({ graceMs: 0 });
    expect(await hung).toBe('worker_lost');
  });
});

describe('a worker that does not start', () => {
  it('fails the calls that wait with what it died of, and refuses others until it is tried again', async () => {
    const sets = open({ worker: new URL('file:///nowhere/at-all.mjs'), restartMinMs: 5_000 });
    const error = (await sets.call(message(0)).catch((thrown) => thrown)) as Error;
    expect(error.message).toContain(
      'set sets.0 has no answer to the message: no worker of the set starts: Error: Cannot find module',
    );
    expect(isMessageLost(error) && error.reason).toBe('worker_lost');
    expect(events.find(({ type }) => type === 'worker_exit')).toMatchObject({
      end: 'exit',
      error: { code: 'MODULE_NOT_FOUND' },
    });
    while (events.filter(({ type }) => type === 'worker_exit').length < 2) await new Promise(setImmediate);
    const refusal = await sets.call(message(0)).catch((thrown) => thrown);
    expect(refusal).toMatchObject({ reason: 'no_instance', policy: 'sets.0' });
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    expect(total(sets)).toBe(2);
  });
});

describe('a message that kills', () => {
  it.each([
    ['by ending the thread', Command.EXIT, 'exit'],
    ['by an error that nobody catches', Command.CRASH_LATER, 'exit'],
    ['by never coming to an end', Command.LOOP, 'timeout'],
    ['by waiting for ever', Command.HANG, 'timeout'],
    ['by waiting for what never comes', Command.NEVER, 'exit'],
  ])('%s is set aside after the second time, and what waits behind it is answered', async (_, command, end) => {
    const sets = open({ messageTimeoutMs: end === 'timeout' ? 300 : 60_000 });
    const calls = [command, 0, 0, 0].map((first, i) => sets.call(message(first, i)));
    expect(await Promise.all(calls.map(fate))).toEqual(['set_aside', 'answer 0,1', 'answer 0,2', 'answer 0,3']);
    expect(events.filter(({ type }) => type === 'worker_exit')).toMatchObject([
      { set: '0', end },
      { set: '0', end },
    ]);
    expect(events.filter(({ type }) => type === 'message_set_aside')).toMatchObject([{ set: '0', kills: 2 }]);
    expect(sets.snapshot()['0']).toMatchObject({ setAside: 1, done: 3, restarts: 2, inWork: 0 });
  });

  it('says what it died of', async () => {
    const sets = open();
    const error = (await sets.call(message(Command.CRASH_LATER)).catch((thrown) => thrown)) as Error;
    expect(String(error.cause)).toContain('too late to be caught');
    expect(error.message).toBe(
      'set sets.0 has no answer to the message: it killed its worker 2 times, by a crash or by taking too long, and was set aside',
    );
  });
});

describe('a poisoned set', () => {
  it('hurts only itself: nine of ten answer everything', { timeout: 20_000 }, async () => {
    // Long enough that on a busy machine no other worker seems to hang.
    const sets = open({ sets: 10, route: (bytes) => bytes[1] as number, messageTimeoutMs: 2_000, restartMinMs: 10 });
    let poisoned = true;
    const poison = (async () => {
      for (let i = 0; poisoned; i++) await fate(sets.call(message(i < 2 ? Command.EXIT : Command.LOOP, 0)));
    })();
    try {
      for (let round = 0; round < 40; round++) {
        const calls = Array.from({ length: 9 }, (_, i) => sets.call(message(Command.LATER, i + 1)));
        expect(await Promise.all(calls.map(fate))).toEqual(calls.map((_, i) => `answer 4,${i + 1}`));
      }
      const { '0': bad, ...others } = sets.snapshot();
      for (const other of Object.values(others)) expect(other).toMatchObject({ done: 40, restarts: 0 });
      expect(bad).toMatchObject({ done: 0 });
    } finally {
      poisoned = false;
    }
    await sets.close({ graceMs: 0 });
    await poison;
  });
});

describe('a set that is full', () => {
  it('refuses at once, and says which set', async () => {
    const sets = open({ capacity: 2 });
    const calls = [1, 2, 3].map(() => sets.call(message(Command.LATER)));
    const refusal = await calls[2]?.catch((error) => error);
    expect(refusal).toMatchObject({ policy: 'sets.0', reason: 'concurrency_limited' });
    expect(await Promise.all(calls.slice(0, 2).map(fate))).toEqual(['answer 4', 'answer 4']);
    expect(total(sets)).toBe(3);
  });
});

describe('close', () => {
  it('waits for what is under way and takes nothing new', async () => {
    const sets = open();
    const call = sets.call(message(Command.LATER));
    const closed = sets.close();
    expect(await fate(sets.call(message(0)))).toBe('no_instance');
    expect(await fate(call)).toBe('answer 4');
    await closed;
    expect(sets.snapshot()['0']).toMatchObject({ workers: 0, done: 1, refused: 1 });
    await sets.close();
  });

  it('ends what takes longer than its grace', async () => {
    const sets = open();
    const call = sets.call(message(Command.HANG));
    const fateOfCall = fate(call);
    await sets.close({ graceMs: 10 });
    expect(await fateOfCall).toBe('worker_lost');
    expect(total(sets)).toBe(1);
  });
});
