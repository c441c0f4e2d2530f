/** Builds what is measured beside a copy of the library's build: a run goes on with that when `dist` is built anew. */
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'tsup';
import { baseBuild } from './base.js';

const benchDir = join(import.meta.dirname, '..');
const root = join(benchDir, '..');

export const resultsDir = join(benchDir, 'results');

function newest(dir: string): number {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Math.max(...files.map((file) => statSync(join(file.parentPath, file.name)).mtimeMs));
}

/**
 * @param name of the folder in `results`: two kinds of benchmark do not build over each other
 * @param entries files of `bench` by what they are called in that one
 * @returns its path
 */
export function buildBeside(name: string, entries: Record<string, string>): Promise<string> {
  const dist = join(root, 'dist');
  const builtAt = statSync(join(dist, 'index.js'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtAt < newest(join(root, 'src'))) throw new Error('dist is older than src: npm run build');
  return buildWith(root, name, entries);
}

/** @param library the folder that holds its package.json and dist */
async function buildWith(library: string, name: string, entries: Record<string, string>): Promise<string> {
  const dir = join(resultsDir, name);
  rmSync(dir, { recursive: true, force: true });
  cpSync(join(library, 'dist'), join(dir, 'dist'), { recursive: true });
  // With it, `import 'evenkeel'` in what is built goes through the package's exports to that copy.
  cpSync(join(library, 'package.json'), join(dir, 'package.json'));
  await build({
    config: false,
    entry: Object.fromEntries(Object.entries(entries).map(([entry, file]) => [entry, join(benchDir, file)])),
    outDir: dir,
    format: 'esm',
    target: 'node20',
    // Everything that is installed, and the library itself.
    external: [/^[^./]/],
    silent: true,
  });
  return dir;
}

const WORKER = { worker: 'micro/worker.ts' };

/** @returns the worker's path */
export const buildWorker = async (): Promise<string> => join(await buildBeside('build', WORKER), 'worker.js');

/** The same worker on 0.1.0; undefined where that cannot be had. */
export async function buildBaseWorker(): Promise<string | undefined> {
  const base = baseBuild();
  return base && join(await buildWith(base, 'base', WORKER), 'worker.js');
}
