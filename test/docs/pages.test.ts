import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { parse, readSources } from '../architecture/source.js';
import { type Page, pages, ROOT } from './markdown.js';

const PAGES = pages();

/** The anchors that GitHub gives to a page's headings. */
const anchors = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replace(/ /g, '-'),
  );

/** Links of a page to files or headings that do not exist. */
function deadLinks({ file, lines }: Page): string[] {
  return lines.flatMap((text, i) =>
    [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (link.startsWith('https://')) return [];
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      const found = existsSync(join(ROOT, target));
      const fits =
        found && (anchor === undefined || anchors(readFileSync(join(ROOT, target), 'utf8')).includes(anchor));
      return fits ? [] : [`${file}:${i + 1}: ${link}`];
    }),
  );
}

const plain = (text: string): string => text.replace(/[`_,]/g, '').trim();

/** Each option of the interface `name` in src, and its `@default` or `required`. */
function optionsInSource(name: string): Record<string, string> {
  const files = readSources(ROOT, 'src').map(parse);
  const found = files
    .flatMap((file) => file.statements)
    .find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name);
  if (found === undefined) throw new Error(`src has no interface ${name}`);
  const members = (found as ts.InterfaceDeclaration).members.filter(ts.isPropertySignature);
  return Object.fromEntries(
    members.map((member) => {
      const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'default');
      const text = ts.getTextOfJSDocComment(tag?.comment);
      return [member.name.getText(), plain(text ?? (member.questionToken === undefined ? 'required' : 'none'))];
    }),
  );
}

/** What a page says: the first and the `Default` column of the table at `from`. */
function optionsOnPage(lines: string[], from: number): Record<string, string> {
  const rows: string[][] = [];
  for (let i = from; lines[i]?.startsWith('|'); i++) rows.push((lines[i] as string).split('|').slice(1, -1).map(plain));
  const [head = [], , ...body] = rows;
  return Object.fromEntries(body.map((row) => [row[0], row[head.indexOf('Default')]]));
}

describe('every page', () => {
  it('links to what exists', () => {
    expect(PAGES.flatMap(deadLinks)).toEqual([]);
  });

  const tables = PAGES.flatMap(({ file, lines }) =>
    lines.flatMap((text, i) => {
      const name = /^<!-- options of (\w+) -->$/.exec(text)?.[1];
      return name === undefined ? [] : [{ file, name, onPage: optionsOnPage(lines, i + 1) }];
    }),
  );
  for (const { file, name, onPage } of tables)
    it(`has the options and defaults of the source: ${file}, ${name}`, () => {
      expect(onPage).toEqual(optionsInSource(name));
    });

  it('that is about a module has such a table', () => {
    expect(tables.map(({ file }) => file)).toEqual(
      expect.arrayContaining([
        'docs/circuit-breaker.md',
        'docs/concurrency-limiter.md',
        'docs/dynamic-timeout.md',
        'docs/keyed.md',
        'docs/pipeline.md',
      ]),
    );
  });
});

describe('a page that is wrong', () => {
  it('is found by its dead links', () => {
    const lines = ['[a](none.md)', '[b](order.md#order) [c](order.md#none)'];
    const dead = deadLinks({ file: 'docs/wrong.md', lines });
    expect(dead).toEqual(['docs/wrong.md:1: none.md', 'docs/wrong.md:2: order.md#none']);
  });

  it('is found by its table', () => {
    const lines = ['| Option | Default |', '|---|---|', '| `maxKeys` | `10` |', ''];
    expect(optionsOnPage(lines, 0)).toEqual({ maxKeys: '10' });
    expect(optionsInSource('KeyedOptions')).toEqual({ maxKeys: '10000', name: "'keyed'" });
  });
});
