import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const NOT_COPIED = new Set(['node_modules', '.git', '.stryker-tmp', 'dist', 'coverage']);

/** The package as its users get it: packed from this tree and installed into an otherwise empty folder. */
export interface Packed {
  /** Paths in the tarball. */
  files: string[];
  /** The folder it is installed in, with a package.json of type module. */
  folder: string;
  remove(): void;
}

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Builds in a copy of the tree, so that nobody's `dist` is used, stale or half written. */
export function packAndInstall(): Packed {
  const temp = mkdtempSync(join(tmpdir(), 'evenkeel-package-'));
  const tree = join(temp, 'tree');
  const folder = join(temp, 'consumer');
  cpSync(ROOT, tree, { recursive: true, filter: (path) => !NOT_COPIED.has(basename(path)) });
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }');
  const packed = npm(tree, 'pack', '--json', '--pack-destination', temp);
  // The build's own output comes before.
  const [tarball] = JSON.parse(packed.slice(packed.search(/^\[/m))) as [
    { filename: string; files: { path: string }[] },
  ];
  npm(folder, 'install', '--offline', '--no-audit', '--no-fund', join(temp, tarball.filename));
  return {
    files: tarball.files.map(({ path }) => path).sort(),
    folder,
    remove: () => rmSync(temp, { recursive: true, force: true }),
  };
}
