import { describe, expect, it } from 'vitest';
import { Answer, Phase } from '../../../src/workers/isolation/protocol.js';
import {
  call,
  clock,
  events,
  heard,
  message,
  NOTHING,
  open,
  type PlayedWorker,
  played,
  worker,
} from './played-host.js';

describe('a message whose worker dies', () => {
  const phases: [string, (dying: PlayedWorker) => void, number][] = [
    ['before it has named it', (dying) => void dying.claim(), 0],
    ['before it has begun', (dying) => dying.name(dying.claim()), 0],
    ['at it', (dying) => void dying.begin(), 1],
  ];

  it.each(phases)('%s goes to another worker, in which it is killed or not', async (_, die, kills) => {
    const sets = open({ maxKills: 2 }, 2);
    const lost = call(sets);
    die(worker(0));
    worker(0).emit('error', new Error('why'));
    worker(0).exit();
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, queued: 1, restarts: 1 });
    worker(1).begin();
    worker(1).exit();
    await heard();
    expect(lost.fate).toBe(kills === 1 ? 'set_aside' : 'none yet');
    expect(events.slice(0, 1)).toEqual([
      { type: 'worker_exit', policy: 'sets', at: 1_000, set: '0', end: 'exit', error: new Error('why') },
    ]);
    if (kills === 1) {
      expect(lost.error).toMatchObject({ set: 'sets.0', kills: 2, reason: 'set_aside' });
      return;
    }
    worker(2).is(Phase.IDLE);
    worker(2).serve(4);
    await clock.advance(100);
    expect(lost.fate).toBe('answer 4');
  });

  it('is answered if it said so before, and nothing is tried again', async () => {
    const sets = open();
    const calls = [call(sets), call(sets)];
    worker(0).reply(worker(0).begin(), Answer.VALUE, message(1));
    worker(0).exit();
    await heard();
    expect(calls.map(({ fate }) => fate)).toEqual(['answer 1', 'none yet']);
    expect(sets.snapshot()['0']).toMatchObject({ done: 1, queued: 1 });
  });

  it('is left to a living worker that may have it, and looked for soon again', async () => {
    const sets = open({}, 2);
    const calls = [call(sets), call(sets)];
    worker(0).claim();
    const place = worker(1).claim();
    worker(0).exit();
    // Either may have either.
    expect(sets.snapshot()['0']).toMatchObject({ queued: 0, inWork: 2 });
    expect(clock.dueTimes()).toEqual([1_000, 1_001]);
    await clock.advance(1);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 0, inWork: 2 });
    expect(clock.dueTimes()).toEqual([1_002]);
    worker(1).name(place);
    await clock.advance(1);
    expect(sets.snapshot()['0']).toMatchObject({ queued: 1, inWork: 1 });
    expect(clock.dueTimes()).toEqual([1_102]);
    worker(1).reply(place, Answer.VALUE, message(2));
    worker(1).serve(1);
    await clock.advance(100);
    expect(calls.map(({ fate }) => fate)).toEqual(['answer 1', 'answer 2']);
  });

  it('is not looked for again where a living worker claims, but nothing is missing', () => {
    const sets = open({}, 2);
    call(sets);
    worker(1).is(Phase.CLAIMING);
    clock.jump(10);
    worker(0).exit();
    expect(clock.dueTimes()).toEqual([1_010, 1_100]);
  });

  it('is not looked for while nobody has died', async () => {
    const sets = open();
    call(sets);
    worker(0).claim();
    await clock.advance(100);
    expect(clock.dueTimes()).toEqual([1_200]);
  });

  it('is not tried again when it was given up', async () => {
    const sets = open({ maxKills: 1 });
    const caller = new AbortController();
    const given = call(sets, { signal: caller.signal });
    worker(0).begin();
    caller.abort('not any more');
    worker(0).exit();
    await clock.advance(100);
    expect(given.fate).toBe('not any more');
    expect(events.map(({ type }) => type)).toEqual(['worker_exit']);
    expect(sets.snapshot()['0']).toEqual({ ...NOTHING, workers: 0, abandoned: 1, restarts: 1 });
    expect(clock.waiting).toBe(0);
  });
});

describe('workers that do not start', () => {
  it('fail what waits, and what comes, until one of them is up', async () => {
    const sets = open({ restartMinMs: 200, restartMaxMs: 200 }, 2);
    for (const one of played.workers) one.is(Phase.STARTING);
    const waits = call(sets);
    worker(0).exit(3);
    await heard();
    // The other one may start still.
    expect(waits.fate).toBe('none yet');
    worker(1).exit(3);
    await heard();
    expect(waits.fate).toBe('worker_lost');
    expect(String((waits.error as Error).cause)).toBe(
      'Error: the worker ended with exit code 3 before it called serve',
    );
    // Started at once, they are not up yet.
    const refused = call(sets);
    await heard();
    expect(refused.error).toMatchObject({ policy: 'sets.0', reason: 'no_instance', retryAfterMs: 0 });
    await clock.advance(50);
    worker(2).exit(3);
    await clock.advance(30);
    worker(3).exit(3);
    const later = call(sets);
    await heard();
    expect(later.error).toMatchObject({ reason: 'no_instance', retryAfterMs: 170 });
    await clock.advance(170);
    expect(played.workers).toHaveLength(5);
    worker(4).is(Phase.IDLE);
    const accepted = call(sets);
    worker(4).reply(worker(4).claim(), Answer.SKIPPED);
    worker(4).serve(9);
    await clock.advance(100);
    expect(accepted.fate).toBe('answer 9');
    expect(sets.snapshot()['0']).toMatchObject({ refused: 2, workerLost: 1, done: 1, restarts: 4, workers: 1 });
  });

  it('say that they had not called serve in time', async () => {
    const sets = open({ startTimeoutMs: 50 });
    worker(0).is(Phase.STARTING);
    const waits = call(sets);
    await clock.advance(100);
    worker(0).exit();
    await heard();
    expect(String((waits.error as Error).cause)).toBe('Error: the worker did not call serve within startTimeoutMs, 50');
    expect(events[0]).toMatchObject({ end: 'start_timeout' });
  });

  it('since the host has no thread to give are tried again', async () => {
    const sets = open({ restartMinMs: 200 });
    const { make } = played;
    played.make = () => {
      throw new Error('no thread');
    };
    const waits = call(sets);
    worker(0).exit();
    await heard();
    expect(waits.fate).toBe('worker_lost');
    expect(events.map((event) => 'error' in event && event.error)).toEqual([undefined, new Error('no thread')]);
    played.make = make;
    await clock.advance(200);
    expect(played.workers).toHaveLength(2);
  });
});
