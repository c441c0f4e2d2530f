import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Expectations, Scenario } from '../testing/index.js';

/** What the user is to be told without a stack trace. */
export class UsageError extends Error {}

/** One scenario of a file, and the bounds that stand beside it. */
export interface Loaded {
  /** As the user wrote it. */
  spec: string;
  scenario: Scenario;
  expectations: Expectations | undefined;
}

/** Loads `file.ts`, or `file.ts#name` for another export than the default. */
export async function load(spec: string): Promise<Loaded> {
  const [file, name = 'default'] = spec.split('#') as [string, string?];
  const path = resolve(file);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw new UsageError(`there is no file ${file}`);
  const module = await importFile(path);
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

async function importFile(path: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(path).href;
  const { typescript } = process.features as { typescript?: unknown };
  if (/\.[cm]?ts$/.test(path) && !typescript) await loadTsx(path);
  return import(url);
}

/** This Node does not read TypeScript by itself; tsx teaches it, where the user has installed it. */
async function loadTsx(path: string): Promise<void> {
  let tsx: string;
  try {
    tsx = createRequire(path).resolve('tsx/esm');
  } catch (error) {
    throw new UsageError(
      `${path} is TypeScript, which Node ${process.version} cannot load by itself: install tsx beside it ` +
        '(npm install -D tsx), use Node 22.18 or later, or write the scenario in JavaScript',
      { cause: error },
    );
  }
  await import(pathToFileURL(tsx).href);
}
