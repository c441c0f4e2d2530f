import { invalid, OptionReader } from '../../../core/options/validate.js';
import { type Draw, readDuration } from './durations.js';

/** The fields of one object of a scenario. */
export class Fields extends OptionReader {
  constructor(
    readonly path: string,
    given: unknown,
  ) {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      const cut = path.lastIndexOf(': ');
      if (cut < 0) invalid(path, 'scenario', 'an object', given, true);
      invalid(path.slice(0, cut), path.slice(cut + 2), 'an object', given, true);
    }
    super(path, given);
  }

  /** An array, or one that stands for itself; with the path of each. */
  list(name: string, allowed: string): [path: string, given: unknown][] {
    const value = this.whatever(name);
    if (value === undefined) return [];
    if (Array.isArray(value)) return value.map((one, i) => [`${this.path}: ${name}[${i}]`, one]);
    if (typeof value !== 'object' || value === null) invalid(this.path, name, allowed, value, true);
    return [[`${this.path}: ${name}`, value]];
  }

  atLeastOne(name: string, allowed: string): [path: string, given: unknown][] {
    const list = this.list(name, allowed);
    if (list.length > 0) return list;
    const got = this.whatever(name) === undefined ? 'undefined' : 'an empty array';
    throw new TypeError(`${this.path}: ${name} must be ${allowed}, got ${got}`);
  }

  /** A whole number, or no end of them; undefined = not given. */
  optionalCount(name: string): number | undefined {
    const value = this.whatever(name);
    if (value === undefined || value === Infinity || (Number.isInteger(value) && (value as number) >= 0))
      return value as number | undefined;
    return invalid(this.path, name, 'a whole number ≥ 0 or Infinity', value, typeof value !== 'number');
  }

  /** One of `allowed`; undefined = not given. */
  choice<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.whatever(name);
    if (value === undefined || allowed.includes(value as T)) return value as T | undefined;
    const text = allowed.map((one) => `'${one}'`).join(' or ');
    return invalid(this.path, name, text, value, typeof value !== 'string');
  }

  duration(name: string): Draw {
    return readDuration(this.path, name, this.whatever(name));
  }

  optionalDuration(name: string): Draw | undefined {
    const value = this.whatever(name);
    return value === undefined ? undefined : readDuration(this.path, name, value);
  }
}

export function inOrder<T extends { path: string; atMs: number }>(list: readonly T[]): Omit<T, 'path'>[] {
  let before = 0;
  return list.map(({ path, ...rest }) => {
    if (rest.atMs < before) invalid(path, 'atMs', `≥ the one before, ${before}`, rest.atMs);
    before = rest.atMs;
    return rest;
  });
}
