/** Version 0.1.0, built once from the repository's history: what the library cost before is measured in the same run. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const BASE_VERSION = '0.1.0';
const COMMIT = '179dca8';

const root = join(import.meta.dirname, '../..');

/** What of a tree is built. */
const PARTS = ['src', 'scripts', 'package.json', 'tsconfig.json', 'tsup.config.ts'];

function build(folder: string): void {
  const archive = execFileSync('git', ['archive', COMMIT, ...PARTS], { cwd: root, maxBuffer: 2 ** 28, stdio: 'pipe' });
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  // With its own settings, and the packages that are installed here.
  execFileSync(process.execPath, [join(root, 'node_modules/tsup/dist/cli-default.js'), '--no-dts'], {
    cwd: folder,
    stdio: 'pipe',
  });
}

/** @returns the folder with its package.json and dist; undefined, and a line on stderr, where it cannot be built */
export function baseBuild(): string | undefined {
  const folder = join(root, 'node_modules/.cache', `evenkeel-${BASE_VERSION}`);
  if (existsSync(join(folder, 'dist/index.js'))) return folder;
  const making = `${folder}-${process.pid}`;
  try {
    build(making);
    rmSync(folder, { recursive: true, force: true });
    renameSync(making, folder);
    return folder;
  } catch (error) {
    const [reason] = String((error as { stderr?: unknown }).stderr || error)
      .trim()
      .split('\n');
    console.error(`no comparison with ${BASE_VERSION}, which is built from commit ${COMMIT}: ${reason}`);
    return undefined;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}
