import { createRing } from 'evenkeel/ring-buffer';
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/core/time/clock.js';
import { attach } from '../../../src/workers/ring-buffer/layout.js';
import { Pace } from '../../../src/workers/ring-buffer/pace.js';

const pace = (): Pace => new Pace(attach('test', createRing({ capacity: 1, slotBytes: 1 })).memory);
/** At which of so many sleeps, `everyMs`, it naps; in each nap so many messages are written. */
function naps(of: Pace, sleeps: number, everyMs: number, written: number): number[] {
  const at: number[] = [];
  for (let i = 0; i < sleeps; i++) {
    if (!of.wantsNap(i * everyMs)) continue;
    at.push(i);
    of.rested(written);
  }
  return at;
}

describe('before it sleeps, a reader', () => {
  it('never naps where messages come one by one, 4,000 a second', () => {
    expect(naps(pace(), 100, 0.25, 100)).toEqual([]);
  });

  it('naps each time as long as that lets messages gather', () => {
    expect(naps(pace(), 10, 0.01, 100)).toEqual([4, 5, 6, 7, 8, 9]);
  });

  it('naps ever more rarely where it does not: the other end waits for an answer to each', () => {
    const one = pace();
    expect(naps(one, 600, 0.01, 1)).toEqual([4, 12, 28, 60, 124, 252, 508]);
    // And again at once when it does.
    expect(naps(one, 500, 0.01, 100).length).toBeGreaterThan(200);
  });

  it('starts anew after a longer sleep', () => {
    const one = pace();
    expect([0, 1, 2, 3].map((i) => one.wantsNap(i * 0.01))).toEqual([false, false, false, false]);
    expect([1, 1.01, 1.02, 1.03, 1.04].map((ms) => one.wantsNap(ms))).toEqual([false, false, false, false, true]);
  });

  it('looks longer after looking has helped', () => {
    const one = pace();
    let looks = 0;
    const trueFrom = (n: number) => (): boolean => looks++ >= n;
    expect([one.spin(trueFrom(40)), looks]).toEqual([true, 41]);
    looks = 0;
    expect([one.spin(trueFrom(Infinity)), looks]).toEqual([false, 100]);
    looks = 0;
    expect([one.spin(trueFrom(Infinity)), looks]).toEqual([false, 50]);
  });

  it('pauses between claims, twice as long each time, until they are large or there is nothing', () => {
    const one = pace();
    expect(Array.from({ length: 7 }, () => one.gather(15))).toEqual([16, 48, 112, 240, 496, 1_000, 1_000]);
    one.isEmpty();
    expect([one.gather(16), one.gather(1), one.gather(16)]).toEqual([0, 16, 16]);
  });

  it('starts anew after exactly 0.2 ms, too', () => {
    const one = pace();
    expect([0, 0.2, 0.21, 0.22, 0.23, 0.24].map((ms) => one.wantsNap(ms))).toEqual([...Array(5).fill(false), true]);
  });

  it('looks no longer after its first look has helped', () => {
    const one = pace();
    let looks = 0;
    expect(one.spin(() => true)).toBe(true);
    expect([one.spin(() => ++looks < 0), looks]).toEqual([false, 50]);
  });

  it.each([
    [15, 7],
    [16, 0],
  ])('after a nap in which %i messages were written, naps again after %i hasty sleeps more', (written, after) => {
    const { memory } = attach('test', createRing({ capacity: 1, slotBytes: 1 }));
    vi.spyOn(memory, 'load')
      .mockReturnValueOnce(100)
      .mockReturnValueOnce(100 + written);
    const now = vi.spyOn(systemClock, 'now').mockReturnValue(5);
    const one = new Pace(memory);
    one.nap();
    now.mockRestore();
    expect(Array.from({ length: 10 }, (_, i) => one.wantsNap(5.1 + i / 10)).indexOf(true)).toBe(after);
  });

  it('wakes from a nap by itself', () => {
    const one = pace();
    one.nap();
    expect(one.wantsNap(0)).toBe(false);
  });
});
