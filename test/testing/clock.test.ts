import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

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
