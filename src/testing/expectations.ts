import type { Tier } from '../core/context.js';
import { checkNumber, invalid } from '../core/validate.js';
import type { BackendFigures, Figures, Stretch } from './figures.js';

/** What a figure may be, `min` and `max` themselves too. */
export interface Bound {
  min?: number;
  max?: number;
  /** Only for the intervals that begin at it or later, ms. @default 0 */
  fromMs?: number;
  /** Only for the intervals that begin before it, ms. @default the scenario's durationMs */
  toMs?: number;
}

/** One bound, or several for different times. */
export type Expected = Bound | readonly Bound[];

type Numbers<T> = { [F in keyof T as T[F] extends number ? F : never]?: Expected };

/** Bounds on the figures of calls. */
export type ExpectedFigures = Numbers<Figures> & { refusedBy?: Record<string, Expected> };

/** What `report.assert` checks: bounds by the names of the report's figures. */
export type Expectations = ExpectedFigures & {
  tiers?: Partial<Record<Tier, ExpectedFigures>>;
  keys?: Record<string, ExpectedFigures>;
  backends?: Record<string, Numbers<BackendFigures>>;
};

type Group = Record<string, unknown>;
const GROUPS = ['refusedBy', 'tiers', 'keys', 'backends'];
const BOUND = ['min', 'max', 'fromMs', 'toMs'];

/** What is not as expected, one line a figure. `between` gives the figures of a stretch of time. */
export function failuresOf(
  expectations: Expectations,
  durationMs: number,
  between: (fromMs: number, toMs: number) => Stretch,
): string[] {
  const failures: string[] = [];
  const visit = (path: readonly string[], expected: unknown): void => {
    const owner = `report.assert${path.length === 0 ? '' : `: ${path.join('.')}`}`;
    if (typeof expected !== 'object' || expected === null)
      invalid('report.assert', path.join('.'), 'an object', expected, true);
    if (isGroup(path, expected)) {
      for (const [name, inner] of Object.entries(expected)) if (inner !== undefined) visit([...path, name], inner);
      return;
    }
    for (const given of Array.isArray(expected) ? expected : [expected]) {
      const bound = readBound(owner, given, durationMs);
      const failure = failureOf(path, bound, between(bound.fromMs, bound.toMs));
      if (failure !== undefined) failures.push(failure);
    }
  };
  visit([], expectations);
  return failures;
}

/** Whether it holds the bounds of several figures, not the bounds of one. */
function isGroup(path: readonly string[], expected: object): expected is Group {
  if (path.length === 0) return true;
  if (Array.isArray(expected)) return false;
  const last = path.at(-1) as string;
  if (path.length === 1 || last === 'refusedBy') return GROUPS.includes(last);
  return path.length === 2 && path[0] !== 'refusedBy';
}

function readBound(owner: string, given: unknown, durationMs: number): Required<Bound> {
  if (typeof given !== 'object' || given === null) return invalid(owner, 'a bound', 'an object', given, true);
  const { min = -Infinity, max = Infinity, fromMs = 0, toMs = durationMs } = given as Bound;
  for (const name of Object.keys(given))
    if (!BOUND.includes(name)) throw new TypeError(`${owner}: unknown field ${name}; there are ${BOUND.join(', ')}`);
  checkNumber(owner, 'min', min, { infinite: true });
  checkNumber(owner, 'max', max, { min, infinite: true });
  checkNumber(owner, 'fromMs', fromMs, { min: 0, below: durationMs });
  checkNumber(owner, 'toMs', toMs, { above: fromMs });
  return { min, max, fromMs, toMs };
}

function failureOf(path: readonly string[], bound: Required<Bound>, stretch: Stretch): string | undefined {
  const { min, max, fromMs, toMs } = bound;
  const value = valueAt(path, stretch);
  if (value >= min && value <= max) return undefined;
  const wanted = [min > -Infinity ? `≥ ${min}` : '', max < Infinity ? `≤ ${max}` : ''].filter(Boolean).join(' and ');
  const got = Number.isNaN(value) ? 'nothing to tell it by' : Number(value.toPrecision(4));
  return `${path.join('.')} from ${fromMs} to ${toMs} ms: wanted ${wanted}, got ${got}`;
}

function valueAt(path: readonly string[], stretch: Stretch): number {
  let value: unknown = stretch;
  for (const name of path) {
    const known: object = value as object;
    if (!Object.hasOwn(known, name)) {
      // A reason that nobody gave is a zero; another name that means nothing is a mistake.
      if (path.includes('refusedBy') && name === path.at(-1)) return 0;
      throw new TypeError(
        `report.assert: ${path.join('.')}: there is no ${name}; there are ${Object.keys(known).join(', ')}`,
      );
    }
    value = (known as Record<string, unknown>)[name];
  }
  if (typeof value !== 'number') throw new TypeError(`report.assert: ${path.join('.')} is no figure`);
  return value;
}
