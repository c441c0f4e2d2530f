import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { API_FILE } from '../../scripts/api.js';
import { parse, walk } from '../architecture/source.js';
import { ROOT } from './packed.js';

/** Fields that may be left out and say so of what they come from us with, not of what is given. */
const ANSWERS = new Set(['RateLimitHeaders']);

/** `Type.field` of each field of a type that may be left out, and that `undefined` cannot be given for. */
function refusingUndefined(text: string): string[] {
  const found: string[] = [];
  const path = 'api.d.ts';
  for (const statement of parse({ path, text }).statements) {
    if (!ts.isInterfaceDeclaration(statement) && !ts.isTypeAliasDeclaration(statement)) continue;
    const name = statement.name.text;
    if (ANSWERS.has(name)) continue;
    walk(statement, (node) => {
      if (!ts.isPropertySignature(node) || node.questionToken === undefined || ts.isComputedPropertyName(node.name))
        return;
      const types = node.type !== undefined && ts.isUnionTypeNode(node.type) ? node.type.types : [node.type];
      if (types.some((one) => one?.kind === ts.SyntaxKind.UndefinedKeyword)) return;
      found.push(`${name}.${node.name.getText()}`);
    });
  }
  return found;
}

const DECLARATIONS = readFileSync(join(ROOT, API_FILE), 'utf8').split('# Declarations')[1] ?? '';

describe('the public types', () => {
  it('take undefined for whatever may be left out', () => {
    expect(refusingUndefined(DECLARATIONS.replace(/^# .*$/gm, ''))).toEqual([]);
  });

  it('finds a field that does not', () => {
    const text = `interface A { a?: number; b?: number | undefined; c: string; d?: { e?: () => void } | undefined }`;
    expect(refusingUndefined(text)).toEqual(['A.a', 'A.e']);
  });

  it('need no TypeScript that is newer than 5.0', () => {
    // NoInfer came with 5.4, Iterator objects and `using` as types with 5.2 and 5.6.
    expect(DECLARATIONS).not.toMatch(
      /\b(NoInfer|IteratorObject|BuiltinIterator|ArrayIterator|MapIterator|SetIterator)\b/,
    );
  });
});
