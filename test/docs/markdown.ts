import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface Page {
  /** Path from the root of the repository. */
  file: string;
  lines: string[];
}

/** README.md and everything in docs. */
export function pages(): Page[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  const files = ['README.md', ...docs.filter((path) => path.endsWith('.md')).map((path) => join('docs', path))].sort();
  return files.map((file) => ({ file, lines: readFileSync(join(ROOT, file), 'utf8').split('\n') }));
}

export interface Block {
  language: string;
  /** Of its first line of code, from 1. */
  line: number;
  code: string[];
  /** Whether `<!-- continues -->` stands right before it: it belongs to the block above. */
  continues: boolean;
  /** `<!-- worker work.mjs -->` stands right before it: it is the file that the next block's workers run. */
  worker?: string | undefined;
}

export function blocks({ file, lines }: Page): Block[] {
  const found: Block[] = [];
  let open: Block | undefined;
  lines.forEach((text, i) => {
    const fence = /^\s*```(.*)$/.exec(text);
    if (fence === null) {
      open?.code.push(text);
    } else if (open === undefined) {
      const before = lines.slice(0, i).findLast((line) => line.trim() !== '');
      open = {
        language: (fence[1] as string).trim(),
        line: i + 2,
        code: [],
        continues: before === '<!-- continues -->',
        worker: /^<!-- worker (\S+) -->$/.exec(before ?? '')?.[1],
      };
      found.push(open);
    } else {
      open = undefined;
    }
  });
  if (open !== undefined) throw new Error(`${file}:${open.line - 1}: a code block that does not end`);
  return found;
}

/** A module made of one block, or of several that belong together; its line numbers are the page's. */
export interface Snippet {
  page: string;
  line: number;
  language: string;
  code: string;
  /** What it says that it prints: the text of its `// →` comments. */
  prints: string[];
  /** The code of its workers by file name. */
  workers: Record<string, string>;
}

export function snippets(page: Page): Snippet[] {
  const found: (Snippet & { lines: string[] })[] = [];
  let workers: Record<string, string> = {};
  for (const { language, line, code, continues, worker } of blocks(page)) {
    if (language !== 'ts' && language !== 'js') continue;
    if (worker !== undefined) {
      workers[worker] = code.join('\n');
      continue;
    }
    let snippet = found.at(-1);
    if (snippet === undefined || !continues) {
      snippet = { page: page.file, line, language, code: '', prints: [], workers, lines: [] };
      workers = {};
      found.push(snippet);
    }
    while (snippet.lines.length < line - 1) snippet.lines.push('');
    snippet.lines.push(...code);
    snippet.prints.push(...code.flatMap((text) => /\/\/ → ?(.*)$/.exec(text)?.[1] ?? []));
  }
  return found.map(({ lines, ...snippet }) => ({ ...snippet, code: `${lines.join('\n')}\nexport {};\n` }));
}
