import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { format } from 'node:util';
import ts from 'typescript';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { buildWorker } from '../workers/isolation/build.js';
import { type Block, blocks, pages, ROOT, type Snippet, snippets } from './markdown.js';

const PAGES = pages();
const SNIPPETS = PAGES.flatMap(snippets);
// A type check or a simulation takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const RUN = ['ts', 'js'];
const NOT_RUN = ['text', 'sh'];

const scratch = mkdtempSync(join(tmpdir(), 'evenkeel-docs-'));
afterAll(() => rmSync(scratch, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** Where a snippet is written: `README.md.12.ts` for the one that begins at line 12 of README.md. */
const fileOf = ({ page, line, language }: Snippet, root: string): string => join(root, `${page}.${line}.${language}`);

/** Runs a snippet as a module of its own and gives the lines that it printed. */
async function run(snippet: Snippet): Promise<string[]> {
  const file = fileOf(snippet, scratch);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, snippet.code);
  for (const [name, code] of Object.entries(snippet.workers)) {
    const source = join(dirname(file), `${name}.source.ts`);
    writeFileSync(source, code);
    await buildWorker(source, join(dirname(file), name));
  }
  const printed: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((...args) => void printed.push(...format(...args).split('\n')));
  try {
    await import(/* @vite-ignore */ file);
  } catch (error) {
    const stack = String((error as Error | undefined)?.stack ?? error);
    const line = stack.split(`${file}:`)[1]?.split(':')[0] ?? snippet.line;
    throw new Error(`${snippet.page}:${line}: ${error}`, { cause: error });
  }
  return printed;
}

const openServers = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPServerWrap').length;

/** What TypeScript has against the snippets, by page and line. */
function typeErrors(given: readonly Snippet[]): string[] {
  const sources = new Map(given.map((snippet) => [fileOf(snippet, ROOT), snippet]));
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.getSourceFile = (path, ...rest) => {
    const snippet = sources.get(path);
    if (snippet === undefined) return getSourceFile(path, ...rest);
    return ts.createSourceFile(path, snippet.code, ts.ScriptTarget.ES2022);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return [...sources].flatMap(([path, { page }]) => {
    const source = program.getSourceFile(path);
    return ts.getPreEmitDiagnostics(program, source).map(({ start = 0, messageText }) => {
      const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1;
      return `${page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
  });
}

describe('every code block', () => {
  it(`is run (${RUN}), or is plainly not code to run (${NOT_RUN})`, () => {
    const others = PAGES.flatMap((page) =>
      blocks(page)
        .filter(({ language }) => ![...RUN, ...NOT_RUN].includes(language))
        .map(({ line, language }: Block) => `${page.file}:${line}: '${language}'`),
    );
    expect(others).toEqual([]);
  });

  it('has the right types', () => {
    expect(typeErrors(SNIPPETS.filter(({ language }) => language === 'ts'))).toEqual([]);
  });

  for (const snippet of SNIPPETS)
    it(`runs and prints what it says: ${snippet.page}:${snippet.line}`, async () => {
      expect(await run(snippet), `printed by ${snippet.page}:${snippet.line}`).toEqual(snippet.prints);
      // One that was closed is gone within a few turns of the event loop.
      await vi.waitFor(() => expect(openServers(), `servers left open by ${snippet.page}:${snippet.line}`).toBe(0));
    });
});

describe('every example', () => {
  for (const name of readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.ts')))
    it(`runs and prints what it says: ${name}`, async () => {
      const lines = readFileSync(join(ROOT, 'examples', name), 'utf8').split('\n');
      const [example] = snippets({ file: `examples/${name}`, lines: ['```ts', ...lines, '```'] });
      expect(await run(example as Snippet)).toEqual(example?.prints);
    });
});

describe('a snippet that is wrong', () => {
  const page = (file: string, ...code: string[]): Snippet => {
    const [snippet] = snippets({ file, lines: ['# Wrong', '', '```ts', ...code, '```'] });
    return snippet as Snippet;
  };

  it('fails with its page and line when it throws', async () => {
    const wrong = page(
      'docs/throws.md',
      "import { circuitBreaker } from 'evenkeel';",
      '',
      'circuitBreaker({ k: 0.5 });',
    );
    await expect(run(wrong)).rejects.toThrow('docs/throws.md:6: RangeError: circuitBreaker: k must be');
  });

  it('fails with its page and line when a name does not exist', () => {
    const wrong = page('docs/types.md', "import { circuitBreaker } from 'evenkeel';", 'circuitBreaker().open();');
    expect(typeErrors([wrong])).toEqual([expect.stringContaining("docs/types.md:5: Property 'open' does not exist")]);
  });

  it('prints what its comments do not say', async () => {
    const wrong = page('docs/prints.md', 'console.log(1 + 1); // → 3', 'console.log({ a: 1 });');
    expect([await run(wrong), wrong.prints]).toEqual([['2', '{ a: 1 }'], ['3']]);
  });

  it('knows the lines of a block that continues another', async () => {
    const lines = [
      '```ts',
      'const a: number = 1;',
      '```',
      'then',
      '',
      '<!-- continues -->',
      '```ts',
      'throw a;',
      '```',
    ];
    const [snippet] = snippets({ file: 'docs/two.md', lines });
    expect(snippet?.code.split('\n')[7]).toBe('throw a;');
    await expect(run(snippet as Snippet)).rejects.toThrow('docs/two.md:2: 1');
  });
});
