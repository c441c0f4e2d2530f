import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'tsup';
import { afterAll, beforeAll } from 'vitest';

const src = join(import.meta.dirname, '../../src');

/** Builds `file`, as worker threads take no TypeScript; its URL is there once the tests begin. */
export function builtWorker(file: string): { url(): URL } {
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'evenkeel-worker-'));
    await build({
      config: false,
      entry: { worker: file },
      outDir: dir,
      outExtension: () => ({ js: '.mjs' }),
      format: 'esm',
      target: 'node20',
      platform: 'node',
      noExternal: [/^evenkeel/],
      esbuildOptions: (options) => {
        options.alias = { 'evenkeel/isolation': join(src, 'isolation/index.ts') };
      },
      silent: true,
    });
  }, 60_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return { url: () => pathToFileURL(join(dir, 'worker.mjs')) };
}
