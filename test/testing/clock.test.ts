import { mock } from 'node:test';
import { balancer, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

describe('manualClock', () => {
  it('stands still until it is told to move', async () => {
    const clock = manualClock();
    expect(clock.now()).toBe(0);
    expect(manualClock(12.5).now()).toBe(12.5);
    await clock.advance(0.25);
    expect(clock.now()).toBe(0.25);
    await clock.run(100);
    expect(clock.now()).toBe(100);
    await clock.run(50);
    expect(clock.now()).toBe(100);
  });

  it('runs due timers in order, each at its own time, those of one time in the order of setting', async () => {
    const clock = manualClock(100);
    const log: [string, number][] = [];
    const set = (name: string, ms: number): unknown => clock.setTimer(() => log.push([name, clock.now()]), ms);
    set('c', 20);
    set('a', 10);
    set('late', 30.5);
    set('b', 10);
    set('never', Infinity);
    set('past', -5);
    clock.clearTimer(set('cleared', 15));
    expect(clock.waiting).toBe(5);
    expect(clock.dueTimes()).toEqual([100, 110, 110, 120, 130.5]);
    await clock.advance(30);
    expect(log).toEqual([
      ['past', 100],
      ['a', 110],
      ['b', 110],
      ['c', 120],
    ]);
    expect(clock.now()).toBe(130);
    expect(clock.waiting).toBe(1);
    await clock.advance(0.5);
    expect(log.at(-1)).toEqual(['late', 130.5]);
    expect(clock.waiting).toBe(0);
  });

  it('matches a sorted list for any timers and advances, also when timers set timers', async () => {
    const timers = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 9 })), {
      maxLength: 20,
    });
    const advances = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(timers, advances, async (list, steps) => {
        const clock = manualClock();
        const log: { timer: string; at: number }[] = [];
        const due: { timer: string; at: number }[] = [];
        list.forEach(([ms, more], i) => {
          clock.setTimer(() => {
            log.push({ timer: `${i}`, at: clock.now() });
            clock.setTimer(() => log.push({ timer: `${i} again`, at: clock.now() }), more);
          }, ms);
          due.push({ timer: `${i}`, at: ms }, { timer: `${i} again`, at: ms + more });
        });
        for (const ms of steps) await clock.advance(ms);
        const expected = due.filter(({ at }) => at <= clock.now());
        expect(log.map(({ at }) => at)).toEqual(expected.map(({ at }) => at).sort((a, b) => a - b));
        expect(new Map(log.map(({ timer, at }) => [timer, at]))).toEqual(
          new Map(expected.map(({ timer, at }) => [timer, at])),
        );
        const firsts = log.filter(({ timer }) => !timer.endsWith('again'));
        expect(firsts).toEqual([...firsts].sort((a, b) => a.at - b.at || Number(a.timer) - Number(b.timer)));
      }),
      { numRuns: 200 },
    );
  });

  it('lets promise chains of any depth run to their end before, between and after the timers', async () => {
    const clock = manualClock();
    const log: string[] = [];
    const chain = async (name: string): Promise<void> => {
      for (let i = 0; i < 5_000; i++) await null;
      log.push(`${name} at ${clock.now()}`);
    };
    void chain('before');
    clock.setTimer(() => void chain('first'), 10);
    clock.setTimer(() => log.push('second timer'), 10);
    clock.setTimer(() => void chain('last'), 20);
    await clock.advance(20);
    expect(log).toEqual(['before at 0', 'first at 10', 'second timer', 'last at 20']);
  });

  it('runs what promise chains set within the same advance', async () => {
    const clock = manualClock();
    const at: number[] = [];
    const loop = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        await new Promise<void>((resolve) => {
          clock.setTimer(resolve, 10);
        });
        at.push(clock.now());
      }
    };
    void loop();
    await clock.advance(35);
    expect(at).toEqual([10, 20, 30]);
    await clock.run(1_000);
    expect(at).toEqual([10, 20, 30, 40, 50]);
  });

  it('jumps without running anything, also backwards', async () => {
    const clock = manualClock();
    const at: number[] = [];
    clock.setTimer(() => at.push(clock.now()), 10);
    clock.jump(50);
    expect([clock.now(), at, clock.waiting]).toEqual([50, [], 1]);
    await clock.advance(0);
    expect(at).toEqual([50]);
    clock.jump(-30);
    expect(clock.now()).toBe(20);
    clock.setTimer(() => at.push(clock.now()), 5);
    await clock.advance(5);
    expect(at).toEqual([50, 25]);
  });

  it('drains code that mixes timers and promise chains of any depth', async () => {
    const depths = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 200 })), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(depths, { maxLength: 5 }), async (chains) => {
        const clock = manualClock();
        const ended: number[] = [];
        const run = async (steps: readonly (readonly [number, number])[]): Promise<void> => {
          for (const [ms, depth] of steps) {
            await new Promise<void>((resolve) => void clock.setTimer(resolve, ms));
            for (let i = 0; i < depth; i++) await null;
          }
          ended.push(clock.now());
        };
        for (const steps of chains) void run(steps);
        await clock.advance(400);
        const lengths = chains.map((steps) => steps.reduce((sum, [ms]) => sum + ms, 0));
        expect(ended.sort((a, b) => a - b)).toEqual(lengths.sort((a, b) => a - b));
        expect(clock.waiting).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('does not wait for what never settles, and says what is left', async () => {
    const clock = manualClock();
    let ended = false;
    void new Promise(() => {}).then(() => {
      ended = true;
    });
    clock.setTimer(() => {}, 80);
    await clock.advance(50);
    expect([ended, clock.now(), clock.dueTimes()]).toEqual([false, 50, [80]]);
  });

  it('ends where timers of 0 ms are set for ever, and says so', async () => {
    const clock = manualClock(7);
    const again = (): void => void clock.setTimer(again, 0);
    again();
    clock.setTimer(() => {}, 60);
    await expect(clock.advance(50)).rejects.toThrow(
      'manualClock: more than 100000 timers ran at 7 ms: something sets timers of 0 ms for ever; 2 timers are waiting, due at 7, 67 ms',
    );
  });

  it('ends code that waits for the time in a loop of promises', async () => {
    const clock = manualClock();
    let problem: unknown;
    const poll = async (): Promise<void> => {
      while (clock.now() < 20) await null;
    };
    clock.setTimer(() => {
      poll().catch((error) => {
        problem = error;
      });
    }, 10);
    await clock.advance(50);
    expect(String(problem)).toBe(
      'Error: manualClock: asked 10000000 times while it stands at 10 ms: wait by a timer instead',
    );
    expect(clock.now()).toBe(50);
  }, 60_000);

  it('settle moves on until a promise settles, and gives what it gives', async () => {
    const clock = manualClock();
    const sleep = (ms: number): Promise<string> =>
      new Promise((resolve) => void clock.setTimer(() => resolve(`after ${ms}`), ms));
    const call = async (): Promise<string> => {
      await sleep(30);
      return sleep(40);
    };
    clock.setTimer(() => {}, 500);
    expect(await clock.settle(call())).toBe('after 40');
    expect([clock.now(), clock.waiting]).toEqual([70, 1]);
    const failing = sleep(5).then(() => Promise.reject(new Error('HTTP 503')));
    await expect(clock.settle(failing)).rejects.toThrow('HTTP 503');
    expect(await clock.settle(Promise.resolve('now'))).toBe('now');
    expect(clock.now()).toBe(75);
  });

  it('settle says what is waiting where a promise does not settle', async () => {
    const clock = manualClock();
    const never = new Promise(() => {});
    await expect(clock.settle(never)).rejects.toThrow(
      'manualClock.settle: the promise has not settled by 0 ms; no timer is waiting that could bring anything about',
    );
    for (let i = 1; i <= 7; i++) clock.setTimer(() => {}, 10 * i);
    await expect(clock.settle(never, 15)).rejects.toThrow(
      'the promise has not settled by 15 ms; 6 timers are waiting, due at 20, 30, 40, 50, 60, … ms',
    );
    await expect(clock.settle(never, 50)).rejects.toThrow('not settled by 65 ms; 1 timer is waiting, due at 70 ms');
    await expect(clock.settle(never, -1)).rejects.toThrow(
      'manualClock.settle: withinMs must be a finite number ≥ 0, got -1',
    );
    await expect(clock.settle(never, Infinity)).rejects.toThrow('withinMs must be a finite number ≥ 0, got Infinity');
  });

  it('settle ends though a timer is set again and again, and says so', async () => {
    const clock = manualClock();
    const probe = (): Promise<void> => Promise.reject(new Error('x'));
    const instances = balancer({ instances: ['a', 'b'], clock, probe, probeIntervalMs: 1_000, minRequests: 1 });
    for (let i = 0; i < 20; i++) instances.report('a', 'failure', 0);
    const call = pipeline(instances.policy()).execute(() => new Promise(() => {}));
    await expect(clock.settle(call)).rejects.toThrow(
      'the promise has not settled by 3600000 ms; 1 timer is waiting, due at ',
    );
    expect(clock.now()).toBe(3_600_000);
    instances.close();
  });

  it('settle ends after a quarter of a million timers, at the time of the last', async () => {
    const clock = manualClock();
    const again = (): void => void clock.setTimer(again, 1);
    again();
    await expect(clock.settle(new Promise(() => {}))).rejects.toThrow(
      'the promise has not settled by 250000 ms, after 250000 timers; 1 timer is waiting, due at 250001 ms',
    );
    expect(clock.now()).toBe(250_000);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    [() => Promise.resolve(), 'a function'],
    [{}, 'an object'],
  ])('settle refuses what is no promise: %s', async (promise, shown) => {
    await expect(manualClock().settle(promise as never)).rejects.toThrow(
      `manualClock.settle: promise must be a promise, got ${shown}`,
    );
  });

  it.each([
    ["vitest's", () => void vi.useFakeTimers(), () => void vi.useRealTimers()],
    ["node:test's", () => mock.timers.enable(), () => mock.timers.reset()],
  ])('moves under fake timers, %s', { timeout: 10_000 }, async (_, fake, restore) => {
    const clock = manualClock();
    const sleep = (ms: number): Promise<string> =>
      new Promise((resolve) => void clock.setTimer(() => resolve(`after ${ms}`), ms));
    fake();
    try {
      expect(await clock.settle(sleep(30))).toBe('after 30');
      await clock.advance(20);
      expect(clock.now()).toBe(50);
    } finally {
      restore();
    }
  });

  it('refuses to be moved while it moves', async () => {
    const clock = manualClock();
    const refused: unknown[] = [];
    const note = (error: unknown): void => {
      refused.push(error);
    };
    clock.setTimer(() => {
      clock.advance(1).catch(note);
      clock.run(50).catch(note);
    }, 5);
    await clock.advance(10);
    expect(refused.map(String)).toEqual(Array(2).fill(expect.stringMatching(/manualClock: .* in progress/)));
    expect(clock.now()).toBe(10);
    await clock.advance(1);
    expect(clock.now()).toBe(11);
  });

  it('rejects with what a timer function threw, standing at its time, and can go on', async () => {
    const clock = manualClock();
    const log: string[] = [];
    clock.setTimer(() => {
      throw new Error('broken timer');
    }, 10);
    clock.setTimer(() => log.push('behind'), 10);
    await expect(clock.advance(50)).rejects.toThrow('broken timer');
    expect([clock.now(), clock.waiting, log]).toEqual([10, 1, []]);
    await clock.advance(0);
    expect(log).toEqual(['behind']);
  });

  it.each([NaN, Infinity, -Infinity, '5', null, undefined])('refuses to be moved by %s', async (value) => {
    const clock = manualClock(3);
    const ms = value as number;
    await expect(clock.advance(ms)).rejects.toThrow(/^manualClock\.advance: ms must be a finite number ≥ 0, got /);
    await expect(clock.run(ms)).rejects.toThrow(/^manualClock\.run: untilMs must be a finite number, got /);
    expect(() => clock.jump(ms)).toThrow(/^manualClock\.jump: ms must be a finite number, got /);
    if (value !== undefined) expect(() => manualClock(ms)).toThrow(/^manualClock: start must be a finite number, got /);
    expect(clock.now()).toBe(3);
  });

  it('refuses to advance backwards', async () => {
    await expect(manualClock().advance(-1)).rejects.toThrow(RangeError);
  });
});
