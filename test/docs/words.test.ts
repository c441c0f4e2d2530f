import ts from 'typescript';
import { expect, it } from 'vitest';
import { parse, readSources, type Source, walk } from '../architecture/source.js';
import { pages, ROOT } from './markdown.js';

/** What the glossary in CONTRIBUTING.md replaces, and what to write instead. */
const BANNED: readonly [words: RegExp, instead: string][] = [
  [/\bcallees?\b/i, 'downstream, dependency, back-end'],
  [/\b(well again|ill)\b/i, 'healthy, recovered, unhealthy'],
  [/\bfurther (in|out)\b/i, 'inner, outer'],
  [/\b(give|gives|given|gave|hand|hands|handed)( \w+){0,3} back\b/i, 'release, refund, return'],
  [/\b(gives?|needs?|got|no|its) leave\b/i, 'permission, "the budget allows"'],
  [/\b(no|some|any|every)body\b/i, 'the code that it is: the caller, an outer gate'],
  [/\bwhoever\b/i, 'the code that it is: the caller, an outer gate'],
  [/\b(heed|heeds|heeded|heeding)\b/i, 'honour, respect'],
  [/\b(bear|bears|bore|borne)\b/i, 'handle, carry'],
  [/\b(spares|spared)\b/i, 'avoid, save'],
  [/\blearnt\b/i, 'learned, measured'],
  [/\bin earnest\b/i, 'in production'],
  [/\bthe books\b/i, 'counters, ledger'],
  [/\b(hang|hangs|hanging|hung) up\b/i, 'disconnect'],
  [/\bfates?\b/i, 'outcome, result'],
  [/\bthoughtless\b/i, 'naive'],
  [/\b(turn|turns|turned|turning) away\b/i, 'reject'],
  [/\b(let|lets|letting) in\b/i, 'admit'],
  [/\b(anew|therefore)\b/i, 'again; say the case'],
  [/\b(let be|by lot|dearer|would else)\b/i, 'ignore, at random, more expensive, would otherwise'],
  [
    /(\b(calls|requests|answers|tries|retries|messages|bytes|ns|ms|µs)|(?<![.\d])[1-9][\d,]*) an? (second|minute|call|request)\b/,
    'per',
  ],
];

/** Lines in which such words may stay. */
const ALLOWED: readonly { at: RegExp; text: RegExp; why: string }[] = [
  { at: /./, text: /\bcaller\b.*\bcallee\b/, why: 'the two ends of a call graph' },
  { at: /^docs\/performance\.md/, text: /^\|/, why: 'tables as the benchmarks print them' },
];

interface Line {
  at: string;
  text: string;
}

/** The lines of all comments, without the code beside them. */
function commentsOf(source: Source): Line[] {
  const file = parse(source);
  const ranges = new Map<number, number>();
  const add = (found: ts.CommentRange[] | undefined): void => {
    for (const { pos, end } of found ?? []) ranges.set(pos, end);
  };
  walk(file, (node) => {
    add(ts.getLeadingCommentRanges(file.text, node.pos));
    add(ts.getTrailingCommentRanges(file.text, node.end));
  });
  add(ts.getLeadingCommentRanges(file.text, file.endOfFileToken.pos));
  return [...ranges].flatMap(([pos, end]) => {
    const first = file.getLineAndCharacterOfPosition(pos).line + 1;
    return file.text
      .slice(pos, end)
      .split('\n')
      .map((text, i) => ({ at: `${source.path}:${first + i}`, text }));
  });
}

/** What is banned in `lines`, also where a phrase goes over the end of a line. */
function bannedIn(lines: readonly Line[]): string[] {
  return lines.flatMap(({ at, text }, i) => {
    const next = lines[i + 1]?.text.replace(/^[\s*/>|-]*/, '') ?? '';
    const start = text.trimEnd().length;
    const both = `${text.trimEnd()} ${next}`;
    return BANNED.flatMap(([words, instead]) => {
      const found = words.exec(both);
      if (found === null || found.index >= start) return [];
      if (ALLOWED.some((allowed) => allowed.at.test(at) && allowed.text.test(text))) return [];
      return [`${at}: "${found[0]}", better: ${instead}`];
    });
  });
}

it('comments in src use the words of the field', () => {
  const sources = readSources(ROOT, 'src').filter(({ path }) => path.endsWith('.ts'));
  expect(sources.length).toBeGreaterThan(100);
  expect(sources.flatMap((source) => bannedIn(commentsOf(source)))).toEqual([]);
});

it('pages and figures use the words of the field', () => {
  const written = pages().map(({ file, lines }) => lines.map((text, i) => ({ at: `${file}:${i + 1}`, text })));
  const drawn = readSources(ROOT, 'docs/figures').map(({ path, text }) =>
    [...text.matchAll(/>([^<]+)</g)].map(([, words = '']) => ({ at: path, text: words })),
  );
  expect(drawn.length).toBeGreaterThan(10);
  expect([...written, ...drawn].flatMap(bannedIn)).toEqual([]);
});

it('examples use the words of the field', () => {
  const sources = readSources(ROOT, 'examples').filter(({ path }) => path.endsWith('.ts'));
  expect(sources.flatMap((source) => bannedIn(commentsOf(source)))).toEqual([]);
});

it.each([
  ['// It refuses\n// a callee.', ['callee']],
  ["/** The policy's caller\n * gives a permit\n * back. */ const nobody = 1;", ['gives a permit back']],
  ["const text = 'nobody'; // 20 calls a second", ['calls a second']],
  ["const text = '// nobody';", []],
  ['// from caller to callee', []],
])('the check reads comments and nothing else: %j', (text, expected) => {
  expect(bannedIn(commentsOf({ path: 'a.ts', text })).map((line) => /"(.*)"/.exec(line)?.[1])).toEqual(expected);
});
