/** The table of keys and the choice of whom to evict, apart from the limiter. */
import { seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { KeyTable } from '../../../src/policies/rate-limiter/key-table.js';
import { Recency } from '../../../src/policies/rate-limiter/recency.js';

const WINDOW_MS = 1e9;
const LIMIT = 1e6;
const tableOf = (maxKeys: number, ...seed: number[]): KeyTable =>
  new KeyTable(WINDOW_MS, maxKeys, Uint32Array.of(...seed));
const usedOf = (table: KeyTable, key?: string): number => table.read(0, LIMIT, key).used;

describe('KeyTable', () => {
  it('has exactly as many keys as it says, each with its own count, however they displace each other', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const maxKeys = 2 + (seed % 7);
      const table = tableOf(maxKeys, seed, 7);
      const random = seededRandom(seed);
      const counts = new Map<string, number>();
      for (let i = 0; i < 150; i++) {
        const key = `key ${Math.floor(random() * 3 * maxKeys)}`;
        expect(table.take(0, 1, LIMIT, key)).toBe(true);
        counts.set(key, (counts.get(key) ?? 0) + 1);
        let live = 0;
        for (const [name, count] of counts) {
          const used = usedOf(table, name);
          if (used === 0) counts.delete(name);
          else live++;
          if (used > 0) expect([name, used]).toEqual([name, name === key && used < count ? used : count]);
        }
        expect([live, usedOf(table, key) > 0]).toEqual([table.size, true]);
        expect(table.size).toBeLessThanOrEqual(maxKeys);
      }
      expect(table.size).toBe(maxKeys);
    }
  });

  it.each([
    ['first', 'c8m', 'kgb'],
    ['second', '1ztr', '43mb'],
  ])('tells keys apart whose fingerprints have the %s half in common', (_, a, b) => {
    const table = tableOf(2, 1, 2);
    table.take(0, 2, LIMIT, a);
    expect([usedOf(table, a), usedOf(table, b)]).toEqual([2, 0]);
    table.take(0, 3, LIMIT, b);
    expect([usedOf(table, a), usedOf(table, b), table.size]).toEqual([2, 3, 2]);
  });

  it('counts calls without a key as no use of any', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const table = tableOf(4, seed, 3);
      for (const key of ['a', 'b', 'c', 'd', 'a']) table.take(0, 1, LIMIT, key);
      for (let i = 0; i < 20; i++) table.take(0, 1, LIMIT, undefined);
      table.take(0, 1, LIMIT, 'e');
      expect([usedOf(table, 'a'), usedOf(table, 'e'), usedOf(table)]).toEqual([2, 1, 20]);
    }
  });

  it('protects the half of its keys that was used last', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const table = tableOf(8, seed, 3);
      for (let i = 0; i < 200; i++) {
        table.take(0, 1, LIMIT, `key ${i}`);
        for (let j = Math.max(0, i - 4); j <= i; j++) expect([i, j, usedOf(table, `key ${j}`)]).toEqual([i, j, 1]);
      }
    }
  });

  it('takes back from a key that it has, and from none else', () => {
    const table = tableOf(2, 1, 2);
    for (const key of ['a', 'b', undefined]) table.take(0, 5, LIMIT, key);
    table.refund(0, 2, 'a');
    table.refund(0, 3, 'c');
    table.refund(0, 4, undefined);
    expect([usedOf(table, 'a'), usedOf(table, 'b'), usedOf(table, 'c'), usedOf(table)]).toEqual([3, 5, 0, 1]);
    expect(table.size).toBe(2);
  });

  it('refuses a key that is no string', () => {
    expect(() => tableOf(2, 1, 2).read(0, LIMIT, 5 as never)).toThrow(
      new TypeError('keyedRateLimiter: key must be a string, got number'),
    );
  });

  it('waits where a key has used what there is, and for no other', () => {
    const table = tableOf(2, 1, 2);
    table.take(0, 1, 1, 'a');
    expect([table.waitMs(0, 1, 1, 'a') > 0, table.waitMs(0, 1, 1, 'b'), table.waitMs(0, 2, 1, 'b')]).toEqual([
      true,
      0,
      Infinity,
    ]);
    expect(table.read(0, 1, 'b')).toEqual({ used: 0, remaining: 1, resetMs: 0 });
  });
});

describe('Recency', () => {
  const use = (recency: Recency, from: number, to: number): void => {
    for (let slot = from; slot < to; slot++) recency.use(slot);
  };

  it('searches on where the last search ended, around the end, and within the slots there are', () => {
    const recency = new Recency(1_056, 528);
    expect(recency.unprotected()).toBe(0);
    use(recency, 0, 1_024);
    expect(recency.unprotected()).toBe(1_024);
    use(recency, 1_024, 1_056);
    // What was used in the epoch before the last is protected no more.
    expect(recency.unprotected()).toBe(0);
    use(recency, 0, 100);
    expect(recency.unprotected()).toBe(100);
  });

  it('counts a slot once an epoch, and finds the first that is free', () => {
    const recency = new Recency(64, 32);
    for (let i = 0; i < 100; i++) use(recency, 0, 31);
    expect(recency.unprotected()).toBe(31);
    recency.use(40);
    use(recency, 31, 40);
    expect(recency.unprotected()).toBe(41);
    const single = new Recency(1, 0);
    for (let i = 0; i < 3; i++) {
      single.use(0);
      expect(single.unprotected()).toBe(0);
    }
  });

  it('forgets the marks of an epoch before it uses their memory again', () => {
    const recency = new Recency(128, 64);
    for (let round = 0; round < 6; round++) {
      use(recency, 0, 64);
      use(recency, 64, 128);
    }
    expect(recency.unprotected()).toBe(0);
  });
});
