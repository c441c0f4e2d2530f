import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HeaderSource, headerValue } from '../../../src/core/options/headers.js';

describe('headerValue', () => {
  it.each<[string, HeaderSource]>([
    ['fetch’s Headers', new Headers({ 'X-Tier': '2' })],
    ['a Map', new Map([['x-tier', '2']])],
    ['Node’s object', { host: 'example.org', 'x-tier': '2' }],
    ['an object in another case', { 'X-TIER': '2' }],
    ['a list of one', { 'x-tier': ['2'] }],
    ['a Map of lists', new Map([['x-tier', ['2']]])],
  ])('finds it in %s', (_, headers) => {
    expect(headerValue(headers, 'x-tier')).toBe('2');
    expect(headerValue(headers, 'x-other')).toBe(undefined);
  });

  it('joins several by commas, as Headers does', () => {
    const headers = new Headers();
    headers.append('via', 'a');
    headers.append('via', 'b');
    expect(headerValue({ via: ['a', 'b'] }, 'via')).toBe(headerValue(headers, 'via'));
  });

  it('prefers the name as it is asked for', () => {
    expect(headerValue({ 'X-Tier': '1', 'x-tier': '2' }, 'x-tier')).toBe('2');
  });

  it.each([[{ a: [] }], [{ a: ['x', 5] }], [{ a: 5 }], [{ undefined: 'x' }], [{}], [null], [undefined], ['a'], [5]])(
    'finds nothing in %j',
    (headers) => {
      expect(headerValue(headers as HeaderSource, 'a')).toBe(undefined);
    },
  );

  it('finds nothing that objects have by themselves', () => {
    expect(headerValue({}, 'constructor')).toBe(undefined);
    expect(headerValue({}, '__proto__')).toBe(undefined);
    expect(headerValue(Object.create({ a: 'inherited' }), 'a')).toBe(undefined);
  });

  it('throws for nothing that a stranger sends', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.anything()), fc.string(), (headers, name) => {
        fc.pre(typeof headers.get !== 'function');
        const value = headerValue(headers as HeaderSource, name);
        expect(['string', 'undefined']).toContain(typeof value);
      }),
    );
  });
});
