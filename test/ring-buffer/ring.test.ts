import { createRing, ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { describe, expect, it } from 'vitest';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('a ring', () => {
  it('hands each message to one reader, in order', () => {
    const ring = createRing({ capacity: 4, slotBytes: 8 });
    const writer = ringWriter(ring);
    const [a, b] = [ringReader(ring), ringReader(ring)];
    expect([bytes(1), bytes(2, 2), bytes(), bytes(4)].map((one) => writer.tryWrite(one))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(writer.tryWrite(bytes(5))).toBe(false);
    const into = new Uint8Array(8);
    expect([a.tryRead(into), into[0]]).toEqual([1, 1]);
    expect([b.tryRead(into), into[1]]).toEqual([2, 2]);
    expect(a.tryRead(into)).toBe(0);
    const seen: number[] = [];
    expect(b.readBatch((view) => seen.push(...view))).toBe(1);
    expect([seen, a.tryRead(into), b.readBatch(() => {})]).toEqual([[4], -1, 0]);
  });
});
