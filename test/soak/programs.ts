import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'tsup';

/** The worker threads of the soak, built with the library's source in them. */
export interface Programs {
  path(name: string): string;
  remove(): void;
}

export async function buildPrograms(...names: string[]): Promise<Programs> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-soak-'));
  await build({
    config: false,
    entry: Object.fromEntries(names.map((name) => [name, join(import.meta.dirname, `${name}.ts`)])),
    outDir: folder,
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    platform: 'node',
    noExternal: [/^evenkeel/],
    silent: true,
  });
  return {
    path: (name) => join(folder, `${name}.mjs`),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
