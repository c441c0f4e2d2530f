import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Expectations, Scenario } from '../testing/index.js';
import { isSyntaxErrorWithoutLine, UsageError, wrongFile } from './errors.js';

/** One scenario of a file, and the bounds that stand beside it. */
export interface Loaded {
  /** As the user wrote it. */
  spec: string;
  scenario: Scenario;
  expectations: Expectations | undefined;
}

/** Loads `file.ts`, or `file.ts#name` for another export than the default. */
export async function load(spec: string): Promise<Loaded> {
  // A folder may have a # in its name.
  const [, file, name = 'default'] = /^(.*?)(?:#([^#/\\]+))?$/s.exec(spec) as unknown as [string, string, string?];
  const path = resolve(file);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw new UsageError(`there is no file ${file}`);
  const module = exportsOf(await importFile(file, path), name);
  const scenario = module[name];
  if (typeof scenario !== 'object' || scenario === null) {
    const named = Object.keys(module).join(', ') || 'nothing';
    throw new UsageError(
      `${file} has no scenario as its ${name === 'default' ? 'default export' : `export ${name}`}; it exports ${named}`,
    );
  }
  const expectations = module[name === 'default' ? 'expectations' : `${name}Expectations`];
  return { spec, scenario: scenario as Scenario, expectations: expectations as Expectations | undefined };
}

type Exports = Record<string, unknown>;

/**
 * All exports of a CommonJS file may arrive as the one default export, also those of a TypeScript file that tsx has
 * made into one.
 */
function exportsOf(module: Exports, name: string): Exports {
  const inner = module.default;
  if (typeof inner !== 'object' || inner === null) return module;
  const isCommonJs = 'default' in inner || '__esModule' in inner || (!(name in module) && name in inner);
  return isCommonJs ? (inner as Exports) : module;
}

async function importFile(file: string, path: string): Promise<Exports> {
  const url = pathToFileURL(path).href;
  const { typescript } = process.features as { typescript?: unknown };
  if (/\.[cm]?ts$/.test(path) && !typescript) await loadTsx(path);
  try {
    return await import(url);
  } catch (error) {
    throw isSyntaxErrorWithoutLine(error) ? error : wrongFile(file, error);
  }
}

/** This Node does not read TypeScript by itself; tsx teaches it, where the user has installed it. */
async function loadTsx(path: string): Promise<void> {
  let tsx: string;
  try {
    // Not tsx/esm, which fails in a package without "type": "module".
    tsx = createRequire(path).resolve('tsx');
  } catch (error) {
    throw new UsageError(
      `${path} is TypeScript, which Node ${process.version} cannot load by itself: install tsx beside it ` +
        '(npm install -D tsx), use Node 22.18 or later, or write the scenario in JavaScript',
      { cause: error },
    );
  }
  await import(pathToFileURL(tsx).href);
}
