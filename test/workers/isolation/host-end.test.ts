import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Answer, Phase } from '../../../src/workers/isolation/protocol.js';
import { call, clock, events, heard, message, NOTHING, open, played, worker } from './played-host.js';

describe('close', () => {
  it('hears the last answers, fails the rest, and leaves no timer', async () => {
    const sets = open({}, 2);
    const answered = call(sets);
    const lost = call(sets);
    worker(0).exit();
    await heard();
    worker(2).is(Phase.IDLE);
    // The next one would come in 100 ms.
    worker(2).exit();
    const place = worker(1).begin();
    const closed = sets.close({ graceMs: 0 });
    await heard();
    expect(played.workers.map(({ terminations }) => terminations)).toEqual([0, 1, 0]);
    worker(1).reply(place, Answer.VALUE, message(1));
    worker(1).exit();
    await closed;
    expect([answered.fate, lost.fate]).toEqual(['answer 1', 'worker_lost']);
    expect(lost.error).toMatchObject({
      message: 'set sets.0 has no answer to the message: the sets were closed before it was answered',
    });
    expect(events.map(({ type }) => type)).toEqual(['worker_exit', 'worker_exit']);
    expect(clock.waiting).toBe(0);
    const late = call(sets);
    await heard();
    expect(late.error).toMatchObject({ policy: 'sets.0', reason: 'no_instance', retryAfterMs: 0 });
    expect(sets.snapshot()['0']).toEqual({
      ...NOTHING,
      workers: 0,
      done: 1,
      workerLost: 1,
      restarts: 2,
      refused: 1,
    });
  });

  it('waits for its grace, ten seconds unless told, and no longer than for the calls', async () => {
    const sets = open();
    call(sets);
    void sets.close();
    expect(clock.dueTimes()).toEqual([1_100, 11_000]);
    await clock.advance(9_999);
    expect(worker(0).terminations).toBe(0);
    await clock.advance(1);
    expect(worker(0).terminations).toBe(1);
  });

  it('of sets with nothing to do takes no time, and of bad grace is refused', async () => {
    const sets = open();
    await expect(sets.close({ graceMs: -1 })).rejects.toThrow(
      new RangeError('close: graceMs must be a number ≥ 0, got -1'),
    );
    expect(worker(0).terminations).toBe(0);
    const closed = sets.close();
    await heard();
    expect([worker(0).terminations, clock.now(), clock.waiting]).toEqual([1, 1_000, 0]);
    worker(0).exit();
    await closed;
  });

  it('may be asked for twice', async () => {
    const sets = open();
    const last = call(sets);
    const closed = [sets.close(), sets.close()];
    await heard();
    expect(worker(0).terminations).toBe(0);
    worker(0).serve(1);
    await clock.advance(100);
    worker(0).exit();
    await Promise.all(closed);
    expect([last.fate, clock.waiting]).toEqual(['answer 1', 0]);
  });

  it('ends the workers with the last call', async () => {
    const sets = open();
    const last = call(sets);
    const closed = sets.close();
    worker(0).serve(1);
    await clock.advance(100);
    expect([last.fate, worker(0).terminations, clock.waiting]).toEqual(['answer 1', 1, 0]);
    worker(0).exit();
    await closed;
  });
});

describe('the process', () => {
  /** What keeps it; a wait for replies does so, too. */
  const holds = new Set<unknown>();
  beforeEach(() => {
    holds.clear();
    const { setInterval, clearInterval } = globalThis;
    vi.stubGlobal('setInterval', (...args: Parameters<typeof setInterval>) => {
      const hold = setInterval(...args);
      holds.add(hold);
      return hold;
    });
    vi.stubGlobal('clearInterval', (hold: ReturnType<typeof setInterval>) => {
      holds.delete(hold);
      clearInterval(hold);
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const someTurns = async (enough: () => boolean = () => false): Promise<void> => {
    for (const until = performance.now() + 200; !enough() && performance.now() < until; ) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it('is kept while a call waits and no worker is there to keep it', async () => {
    const sets = open({ restartMinMs: 300, maxKills: 9 });
    const first = call(sets);
    expect(holds.size).toBe(1);
    worker(0).begin();
    worker(0).exit();
    await heard();
    worker(1).is(Phase.IDLE);
    worker(1).begin();
    worker(1).exit();
    await someTurns();
    expect(holds.size).toBe(1);
    await clock.advance(300);
    worker(2).is(Phase.IDLE);
    worker(2).serve(1);
    await clock.advance(100);
    expect(first.fate).toBe('answer 1');
    await someTurns(() => holds.size === 0);
    expect(holds.size).toBe(0);
    worker(2).exit();
    expect(holds.size).toBe(0);
    const waiting = call(sets);
    expect(holds.size).toBe(1);
    await clock.advance(600);
    worker(3).is(Phase.IDLE);
    worker(3).serve(2);
    await clock.advance(100);
    expect(waiting.fate).toBe('answer 2');
    await someTurns(() => holds.size === 0);
    expect(holds.size).toBe(0);
  });

  it('is not kept by the set while one of its workers is there', async () => {
    const sets = open({}, 2);
    worker(0).exit();
    call(sets);
    // The wait for the replies of the other one.
    expect(holds.size).toBe(1);
  });
});
