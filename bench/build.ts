/** Builds the worker beside a copy of the library's build: the run goes on measuring that when `dist` is built anew. */
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'tsup';

const root = join(import.meta.dirname, '..');

export const resultsDir = join(import.meta.dirname, 'results');
const buildDir = join(resultsDir, 'build');

function newest(dir: string): number {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Math.max(...files.map((file) => statSync(join(file.parentPath, file.name)).mtimeMs));
}

/** @returns the worker's path */
export async function buildWorker(): Promise<string> {
  const dist = join(root, 'dist');
  const builtAt = statSync(join(dist, 'index.js'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtAt < newest(join(root, 'src'))) throw new Error('dist is older than src: npm run build');
  rmSync(buildDir, { recursive: true, force: true });
  cpSync(dist, join(buildDir, 'dist'), { recursive: true });
  // With it, `import 'evenkeel'` in the worker goes through the package's exports to that copy.
  cpSync(join(root, 'package.json'), join(buildDir, 'package.json'));
  await build({
    config: false,
    entry: { worker: join(import.meta.dirname, 'worker.ts') },
    outDir: buildDir,
    format: 'esm',
    target: 'node20',
    // Everything that is installed, and the library itself.
    external: [/^[^./]/],
    silent: true,
  });
  return join(buildDir, 'worker.js');
}
