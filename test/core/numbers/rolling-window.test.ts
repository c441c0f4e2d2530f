import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RollingWindow } from '../../../src/core/numbers/rolling-window.js';

/** The window as its docblock defines it: every event kept, every total counted anew. */
class EventList {
  #head = -Infinity;
  #events: { bucket: number; series: number; amount: number }[] = [];

  constructor(
    readonly bucketMs: number,
    readonly buckets: number,
  ) {}

  advance(now: number): void {
    this.#head = Math.max(this.#head, Math.floor(now / this.bucketMs));
  }

  add(series: number, at: number, amount: number): void {
    this.#events.push({ bucket: Math.floor(at / this.bucketMs), series, amount });
  }

  total(series: number): number {
    const counted = this.#events.filter((e) => e.series === series && this.#head - e.bucket < this.buckets);
    return counted.reduce((sum, e) => sum + e.amount, 0);
  }

  clear(): void {
    this.#events = [];
  }
}

const SERIES = 3;

const shapes = fc.record({
  buckets: fc.integer({ min: 1, max: 12 }),
  bucketMs: fc.constantFrom(0.1, 1 / 3, 1, 2.5, 7, 250),
  start: fc.constantFrom(0, 0.05, 1e6, 1e12 + 0.25, -40),
});

// Steps are counted in buckets, so that they fall inside one, on its edges, within the window and far beyond it.
const step = fc.oneof(
  fc.constant(0),
  fc.double({ min: 0, max: 1.5, noNaN: true }),
  fc.integer({ min: 0, max: 15 }),
  fc.integer({ min: 100, max: 1e9 }),
  fc.double({ min: -5, max: 0, noNaN: true }),
);

const operations = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('add'),
        step,
        series: fc.nat(SERIES - 1),
        amount: fc.integer({ min: -3, max: 5 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('late'),
        step: fc.double({ min: 0, max: 16, noNaN: true }),
        series: fc.nat(SERIES - 1),
        amount: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('read'), step }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('clear'), step: fc.constant(0) }) },
  ) as fc.Arbitrary<{ type: string; step: number; series?: number; amount?: number }>,
  { maxLength: 60 },
);

describe('RollingWindow', () => {
  it('counts what a list of all events counts, for any gaps, equal times, steps back and late adds', () => {
    fc.assert(
      fc.property(shapes, operations, ({ buckets, bucketMs, start }, list) => {
        const windowMs = bucketMs * buckets;
        const window = new RollingWindow(windowMs, buckets, SERIES);
        const model = new EventList(windowMs / buckets, buckets);
        let now = start;
        let latest = start;
        window.advance(now);
        model.advance(now);
        for (const { type, step, series = 0, amount = 0 } of list) {
          if (type === 'late') {
            // What began earlier ends now, and counts where it began.
            const at = latest - step * bucketMs;
            window.add(series, at, amount);
            model.add(series, at, amount);
          } else if (type === 'clear') {
            window.clear();
            model.clear();
          } else {
            now += step * bucketMs;
            latest = Math.max(latest, now);
            window.advance(now);
            model.advance(now);
            if (type === 'add') {
              // The two ways to add to the newest bucket.
              if (now === latest && amount % 2 === 0) window.addNow(series, amount);
              else window.add(series, now, amount);
              model.add(series, now, amount);
            }
          }
          for (let s = 0; s < SERIES; s++) expect(window.total(s)).toBe(model.total(s));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('expires by reading alone after a silence', () => {
    const window = new RollingWindow(1_000, 10, 1);
    window.advance(0);
    window.add(0, 0, 7);
    window.advance(999.999);
    expect(window.total(0)).toBe(7);
    window.advance(1_000);
    expect(window.total(0)).toBe(0);
    window.add(0, 1_000, 1);
    window.advance(3_600_000);
    expect(window.total(0)).toBe(0);
  });

  it('leaves nothing behind in the buckets that a long silence has skipped', () => {
    const window = new RollingWindow(4, 4, 1);
    for (let now = 0; now < 4; now++) {
      window.advance(now);
      window.add(0, now, 1);
    }
    window.advance(1_002);
    for (let now = 1_002; now < 1_010; now++) {
      window.advance(now);
      expect(window.total(0)).toBe(0);
    }
  });

  it('does not let the rounding of fractions pile up', () => {
    const window = new RollingWindow(10, 10, 1);
    for (let now = 0; now < 100_000; now++) {
      window.advance(now);
      window.add(0, now, now % 2 ? 0.1 : 1e9);
    }
    window.advance(100_000 + 9);
    window.add(0, 100_000 + 9, 0.3);
    window.advance(100_000 + 18);
    expect(window.total(0)).toBe(0.3);
  });

  it('stands still on NaN, and leaves out what happened at no time', () => {
    const window = new RollingWindow(10, 10, 1);
    window.advance(5);
    window.add(0, 5, 2);
    window.advance(NaN);
    window.add(0, NaN, 100);
    expect(window.total(0)).toBe(2);
  });

  it('begins again at any time after restart, and at none before its own after clear', () => {
    const window = new RollingWindow(10, 10, 2);
    window.advance(1_000);
    window.add(1, 1_000, 3);
    window.clear();
    window.advance(5);
    expect([window.total(1), window.nextExpiryMs]).toEqual([0, 1_001]);
    window.add(1, 1_000, 3);
    window.restart();
    expect(window.total(1)).toBe(0);
    window.advance(5);
    window.add(1, 5, 2);
    expect([window.total(1), window.nextExpiryMs]).toEqual([2, 6]);
    window.advance(15);
    expect(window.total(1)).toBe(0);
  });

  it('says when its oldest bucket goes out', () => {
    const window = new RollingWindow(1_000, 4, 1);
    window.advance(0);
    window.add(0, 0, 1);
    window.advance(760);
    expect(window.nextExpiryMs).toBe(1_000);
    window.advance(999);
    expect(window.total(0)).toBe(1);
    window.advance(window.nextExpiryMs);
    expect(window.total(0)).toBe(0);
  });
});

it('totalAt is what total would be after advance, and changes nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 5 }), fc.nat(1)), {
        maxLength: 20,
      }),
      fc.integer({ min: 1, max: 6 }),
      fc.oneof(fc.integer({ min: -200, max: 2_000 }), fc.constant(NaN)),
      (adds, buckets, laterMs) => {
        const looked = new RollingWindow(600, buckets, 2);
        const moved = new RollingWindow(600, buckets, 2);
        let now = 1_000;
        for (const [afterMs, amount, series] of adds) {
          now += afterMs;
          for (const window of [looked, moved]) {
            window.advance(now);
            window.addNow(series, amount);
          }
        }
        const before = [looked.total(0), looked.total(1), looked.nextExpiryMs];
        const seen = [looked.totalAt(0, now + laterMs), looked.totalAt(1, now + laterMs)];
        expect([looked.total(0), looked.total(1), looked.nextExpiryMs]).toEqual(before);
        moved.advance(now + laterMs);
        expect(seen).toEqual([moved.total(0), moved.total(1)]);
      },
    ),
  );
});
