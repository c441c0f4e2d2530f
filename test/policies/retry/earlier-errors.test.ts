import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { build } from 'esbuild';
import { earlierErrors, pipeline, retry } from 'evenkeel';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withEarlier } from '../../../src/policies/retry/earlier-errors.js';

type Copy = Pick<typeof import('evenkeel'), 'earlierErrors' | 'pipeline' | 'retry'>;

/** What a call rejects with whose tries reject with `errors`, one after the other. */
async function rejection({ pipeline, retry }: Copy, ...errors: unknown[]): Promise<unknown> {
  const guard = pipeline(retry({ maxRetries: errors.length - 1, backoff: () => 0, budget: [] }));
  return guard.execute((ctx) => Promise.reject(errors[ctx.attempt])).catch((error: unknown) => error);
}

describe('of another copy of the library', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'evenkeel-copies-'));
  const copies: Record<string, Copy> = {};

  beforeAll(async () => {
    for (const format of ['cjs', 'esm'] as const) {
      const outfile = join(scratch, `copy.${format === 'cjs' ? 'cjs' : 'mjs'}`);
      await build({
        stdin: {
          contents: `export { earlierErrors, pipeline, retry } from './src/index.js';`,
          resolveDir: process.cwd(),
        },
        outfile,
        format,
        bundle: true,
        platform: 'node',
        logLevel: 'error',
      });
      copies[format] = format === 'cjs' ? createRequire(outfile)(outfile) : await import(pathToFileURL(outfile).href);
    }
  }, 60_000);
  afterAll(() => rmSync(scratch, { recursive: true }));

  it.each([
    ['esm', 'cjs'],
    ['cjs', 'esm'],
  ] as const)('are known: %s made the call, %s asks', async (made, asks) => {
    const [first, second, last] = [new Error('first'), { status: 503 }, new Error('last')];
    const error = await rejection(copies[made] as Copy, first, second, last);
    expect(error).toBe(last);
    expect((copies[asks] as Copy).earlierErrors(error)).toEqual([first, second]);
    expect(earlierErrors(error)).toEqual([first, second]);
    // And the latest call counts, whichever copy made it.
    await rejection(copies[asks] as Copy, last);
    expect((copies[made] as Copy).earlierErrors(last)).toEqual([]);
  });
});

describe('beside the error', () => {
  it('do not show: not in logs, JSON, copies, or comparisons', async () => {
    const plain = { status: 503 };
    const thrown = { status: 503 };
    expect(await rejection({ earlierErrors, pipeline, retry }, new Error('first'), thrown)).toBe(thrown);
    expect(earlierErrors(thrown)).toEqual([new Error('first')]);
    expect(thrown).toStrictEqual(plain);
    expect(inspect(thrown)).toBe(inspect(plain));
    expect(JSON.stringify(thrown)).toBe(JSON.stringify(plain));
    expect(Reflect.ownKeys({ ...thrown })).toEqual(['status']);
    expect(structuredClone(thrown)).toStrictEqual(plain);
    expect(earlierErrors({ ...thrown })).toEqual([]);
    expect(Object.keys(Object.getOwnPropertyDescriptors(thrown))).toEqual(['status']);
  });

  it('leave an error alone that was tried once', () => {
    const error = new Error('once');
    const keys = Reflect.ownKeys(error);
    expect(withEarlier(error, [])).toBe(error);
    expect(Reflect.ownKeys(error)).toEqual(keys);
  });

  it.each<[string, (error: object) => object]>([
    ['extensible', (error) => error],
    ['frozen', Object.freeze],
    ['sealed', Object.seal],
    ['that takes no new properties', Object.preventExtensions],
    ['frozen after its first call', (error) => Object.freeze(withEarlier(error, ['old']) as object)],
    ['sealed after its first call', (error) => Object.seal(withEarlier(error, ['old']) as object)],
  ])('are those of the latest call, of an error %s', (_, make) => {
    for (const error of [make(new Error('e')), make(() => {}), make(Object.create(null) as object)]) {
      for (const before of [['a'], ['b', 'c'], [], ['d'], []]) {
        expect(withEarlier(error, before)).toBe(error);
        expect(earlierErrors(error)).toEqual(before);
      }
    }
  });
});
