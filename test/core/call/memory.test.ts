/** What calls leave in memory: in a process of its own, whose heap nobody else fills. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'tsup';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');
let dir = '';

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'evenkeel-memory-'));
  await build({
    config: false,
    entry: { evenkeel: join(root, 'src/index.ts') },
    outDir: dir,
    outExtension: () => ({ js: '.mjs' }),
    format: 'esm',
    target: 'node20',
    platform: 'node',
    clean: false,
    silent: true,
  });
}, 60_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Some promises and closures that wait for the function, the first context of the call, and room for other hosts. */
const LEFT_BYTES = 500;

let scripts = 0;

/** What the script's `report` is called with. */
async function run(script: string): Promise<unknown> {
  const path = join(dir, `script-${scripts++}.mjs`);
  writeFileSync(
    path,
    `import * as keel from './evenkeel.mjs';
    import { getEventListeners } from 'node:events';
    const report = (result) => { console.log(JSON.stringify(result)); process.exit(0); };
    const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
    async function collect() { for (let i = 0; i < 6; i++) { gc(); await turn(); } }
    async function heap() { await collect(); return process.memoryUsage().heapUsed; }
    process.on('unhandledRejection', (error) => { console.error(error); process.exit(7); });
    ${script}`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', path]);
  return JSON.parse(stdout);
}

/**
 * Bytes a call that stay of calls whose first try hangs, and whose second answers with 10 kB. The least of some rounds:
 * the host allocates as well.
 */
const bytesLeft = (policies: string): string => `
  const { pipeline, retry, dynamicTimeout, concurrencyLimiter } = keel;
  const again = retry({ maxRetries: 1, backoff: () => 0, budget: [] });
  const limit = dynamicTimeout({ limitMs: 1, maxMs: 1 });
  const limiter = concurrencyLimiter({ load: () => 1, minLimit: 1e6, maxLimit: 1e6 });
  const guard = pipeline(${policies});
  const hanging = new Promise(() => {});
  const call = (ctx) => (ctx.attempt === 0 ? hanging : new Array(1_280).fill(0.5));
  const calls = async (count) => {
    for (let i = 0; i < count; i += 100) await Promise.all(Array.from({ length: 100 }, () => guard.execute(call)));
  };
  await calls(1_000);
  let least = Infinity;
  for (let round = 0; round < 3; round++) {
    const before = await heap();
    await calls(2_000);
    least = Math.min(least, ((await heap()) - before) / 2_000);
  }
  report({ least, held: limiter.snapshot().inflight });`;

describe('a call whose first try hangs for ever', () => {
  it('leaves less than it takes to hold a permit, never its answer', async () => {
    const { least } = (await run(bytesLeft('again, limit'))) as { least: number };
    expect(least).toBeGreaterThan(0);
    expect(least).toBeLessThan(LEFT_BYTES);
  });

  it.each(['limiter, again, limit', 'again, limiter, limit'])(
    'with a permit that it holds, somewhat more: %s',
    async (policies) => {
      const { least, held } = (await run(bytesLeft(policies))) as { least: number; held: number };
      expect(held).toBe(7_000);
      expect(least).toBeLessThan(LEFT_BYTES + 400);
    },
  );
});

describe('of 100,000 calls under one caller that lives on', () => {
  const STACKS = {
    'a time limit': 'keel.dynamicTimeout({ limitMs: 1_000, maxMs: 1_000 })',
    'gates and a time limit':
      'keel.concurrencyLimiter({ load: () => 1, minLimit: 1e6, maxLimit: 1e6 }), keel.dynamicTimeout({ limitMs: 1_000, maxMs: 1_000 })',
    'a retry, a policy between and a time limit':
      "keel.retry({ budget: [] }), { name: 'own', run: async (ctx, next) => next(ctx) }, keel.dynamicTimeout({ limitMs: 1_000, maxMs: 1_000 })",
    'a hedge': 'keel.hedge({ afterMs: 1_000, budget: [] })',
  };
  it.each(Object.keys(STACKS) as (keyof typeof STACKS)[])('%s: no listener and no memory is left', async (stack) => {
    const result = await run(`
      const guard = keel.pipeline(${STACKS[stack]});
      const caller = new AbortController();
      const scope = new keel.AbortScope();
      const { add, remove } = scope;
      const listeners = new Set();
      scope.add = (listener) => { listeners.add(listener); add.call(scope, listener); };
      scope.remove = (listener) => { listeners.delete(listener); remove.call(scope, listener); };
      // Half of them read their signal and return an object, which may go on with it.
      const calls = async (count) => {
        for (let i = 0; i < count; i += 100) {
          await Promise.all(Array.from({ length: 100 }, (_, n) =>
            guard.execute((ctx) => (n % 2 === 0 ? { n, aborted: ctx.signal.aborted } : n), { signal: n % 4 < 2 ? caller.signal : scope })));
          // So that collected signals are forgotten.
          if (i % 5_000 === 0) await turn();
        }
      };
      await calls(5_000);
      const before = await heap();
      await calls(100_000);
      const after = await heap();
      for (let i = 0; i < 50 && (listeners.size > 0 || getEventListeners(caller.signal, 'abort').length > 0); i++) await collect();
      report({ onSignal: getEventListeners(caller.signal, 'abort').length, onScope: listeners.size, bytes: (after - before) / 100_000 });
    `);
    expect(result).toMatchObject({ onSignal: 0, onScope: 0 });
    expect((result as { bytes: number }).bytes).toBeLessThan(30);
  });

  it('the abort survives collections while an answer is kept, and ends when it is not', async () => {
    const result = await run(`
      const guard = keel.pipeline(keel.dynamicTimeout({ limitMs: 1_000, maxMs: 1_000 }));
      const caller = new AbortController();
      let aborted = 0;
      const kept = await Promise.all(Array.from({ length: 100 }, () => guard.execute((ctx) => {
        ctx.signal.addEventListener('abort', () => aborted++);
        return { signal: ctx.signal };
      }, { signal: caller.signal })));
      for (let i = 0; i < 5; i++) await collect();
      caller.abort();
      report({ aborted, told: kept.filter(({ signal }) => signal.aborted).length });
    `);
    expect(result).toEqual({ aborted: 100, told: 100 });
  });
});
