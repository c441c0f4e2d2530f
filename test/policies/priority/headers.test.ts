import { type HeaderSource, tierFrom } from 'evenkeel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('Priority, RFC 9218', () => {
  it.each([
    ['u=0', 1],
    ['u=1', 1],
    ['u=2', 2],
    ['u=3', 3],
    ['u=4', 3],
    ['u=5', 4],
    ['u=6', 4],
    ['u=7', 4],
    ['u=2, i', 2],
    ['i, u=2', 2],
    ['i=?0,u=0', 1],
    ['u=1;x=y', 1],
    ['u=7, u=0', 1],
    ['i', 3],
    ['  u=2\t', 2],
    ['x-y=5;z, u=2', 2],
  ])('%j is tier %d', (value, tier) => {
    expect(tierFrom({ priority: value })).toBe(tier);
  });

  it.each([
    'u=8',
    'u=-1',
    'u=',
    'u',
    'u=1.0',
    'u="1"',
    'u=01',
    'U=1',
    'u =1',
    'u= 1',
    '',
    ',',
    'u=1,',
    ';u=1',
    'u=1; u=2, 5',
  ])('%j makes no sense: the lowest', (value) => {
    expect(tierFrom({ priority: value })).toBe(4);
  });
});

describe('x-request-tier', () => {
  it.each(['1', '2', '3', '4'])('%s', (value) => {
    expect(tierFrom({ 'x-request-tier': value })).toBe(Number(value));
    expect(tierFrom(new Headers({ 'X-Request-Tier': ` ${value} ` }))).toBe(Number(value));
    expect(tierFrom({ 'x-request-tier': ` ${value}\t` })).toBe(Number(value));
  });

  it.each(['0', '5', '-1', '1.0', '01', '1, 1', 'one', '', 'NaN', '１'])('%j is unknown: the lowest', (value) => {
    expect(tierFrom({ 'x-request-tier': value })).toBe(4);
  });

  it('counts before Priority, also when it makes no sense', () => {
    expect(tierFrom({ 'x-request-tier': '2', priority: 'u=0' })).toBe(2);
    expect(tierFrom({ 'x-request-tier': 'me first', priority: 'u=0' })).toBe(4);
  });
});

it('nobody said: 3, the default of a context and of RFC 9218', () => {
  expect([tierFrom({}), tierFrom(new Headers()), tierFrom(new Map())]).toEqual([3, 3, 3]);
});

it('never throws, and always gives a tier', () => {
  const name = fc.constantFrom('priority', 'x-request-tier', 'Priority', 'get', 'other');
  const text = fc.stringMatching(/^[ui=0-9,; \t"?*.x-]{0,20}$/);
  fc.assert(
    fc.property(fc.dictionary(name, fc.oneof(fc.anything(), fc.string(), text, fc.array(text))), (headers) => {
      expect([1, 2, 3, 4]).toContain(tierFrom(headers as HeaderSource));
    }),
  );
  for (const none of [undefined, null, 5, 'u=1']) expect(tierFrom(none as unknown as HeaderSource)).toBe(3);
});

it('takes no longer for a long header than for many short ones', () => {
  const long = `u=1${' '.repeat(50_000)}x`;
  expect(tierFrom({ priority: long })).toBe(4);
  expect(tierFrom({ priority: `${'a'.repeat(50_000)}!` })).toBe(4);
});
