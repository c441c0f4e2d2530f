import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { EXCUSES, type Excuse, excuseOf, isStale } from './excuses.js';
import { MODULES } from './modules.js';

const SRC = new URL('../../src/', import.meta.url);

it.each(EXCUSES)('still fits: $file, $code', (excuse) => {
  expect(existsSync(new URL(excuse.file, SRC)), excuse.file).toBe(true);
  expect(isStale(excuse, readFileSync(new URL(excuse.file, SRC), 'utf8')), 'adapt test/mutation/excuses.ts').toBe(
    false,
  );
  expect(excuse.reason).not.toBe('');
});

it('each is for a module that is judged, and none is there twice', () => {
  const judged = new Set(MODULES.flatMap(({ files }) => files));
  expect(EXCUSES.filter(({ file }) => !judged.has(`src/${file}`))).toEqual([]);
  expect(new Set(EXCUSES.map(({ file, code }) => `${file} ${code}`)).size).toBe(EXCUSES.length);
});

const excuse: Excuse = { file: 'a.ts', mutators: ['EqualityOperator'], code: 'if (b > 0)', reason: 'only speed' };
const TEXT = 'a();\n  c(d > 0); if (b > 0) e(f > 0);\n  if (b > 1) g();';
const place = {
  file: 'a.ts',
  mutator: 'EqualityOperator',
  line: 2,
  column: TEXT.split('\n')[1]?.indexOf('b > 0') ?? 0,
};

it('excuses the change of its mutator in its code, and no other', () => {
  const found = (other: Partial<typeof place>, excuses = [excuse]) => excuseOf({ ...place, ...other }, TEXT, excuses);
  expect(found({})).toBe(excuse);
  expect(found({ column: 13 })).toBe(excuse);
  expect(found({ column: 22 })).toBe(excuse);
  // Before the code, after it, and on other lines.
  for (const column of [5, 12, 23, 25]) expect(found({ column }), String(column)).toBe(undefined);
  for (const line of [1, 3, 4]) expect(found({ line }), String(line)).toBe(undefined);
  expect(found({ file: 'b.ts' })).toBe(undefined);
  expect(found({ mutator: 'ConditionalExpression' })).toBe(undefined);
  expect(found({ mutator: 'BlockStatement' }, [{ ...excuse, mutators: ['all'] }])).toBeDefined();
});

it('would notice a stale one', () => {
  expect(isStale(excuse, TEXT)).toBe(false);
  expect(isStale(excuse, TEXT.replace('if (b > 0)', 'if (b >= 0)'))).toBe(true);
  expect(isStale(excuse, TEXT.replace('if (b > 0)', 'if\n(b > 0)'))).toBe(true);
});
