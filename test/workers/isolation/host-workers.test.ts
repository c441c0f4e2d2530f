import { describe, expect, it, vi } from 'vitest';
import { Answer, Phase, WorkerStatus } from '../../../src/workers/isolation/protocol.js';
import { call, clock, events, heard, message, NOTHING, open, played, WORKER, worker } from './played-host.js';

describe('a worker', () => {
  it('is started with the options of the user, and what connects it', () => {
    const workerOptions = { workerData: { mine: 1 }, name: 'checker' };
    open({ workerOptions, messageBytes: 100, capacity: 10 }, 2);
    expect(played.workers.map(({ file, keepsProcess }) => [file, keepsProcess])).toEqual([
      [WORKER, false],
      [WORKER, false],
    ]);
    const { options, connection } = worker(1);
    expect(options).toEqual({ name: 'checker', workerData: { mine: 1, evenkeel: connection } });
    expect(connection).toMatchObject({ reader: 1, messageBytes: 100, replyBytes: 100 });
    expect(workerOptions).toEqual({ workerData: { mine: 1 }, name: 'checker' });
  });

  it('has room for answers of 64 bytes, if messages are shorter', () => {
    open({ messageBytes: 3 });
    expect(worker(0).connection).toMatchObject({ messageBytes: 3, replyBytes: 64 });
  });

  it('that dies young is replaced at once, then after waits that double; one that has lived long, at once', async () => {
    open({ restartMinMs: 100, restartMaxMs: 350 });
    const startedAt: number[] = [];
    const { make } = played;
    played.make = (file, options) => {
      startedAt.push(clock.now());
      return make(file, options);
    };
    const waits: number[] = [];
    for (const livesMs of [0, 349, 0, 0, 0, 350, 0, 0]) {
      worker(played.workers.length - 1).is(Phase.IDLE);
      await clock.advance(livesMs);
      const diedAt = clock.now();
      worker(played.workers.length - 1).exit();
      await clock.advance(350);
      waits.push((startedAt.at(-1) as number) - diedAt);
      // Back to when it started, so that the next one is no older than it shall be.
      clock.jump((startedAt.at(-1) as number) - clock.now());
    }
    expect(waits).toEqual([0, 100, 200, 350, 350, 0, 0, 100]);
    expect(events[0]).toEqual({
      type: 'worker_exit',
      policy: 'sets',
      at: 1_000,
      set: '0',
      end: 'exit',
      error: undefined,
    });
  });

  it('that is at one message for too long is ended, not a moment sooner, and once', async () => {
    const sets = open({ messageTimeoutMs: 500, maxKills: 1 });
    const slow = call(sets);
    const next = call(sets);
    worker(0).begin();
    played.now += 499.9;
    await clock.advance(50);
    expect(worker(0).terminations).toBe(0);
    played.now = 5_500;
    await clock.advance(49);
    expect(worker(0).terminations).toBe(0);
    await clock.advance(1);
    expect(worker(0).terminations).toBe(1);
    await clock.advance(1_000);
    expect(worker(0).terminations).toBe(1);
    worker(0).exit();
    await heard();
    expect([slow.fate, next.fate]).toEqual(['set_aside', 'none yet']);
    expect(events).toEqual([
      { type: 'worker_exit', policy: 'sets', at: 2_100, set: '0', end: 'timeout', error: undefined },
      { type: 'message_set_aside', policy: 'sets', at: 2_100, set: '0', kills: 1 },
    ]);
    worker(1).is(Phase.IDLE);
    worker(1).serve(3);
    await clock.advance(50);
    expect(next.fate).toBe('answer 3');
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, done: 1, setAside: 1, restarts: 1 });
  });

  it.each([
    [5, 1],
    [1e6, 100],
  ])('is looked after from time to time: of %s ms for a message, every %s ms', async (messageTimeoutMs, everyMs) => {
    const sets = open({ messageTimeoutMs });
    call(sets);
    call(sets);
    expect(clock.dueTimes()).toEqual([1_000 + everyMs]);
    await clock.advance(everyMs);
    expect(clock.dueTimes()).toEqual([1_000 + 2 * everyMs]);
    // Until nothing is left to look after.
    worker(0).serve();
    worker(0).serve();
    await clock.advance(everyMs);
    expect(clock.waiting).toBe(0);
  });

  it('is looked after in time also when calls come one after the other', async () => {
    const sets = open();
    for (const ms of [0, 40, 40]) {
      await clock.advance(ms);
      call(sets);
      worker(0).serve();
      await vi.waitUntil(() => sets.snapshot()['0']?.inWork === 0, { interval: 1 });
      expect(clock.dueTimes()).toEqual([1_100]);
    }
  });

  it('that was ended for one message and has another by then is not killed by that', async () => {
    const sets = open({ messageTimeoutMs: 500, maxKills: 1 });
    const slow = call(sets);
    const next = call(sets);
    const place = worker(0).begin();
    played.now = 5_500;
    await clock.advance(50);
    worker(0).reply(place, Answer.VALUE, message(1));
    worker(0).begin();
    worker(0).exit();
    await heard();
    expect([slow.fate, next.fate]).toEqual(['answer 1', 'none yet']);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 1, setAside: 0 });
  });

  it('that goes on to its next message while it is looked at is not ended for the last one', async () => {
    const sets = open({ messageTimeoutMs: 500 });
    call(sets);
    worker(0).begin();
    const beganAt = vi.spyOn(WorkerStatus.prototype, 'beganAt', 'get').mockReturnValueOnce(-1e6);
    await clock.advance(50);
    expect(beganAt).toHaveBeenCalledTimes(2);
    beganAt.mockRestore();
    expect(worker(0).terminations).toBe(0);
  });

  it('that is dead is not ended for what it was at', async () => {
    const sets = open({ messageTimeoutMs: 500, maxKills: 9, restartMinMs: 5_000 });
    call(sets);
    for (const nth of [0, 1]) {
      worker(nth).begin();
      worker(nth).exit();
      await heard();
    }
    played.now += 1e6;
    await clock.advance(1_000);
    expect(played.workers.map(({ terminations }) => terminations)).toEqual([0, 0]);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 1, workers: 0 });
  });

  it('that does not start in time is ended', async () => {
    const sets = open({ startTimeoutMs: 200 });
    worker(0).is(Phase.STARTING);
    call(sets);
    await clock.advance(199);
    expect(worker(0).terminations).toBe(0);
    await clock.advance(1);
    expect(worker(0).terminations).toBe(1);
  });

  it('that is idle, or between two messages, is left alone', async () => {
    const sets = open({ messageTimeoutMs: 500, startTimeoutMs: 100 }, 2);
    call(sets);
    worker(0).name(worker(0).claim());
    played.now += 1e6;
    await clock.advance(1_000);
    expect(played.workers.map(({ terminations }) => terminations)).toEqual([0, 0]);
  });
});
