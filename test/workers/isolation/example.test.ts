import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Sets } from 'evenkeel/isolation';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ask, matchServer, matchSets } from '../../../examples/isolated-work.js';
import { builtWorker } from './build.js';

const worker = builtWorker(join(import.meta.dirname, '../../../examples/isolated-work.worker.mjs'));

let sets: Sets;
let server: Server;
let base: string;

beforeEach(async () => {
  // On a busy machine a worker's start takes its time.
  sets = matchSets(worker.url(), 60_000);
  server = matchServer(sets, 60_000);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await sets.close({ graceMs: 0 });
});

const EVIL = ['^(a+)+$', `${'a'.repeat(40)}!`] as const;

describe('examples/isolated-work.ts', () => {
  it('a customer whose pattern hangs is told so, and the others get all their answers meanwhile', async () => {
    // Their letters add up to the sets 0, 1, 2 and 3.
    const customers = ['d', 'a', 'b', 'c'];
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => {
        const customer = customers[i % 4] as string;
        return customer === 'd' && i < 12 ? ask(base, customer, ...EVIL) : ask(base, customer, '^[a-z]+$', `x${i % 2}`);
      }),
    );
    const of = (set: number): string[] => answers.filter((_, i) => i % 4 === set);
    for (const set of [1, 2, 3]) expect(of(set)).toEqual(of(set).map(() => '200 false'));
    expect(of(0).slice(0, 3)).toEqual(Array(3).fill('422 the pattern takes too long'));
    expect(of(0).slice(3)).toEqual(
      of(0)
        .slice(3)
        .map(() => '200 false'),
    );
    expect(sets.snapshot()).toMatchObject({ '0': { setAside: 3, restarts: 3 }, '1': { restarts: 0, done: 25 } });
  });

  it('a set that is full says so at once, and when to come back', async () => {
    const evil = new URLSearchParams({ customer: 'd', pattern: EVIL[0], text: EVIL[1] });
    const hung = Array.from({ length: 48 }, () => fetch(`${base}?${evil}`));
    const refused = hung.map(async (answer) => {
      const { status, headers } = await answer;
      if (status !== 503) throw new Error(`status ${status}`);
      return headers.get('retry-after');
    });
    expect(await Promise.any(refused)).toBe('1');
    expect(await ask(base, 'a', '^a', 'abc')).toBe('200 true');
    await sets.close({ graceMs: 0 });
    const whys = await Promise.all(hung.map(async (answer) => (await answer).text()));
    expect(new Set(whys)).toContain('closing');
  });

  it('a pattern that is none is the client’s own fault', async () => {
    expect(await ask(base, 'a', '(', '')).toContain('400 Invalid regular expression');
    expect(await ask(base, 'a', 'a', 'a'.repeat(5_000))).toBe('413 ');
  });
});
