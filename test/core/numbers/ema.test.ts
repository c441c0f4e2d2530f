import { describe, expect, it } from 'vitest';
import { Ema } from '../../../src/core/numbers/ema.js';

describe('Ema', () => {
  it('is the series x·r + ema·(1 − r) with r = 2 / (samples + 1)', () => {
    const ema = new Ema(3, 100);
    const series = [200, 0, 50].map((x) => {
      ema.record(x);
      return ema.value;
    });
    expect(series).toEqual([150, 75, 62.5]);
  });

  it('takes the first sample as its start when it has no seed', () => {
    const ema = new Ema(3, undefined);
    expect(ema.value).toBe(0);
    ema.record(40);
    expect(ema.value).toBe(40);
    ema.record(0);
    expect(ema.value).toBe(20);
  });

  it('takes a seed of 0 for a seed', () => {
    const ema = new Ema(3, 0);
    ema.record(40);
    expect(ema.value).toBe(20);
  });

  it('follows the latest sample when it looks back on one', () => {
    const ema = new Ema(1, 5);
    ema.record(9);
    expect(ema.value).toBe(9);
  });

  it('stays within the range of its samples and closes on a constant', () => {
    const ema = new Ema(80, 0);
    for (let i = 0; i < 5_000; i++) {
      ema.record(250);
      expect(ema.value).toBeGreaterThanOrEqual(0);
      expect(ema.value).toBeLessThanOrEqual(250);
    }
    expect(ema.value).toBeCloseTo(250, 9);
  });
});
