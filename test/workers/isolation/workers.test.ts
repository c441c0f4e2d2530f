import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { isMessageLost, type Sets, type SetsOptions } from 'evenkeel/isolation';
import { manualClock } from 'evenkeel/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WorkerStatus } from '../../../src/workers/isolation/protocol.js';
import { builtWorker } from './build.js';
import { BEGUN, Command, FAILING_STARTS, HANGING_STARTS } from './commands.js';
import { events, eventsOf, fate, message, openSets, startedWorkers, total, until } from './open.js';

const worker = builtWorker(join(import.meta.dirname, 'work.ts'));
const open = (options?: Partial<SetsOptions>): Sets => openSets(worker.url(), options);

afterEach(() => {
  vi.restoreAllMocks();
});

const script = (code: string): URL => new URL(`data:text/javascript,${encodeURIComponent(code)}`);

describe('a worker that does not start', () => {
  it.each([
    ['does not parse', 'let let', /SyntaxError/],
    ['throws', 'throw new Error("no database")', /no database/],
    ['never calls serve', '0', /the worker ended with exit code 0 before it called serve/],
    ['exits', 'process.exit(3)', /the worker ended with exit code 3 before it called serve/],
  ])('since its file %s, fails its calls with the reason', async (_, code, why) => {
    const sets = openSets(script(code));
    const error = await sets.call(message(0)).catch((thrown) => thrown);
    expect(isMessageLost(error) && error.reason).toBe('worker_lost');
    expect(error.message).toMatch(why);
    expect(String(error.cause)).toMatch(why);
    expect(total(sets)).toBe(1);
  });

  it('since its file waits for ever, is ended', async () => {
    const sets = openSets(script('setInterval(() => {}, 1000)'), { startTimeoutMs: 50 });
    const error = await sets.call(message(0)).catch((thrown) => thrown);
    expect(error.message).toContain('the worker did not call serve within startTimeoutMs, 50');
    expect(eventsOf('worker_exit')[0]).toMatchObject({ end: 'start_timeout' });
  });

  it('is ended after its time also while another one answers call after call', { timeout: 20_000 }, async () => {
    const shared = new Int32Array(new SharedArrayBuffer(128));
    shared[HANGING_STARTS] = 1;
    const sets = open({
      sets: { '0': { workers: 2 } },
      // Long enough that on a busy machine the other one starts in time.
      startTimeoutMs: 2_000,
      workerOptions: { workerData: { shared } },
    });
    while (eventsOf('worker_exit').length === 0) await fate(sets.call(message(0)));
    expect(eventsOf('worker_exit')[0]).toMatchObject({ end: 'start_timeout' });
    expect(await fate(sets.call(message(0)))).toBe('answer 0');
  });

  it('is started again after waits that double up to the longest', async () => {
    const clock = manualClock();
    const startedAt: number[] = [];
    const { unref } = Worker.prototype;
    vi.spyOn(Worker.prototype, 'unref').mockImplementation(function (this: Worker) {
      startedAt.push(clock.now());
      unref.call(this);
    });
    openSets(script('process.exit(1)'), { clock, restartMinMs: 100, restartMaxMs: 500 });
    for (let starts = 1; starts <= 7; starts++) {
      await until(() => eventsOf('worker_exit').length === starts);
      for (let ms = 0; ms <= 600 && startedAt.length === starts; ms += 50) await clock.advance(ms === 0 ? 0 : 50);
    }
    const waits = startedAt.slice(1).map((at, i) => at - (startedAt[i] as number));
    expect(waits).toEqual([0, 100, 200, 400, 500, 500, 500]);
  });

  it('is forgiven as soon as another one has started', async () => {
    const shared = new Int32Array(new SharedArrayBuffer(128));
    shared[FAILING_STARTS] = 2;
    const sets = open({ restartMinMs: 1, workerOptions: { workerData: { shared } } });
    expect(await fate(sets.call(message(0)))).toBe('worker_lost');
    await until(() => sets.snapshot()['0']?.workers === 1);
    expect(await fate(sets.call(message(0, 7)))).toBe('answer 0,7');
    expect(sets.snapshot()['0']).toMatchObject({ restarts: 2, refused: 0 });
  });

  it('since its options can be used only once, is a failure to start like others', async () => {
    const { port2 } = new MessageChannel();
    const sets = open({
      restartMinMs: 1,
      restartMaxMs: 1,
      workerOptions: { workerData: { port2 }, transferList: [port2] },
    });
    const call = sets.call(message(Command.EXIT));
    const error = await call.catch((thrown) => thrown);
    expect(isMessageLost(error) && error.reason).toBe('worker_lost');
    expect(String(error.cause)).toContain('DataCloneError');
  });
});

describe('a worker that is ended for one message', () => {
  it('may hold another one by then, which is not to blame', async () => {
    const shared = new Int32Array(new SharedArrayBuffer(128));
    const openGate = (gate: number): void => {
      Atomics.store(shared, gate, 1);
      Atomics.notify(shared, gate);
    };
    const { terminate } = Worker.prototype;
    let end: (() => void) | undefined;
    vi.spyOn(Worker.prototype, 'terminate').mockImplementation(function (this: Worker) {
      return new Promise((resolve) => {
        end ??= () => resolve(terminate.call(this));
      });
    });
    const sets = open({ messageTimeoutMs: 50, maxKills: 1, workerOptions: { workerData: { shared } } });
    const slow = fate(sets.call(message(Command.WAIT, 0)));
    const next = fate(sets.call(message(Command.WAIT, 1)));
    await until(() => end !== undefined);
    openGate(0);
    expect(await slow).toBe('answer 12,0');
    await until(() => sets.snapshot()['0']?.queued === 0);
    vi.restoreAllMocks();
    end?.();
    await until(() => eventsOf('worker_exit').length === 1);
    openGate(1);
    expect(await next).toBe('answer 12,1');
    expect(sets.snapshot()['0']).toMatchObject({ done: 2, setAside: 0, restarts: 1 });
  });
});

describe('a worker that dies of a message that was given up', () => {
  it('is replaced, and the message is not tried again', async () => {
    const started = startedWorkers();
    const shared = new Int32Array(new SharedArrayBuffer(128));
    const sets = open({ workerOptions: { workerData: { shared } } });
    const caller = new AbortController();
    const call = fate(sets.call(message(Command.WAIT, 0), { signal: caller.signal }));
    await until(() => Atomics.load(shared, BEGUN) === 1);
    caller.abort('not any more');
    await started[0]?.terminate();
    expect([await call, await fate(sets.call(message(0)))]).toEqual(['not any more', 'answer 0']);
    expect(Atomics.load(shared, BEGUN)).toBe(1);
    expect(sets.snapshot()['0']).toMatchObject({ abandoned: 1, done: 1, restarts: 1 });
  });
});

describe('a worker that goes on to its next message while it is looked at', () => {
  it('is not ended for the time that the last one took', async () => {
    const shared = new Int32Array(new SharedArrayBuffer(128));
    const sets = open({ messageTimeoutMs: 20_000, workerOptions: { workerData: { shared } } });
    const call = fate(sets.call(message(Command.WAIT, 0)));
    await until(() => Atomics.load(shared, BEGUN) === 1);
    // The first look at its status finds the message before, which began long ago.
    const beganAt = vi.spyOn(WorkerStatus.prototype, 'beganAt', 'get').mockReturnValueOnce(-1e6);
    await until(() => beganAt.mock.calls.length >= 2);
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    expect(await call).toBe('answer 12,0');
    expect(sets.snapshot()['0']).toMatchObject({ done: 1, restarts: 0 });
  });
});

describe('serve', () => {
  it('is refused the second time, and the first goes on', async () => {
    const sets = open();
    expect(await fate(sets.call(message(Command.SERVE_AGAIN)))).toBe(
      'Error: serve: must be called only once in a worker',
    );
    expect(await fate(sets.call(message(0)))).toBe('answer 0');
    expect(sets.snapshot()['0']).toMatchObject({ restarts: 0 });
  });
});

describe('close', () => {
  it('may be called again while it waits, and all of the calls of it end', async () => {
    const sets = open();
    const call = sets.call(message(Command.LATER));
    await Promise.all([sets.close({ graceMs: Infinity }), sets.close({ graceMs: Infinity })]);
    expect(await fate(call)).toBe('answer 4');
    await sets.close();
  });

  it('in the midst of a restart, or of a start, leaves nothing behind', async () => {
    const started = startedWorkers();
    const sets = open({ sets: { '0': { workers: 3 } } });
    const calls = [Command.EXIT, 0, 0].map((command) => fate(sets.call(message(command))));
    await until(() => events.length > 0);
    await sets.close({ graceMs: 0 });
    await Promise.all(calls);
    await until(() => started.length === 0);
    expect(total(sets)).toBe(3);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 0, inWork: 0, workers: 0 });
  });
});
