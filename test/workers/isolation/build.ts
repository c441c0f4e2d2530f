import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'tsup';
import { afterAll, beforeAll } from 'vitest';
import { subpaths } from '../../../scripts/subpaths.js';

const root = join(import.meta.dirname, '../../..');

/** Builds `file` for a worker thread, which takes no TypeScript and knows no alias, into `outFile`. */
export async function buildWorker(file: string, outFile: string): Promise<void> {
  const extension = extname(outFile);
  await build({
    config: false,
    entry: { [basename(outFile, extension)]: file },
    outDir: dirname(outFile),
    outExtension: () => ({ js: extension }),
    format: 'esm',
    target: 'node20',
    platform: 'node',
    noExternal: [/^evenkeel/],
    esbuildOptions: (options) => {
      options.alias = {
        evenkeel: join(root, 'src/index.ts'),
        ...Object.fromEntries(
          Object.entries(subpaths(root)).map(([name, path]) => [`evenkeel/${name}`, join(root, path)]),
        ),
      };
    },
    silent: true,
  });
}

/** The worker `file` of a test; its URL is there once the tests begin. */
export function builtWorker(file: string): { url(): URL } {
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'evenkeel-worker-'));
    await buildWorker(file, join(dir, 'worker.mjs'));
  }, 60_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return { url: () => pathToFileURL(join(dir, 'worker.mjs')) };
}
