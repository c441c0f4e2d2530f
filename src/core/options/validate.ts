/**
 * Reads a factory's options: each once, checked, never kept. Every message names the factory, the option, the value and
 * what is allowed.
 */

const show = (value: unknown): string => {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
};

/** @throws TypeError or RangeError `owner: option must be allowed, got value` */
export function invalid(owner: string, option: string, allowed: string, value: unknown, wrongType = false): never {
  throw new (wrongType ? TypeError : RangeError)(`${owner}: ${option} must be ${allowed}, got ${show(value)}`);
}

/** What a number option may be: `min` and `max` themselves too, `above` and `below` themselves not. */
export interface NumberRule {
  min?: number;
  above?: number;
  max?: number;
  below?: number;
  integer?: boolean;
  /** Whether Infinity is a sensible value. */
  infinite?: boolean;
  /** The one word that may stand in place of a number. */
  or?: string;
}

function ruleText({ min, above, max, below, integer, infinite, or }: NumberRule): string {
  const bounds = [];
  if (min !== undefined) bounds.push(`≥ ${min}`);
  if (above !== undefined) bounds.push(`> ${above}`);
  if (max !== undefined) bounds.push(`≤ ${max}`);
  if (below !== undefined) bounds.push(`< ${below}`);
  const number = integer ? 'a whole number' : infinite ? 'a number' : 'a finite number';
  return `${[number, bounds.join(' and ')].join(' ').trim()}${or === undefined ? '' : ` or '${or}'`}`;
}

/** @throws when `value` breaks `rule`: TypeError for another type, RangeError for NaN and what is out of range. */
export function checkNumber(owner: string, option: string, value: unknown, rule: NumberRule): number {
  if (typeof value !== 'number') return invalid(owner, option, ruleText(rule), value, true);
  const { min = -Infinity, max = Infinity, above, below } = rule;
  const fits =
    value >= min &&
    value <= max &&
    (above === undefined || value > above) &&
    (below === undefined || value < below) &&
    (rule.infinite || Number.isFinite(value)) &&
    (!rule.integer || Number.isInteger(value));
  return fits ? value : invalid(owner, option, ruleText(rule), value);
}

/** Whether `value` is an object that has all of `methods`. */
export const hasMethods = (value: unknown, methods: readonly string[]): boolean =>
  typeof value === 'object' &&
  value !== null &&
  methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');

export const objectWith = (methods: readonly string[]): string =>
  methods.length > 0 ? `an object with ${methods.join(', ')}` : 'an object';

/** Reads the options of one factory by name; {@link OptionReader.done} refuses names that were not asked for. */
export class OptionReader {
  readonly owner: string;
  readonly #given: Record<string, unknown>;
  readonly #current: Record<string, unknown>;
  readonly #known: string[] = [];

  /** For an update, `current` is what holds where an option is not given. */
  constructor(owner: string, given: unknown, current: object = {}) {
    if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
      throw new TypeError(`${owner}: options must be an object, got ${show(given)}`);
    }
    this.owner = owner;
    this.#given = (given ?? {}) as Record<string, unknown>;
    this.#current = current as Record<string, unknown>;
  }

  /** `undefined` takes the default; null does not. */
  #take(option: string, byDefault?: unknown): unknown {
    this.#known.push(option);
    const value = this.#given[option];
    return value === undefined ? (this.#current[option] ?? byDefault) : value;
  }

  #wrongType(option: string, allowed: string, value: unknown): never {
    return invalid(this.owner, option, allowed, value, true);
  }

  /** Without a default the option is required. */
  number(option: string, byDefault: number | undefined, rule: NumberRule): number {
    return checkNumber(this.owner, option, this.#take(option, byDefault), rule);
  }

  /** A number, or the one `word`. */
  numberOr<W extends string>(option: string, byDefault: number | W, rule: NumberRule, word: W): number | W {
    const value = this.#take(option, byDefault);
    return value === word ? word : checkNumber(this.owner, option, value, { ...rule, or: word });
  }

  oneOf<T extends string>(option: string, byDefault: T, allowed: readonly T[]): T {
    const value = this.#take(option, byDefault);
    if (allowed.includes(value as T)) return value as T;
    const text = allowed.map((one) => `'${one}'`).join(' or ');
    return invalid(this.owner, option, text, value, typeof value !== 'string');
  }

  boolean(option: string, byDefault: boolean): boolean {
    const value = this.#take(option, byDefault);
    return typeof value === 'boolean' ? value : this.#wrongType(option, 'true or false', value);
  }

  name(byDefault: string): string {
    const value = this.#take('name', byDefault);
    return typeof value === 'string' && value ? value : this.#wrongType('name', 'a string that is not empty', value);
  }

  /** A function, or undefined. */
  fn<F>(option: string): F | undefined {
    const value = this.#take(option);
    return value === undefined || typeof value === 'function'
      ? (value as F)
      : this.#wrongType(option, 'a function', value);
  }

  /** Whatever was given, or the default, for its reader to check. */
  whatever(option: string, byDefault?: unknown): unknown {
    return this.#take(option, byDefault);
  }

  /** An array, copied, or undefined. */
  array(option: string, allowed: string): unknown[] | undefined {
    const value = this.#take(option);
    if (value === undefined) return undefined;
    return Array.isArray(value) ? Array.from(value) : this.#wrongType(option, allowed, value);
  }

  /** An object that has all of `methods`. */
  object<T extends object>(option: string, byDefault: T, methods: readonly (keyof T & string)[]): T {
    const value = this.#take(option, byDefault);
    return hasMethods(value, methods) ? (value as T) : this.#wrongType(option, objectWith(methods), value);
  }

  /** @throws TypeError for an option that was not asked for. */
  done(): void {
    for (const option of Object.keys(this.#given)) {
      if (this.#known.includes(option)) continue;
      throw new TypeError(`${this.owner}: unknown option ${option}; there are ${this.#known.join(', ')}`);
    }
  }
}

/** A number, or undefined. No method, as few need it and all would pay for it. */
export function optionalNumber(read: OptionReader, option: string, rule: NumberRule): number | undefined {
  const value = read.whatever(option);
  return value === undefined ? undefined : checkNumber(read.owner, option, value, rule);
}
