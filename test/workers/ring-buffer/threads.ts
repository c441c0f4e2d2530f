import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { RingReaderOptions } from 'evenkeel/ring-buffer';
import { build } from 'tsup';
import type { Shared } from './messages.js';

/** Builds the programs beside this file, with the library's source in them, into a folder of its own. */
export async function buildPrograms(...names: string[]): Promise<{ path(name: string): string; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-ring-'));
  await build({
    config: false,
    entry: Object.fromEntries(names.map((name) => [name, join(import.meta.dirname, `${name}.ts`)])),
    outDir: folder,
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    noExternal: [/^evenkeel/],
    silent: true,
  });
  return { path: (name) => join(folder, `${name}.mjs`), remove: () => rmSync(folder, { recursive: true }) };
}

/** Starts a reader that counts and checks what it gets. */
export const startReader = (path: string, shared: Shared, options: RingReaderOptions = {}): Worker =>
  new Worker(path, { workerData: { ...shared, options } });

export const ended = (worker: Worker): Promise<void> =>
  new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
