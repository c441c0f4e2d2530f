/** The same code under less strict settings of TypeScript than ours. */
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const FIXTURE = join(ROOT, 'test/types/result.ts');

const CODE = `
  import { pipeline, circuitBreaker, type Rejection } from 'evenkeel';
  export async function positive(): Promise<string> {
    const r = await pipeline(circuitBreaker()).tryExecute(async () => ({ id: 1 }));
    if (r.ok) return r.value.id.toFixed(1);
    const rejection: Rejection = r.rejection;
    return rejection.policy + r.rejection.reason;
  }
  export async function negative(): Promise<string> {
    const r = await pipeline(circuitBreaker()).tryExecute(async () => ({ id: 1 }));
    if (!r.ok) return r.rejection.policy;
    return r.value.id.toFixed(1);
  }
  export async function compared(): Promise<string> {
    const r = await pipeline(circuitBreaker()).tryExecute(async () => ({ id: 1 }));
    return r.ok === false ? r.rejection.policy : r.value.id.toFixed(1);
  }
`;

/** What TypeScript says about `text`, and not about the sources that it imports. */
function complaints(text: string, options: ts.CompilerOptions): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const base = ts.parseJsonConfigFileContent(config, ts.sys, ROOT).options;
  const all = { ...base, exactOptionalPropertyTypes: false, ...options };
  const host = ts.createCompilerHost(all);
  const { getSourceFile, fileExists } = host;
  host.getSourceFile = (path, ...rest) =>
    path === FIXTURE
      ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, path, ...rest);
  host.fileExists = (path) => path === FIXTURE || fileExists.call(host, path);
  const program = ts.createProgram([FIXTURE], all, host);
  const found = [...program.getOptionsDiagnostics(), ...program.getSemanticDiagnostics(program.getSourceFile(FIXTURE))];
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

describe('a Result', () => {
  it.each([
    ['without strictNullChecks', { strictNullChecks: false }],
    ['without strict', { strict: false }],
  ])('tells by `ok` which it is: %s', { timeout: 60_000 }, (_, options) => {
    expect(complaints(CODE, options)).toEqual([]);
    expect(complaints(`${CODE} export const wrong: number = 'text';`, options)).toHaveLength(1);
  });
});
