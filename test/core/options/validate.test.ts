import { describe, expect, it } from 'vitest';
import { checkNumber, type NumberRule, OptionReader, optionalNumber } from '../../../src/core/options/validate.js';

const check = (value: unknown, rule: NumberRule) => () => checkNumber('owner', 'option', value, rule);

describe('checkNumber', () => {
  it.each<[unknown, NumberRule]>([
    [1, { min: 1 }],
    [2, { max: 2 }],
    [1.01, { above: 1 }],
    [1.99, { below: 2 }],
    [-3, { integer: true }],
    [0, {}],
    [Infinity, { infinite: true, min: 0 }],
    [-Infinity, { infinite: true }],
  ])('lets %s through %o', (value, rule) => {
    expect(check(value, rule)()).toBe(value);
  });

  it.each<[unknown, NumberRule, string]>([
    [0.99, { min: 1 }, 'owner: option must be a finite number ≥ 1, got 0.99'],
    [2.01, { min: 1, max: 2 }, 'owner: option must be a finite number ≥ 1 and ≤ 2, got 2.01'],
    [1, { above: 1 }, 'owner: option must be a finite number > 1, got 1'],
    [2, { min: 0, below: 2 }, 'owner: option must be a finite number ≥ 0 and < 2, got 2'],
    [1.5, { min: 1, integer: true }, 'owner: option must be a whole number ≥ 1, got 1.5'],
    [NaN, {}, 'owner: option must be a finite number, got NaN'],
    [NaN, { infinite: true, min: 0 }, 'owner: option must be a number ≥ 0, got NaN'],
    [NaN, { above: 0, below: 1 }, 'owner: option must be a finite number > 0 and < 1, got NaN'],
    [Infinity, { min: 0 }, 'owner: option must be a finite number ≥ 0, got Infinity'],
    [-Infinity, { infinite: true, min: 0 }, 'owner: option must be a number ≥ 0, got -Infinity'],
    [Infinity, { integer: true }, 'owner: option must be a whole number, got Infinity'],
  ])('refuses %s by %o as out of range', (value, rule, message) => {
    expect(check(value, rule)).toThrow(new RangeError(message));
  });

  it.each<[unknown, string]>([
    ['5', '"5"'],
    [null, 'null'],
    [undefined, 'undefined'],
    [true, 'true'],
    [5n, '5'],
    [{}, 'an object'],
    [[], 'an array'],
    [() => 5, 'a function'],
    [Symbol('s'), 'Symbol(s)'],
  ])('refuses %s as of another type', (value, shown) => {
    expect(check(value, { min: 0 })).toThrow(new TypeError(`owner: option must be a finite number ≥ 0, got ${shown}`));
  });
});

const HOST = { now: () => 0, later: () => 0 };

describe('OptionReader', () => {
  it('takes the default for undefined, and not for null', () => {
    const read = new OptionReader('owner', { a: undefined, b: null });
    expect(read.number('a', 7, {})).toBe(7);
    expect(() => read.number('b', 7, {})).toThrow(TypeError);
  });

  it('requires what has no default', () => {
    expect(() => new OptionReader('owner', undefined).number('a', undefined, { above: 0 })).toThrow(
      new TypeError('owner: a must be a finite number > 0, got undefined'),
    );
  });

  it('knows an optional number from none', () => {
    const read = new OptionReader('owner', { a: undefined, b: 0, c: null });
    expect([optionalNumber(read, 'a', {}), optionalNumber(read, 'b', {})]).toEqual([undefined, 0]);
    expect(() => optionalNumber(read, 'c', { min: 1 })).toThrow(
      new TypeError('owner: c must be a finite number ≥ 1, got null'),
    );
  });

  it('takes what holds now, where an update does not give it', () => {
    const read = new OptionReader('owner', { a: 1 }, { a: 10, b: 0 });
    expect([read.number('a', 5, {}), read.number('b', 5, {}), read.number('c', 5, {})]).toEqual([1, 0, 5]);
  });

  it('reads each option once', () => {
    let reads = 0;
    const options = {
      get a() {
        reads++;
        return 1;
      },
    };
    const read = new OptionReader('owner', options);
    read.number('a', 0, {});
    read.done();
    expect(reads).toBe(1);
  });

  it.each([null, 5, 'text', [], () => {}])('refuses %s for options', (options) => {
    expect(() => new OptionReader('owner', options)).toThrow(/^owner: options must be an object, got /);
  });

  it('gives each option as it was given, or the default', () => {
    const given = {
      limit: 'auto',
      mode: 'off',
      on: true,
      name: 'mine',
      made: Math.max,
      list: [1, 2],
      clock: { now: () => 5 },
      raw: null,
    };
    const values = (read: OptionReader) => [
      read.numberOr('limit', 3, { min: 1 }, 'auto'),
      read.oneOf('mode', 'on', ['on', 'off']),
      read.boolean('on', false),
      read.name('owner'),
      read.fn('made'),
      read.array('list', 'an array'),
      read.object('clock', HOST, ['now']),
      read.whatever('raw', 7),
    ];
    expect(values(new OptionReader('owner', given))).toEqual(Object.values(given));
    expect(values(new OptionReader('owner', undefined))).toEqual([
      3,
      'on',
      false,
      'owner',
      undefined,
      undefined,
      HOST,
      7,
    ]);
    const copy = new OptionReader('owner', given).array('list', 'an array');
    expect(copy).not.toBe(given.list);
  });

  it.each<[string, (read: OptionReader) => unknown, unknown, ErrorConstructor, string]>([
    [
      'numberOr',
      (read) => read.numberOr('x', 1, { min: 1 }, 'auto'),
      0,
      RangeError,
      "a finite number ≥ 1 or 'auto', got 0",
    ],
    ['numberOr', (read) => read.numberOr('x', 1, {}, 'auto'), 'no', TypeError, 'a finite number or \'auto\', got "no"'],
    ['oneOf', (read) => read.oneOf('x', 'on', ['on', 'off']), 'out', RangeError, "'on' or 'off', got \"out\""],
    ['oneOf', (read) => read.oneOf('x', 'on', ['on', 'off']), 1, TypeError, "'on' or 'off', got 1"],
    ['boolean', (read) => read.boolean('x', true), 0, TypeError, 'true or false, got 0'],
    ['fn', (read) => read.fn('x'), null, TypeError, 'a function, got null'],
    ['array', (read) => read.array('x', 'an array of keys'), 'ab', TypeError, 'an array of keys, got "ab"'],
    ['object', (read) => read.object('x', {}, []), 5, TypeError, 'an object, got 5'],
    ['object', (read) => read.object('x', HOST, ['now']), { now: 5 }, TypeError, 'an object with now, got an object'],
    ['object', (read) => read.object('x', HOST, ['now']), null, TypeError, 'an object with now, got null'],
    [
      'object',
      (read) => read.object('x', HOST, ['now', 'later']),
      { now: () => 0 },
      TypeError,
      'an object with now, later, got an object',
    ],
  ])('%s refuses another value', (_, ask, value, error, message) => {
    const act = () => ask(new OptionReader('owner', { x: value }));
    expect(act).toThrow(error);
    expect(act).toThrow(`owner: x must be ${message}`);
  });

  it.each(['', 5, null])('refuses %j for a name', (name) => {
    expect(() => new OptionReader('owner', { name }).name('owner')).toThrow(
      new TypeError(`owner: name must be a string that is not empty, got ${JSON.stringify(name)}`),
    );
  });

  it('names the option that it does not know, and those that it does', () => {
    const read = new OptionReader('owner', { a: 1, wndowMs: 1 });
    read.number('a', 0, {});
    read.number('windowMs', 0, {});
    expect(() => read.done()).toThrow(new TypeError('owner: unknown option wndowMs; there are a, windowMs'));
  });
});
