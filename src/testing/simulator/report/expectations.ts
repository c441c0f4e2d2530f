import type { Tier } from '../../../core/call/context.js';
import type { Reason } from '../../../core/errors.js';
import type { Changes, Complete } from '../../../core/options/common.js';
import { checkNumber, invalid } from '../../../core/options/validate.js';
import { Counted } from '../run/meter.js';
import { type BackendFigures, type Figures, type Stretch, stretchOf } from './figures.js';

/** What a figure may be, `min` and `max` themselves too. */
export interface Bound {
  min?: number | undefined;
  max?: number | undefined;
  /** Only for the intervals that begin at it or later, ms. @default 0 */
  fromMs?: number | undefined;
  /** Only for the intervals that begin before it, ms. @default the scenario's durationMs */
  toMs?: number | undefined;
}

/** One bound, or several for different times. */
export type Expected = Bound | readonly Bound[];

type Numbers<T> = { [F in keyof T as T[F] extends number ? F : never]?: Expected | undefined };

/** Bounds on the figures of calls. */
export type ExpectedFigures = Numbers<Figures> & { refusedBy?: Record<string, Expected | undefined> | undefined };

/** What `report.assert` checks: bounds by the names of the report's figures. */
export type Expectations = ExpectedFigures & {
  tiers?: Changes<Record<Tier, ExpectedFigures>> | undefined;
  keys?: Record<string, ExpectedFigures | undefined> | undefined;
  backends?: Record<string, Numbers<BackendFigures> | undefined> | undefined;
};

type Group = Record<string, unknown>;
const GROUPS = ['refusedBy', 'tiers', 'keys', 'backends'];
const BOUND = ['min', 'max', 'fromMs', 'toMs'];
/** What is about a stretch of time, and not of a tier or a key in it. */
const OF_STRETCHES = ['fromMs', 'toMs', 'tiers', 'keys', 'backends'];
const TIERS = ['1', '2', '3', '4'];

/** By the type, so that none is forgotten. */
const REASON: Record<Reason, true> = {
  circuit_open: true,
  rate_limited: true,
  concurrency_limited: true,
  tier_shed: true,
  too_old: true,
  deadline_exceeded: true,
  retry_exhausted: true,
  no_instance: true,
};
const REASONS = Object.keys(REASON);
const BACKEND_REASONS = ['queue_full', ...REASONS].map((reason) => `backend:${reason}`);

/**
 * What is not as expected, one line a figure. `between` returns the figures of a stretch of time.
 *
 * @throws TypeError with the same lines when some of them are about names that mean nothing
 */
export function failuresOf(
  expectations: Expectations,
  durationMs: number,
  between: (fromMs: number, toMs: number) => Stretch,
): string[] {
  if (typeof expectations !== 'object' || expectations === null || Array.isArray(expectations))
    invalid('report.assert', 'expectations', 'an object', expectations, true);
  const totals = between(0, durationMs);
  const failures: string[] = [];
  let mistaken = false;
  const visit = (path: readonly string[], expected: unknown): void => {
    const owner = `report.assert${path.length === 0 ? '' : `: ${path.join('.')}`}`;
    if (typeof expected !== 'object' || expected === null)
      invalid('report.assert', path.join('.'), 'an object', expected, true);
    if (isGroup(path, expected)) {
      for (const [name, inner] of Object.entries(expected)) if (inner !== undefined) visit([...path, name], inner);
      return;
    }
    const bounds = Array.isArray(expected) ? expected : [expected];
    if (bounds.length === 0) throw new TypeError(`${owner}: an empty array bounds nothing`);
    for (const given of bounds) {
      const bound = readBound(owner, given, durationMs);
      const mistake = mistakeIn(path, totals);
      mistaken ||= mistake !== undefined;
      const failure =
        mistake === undefined
          ? failureOf(path, bound, between(bound.fromMs, bound.toMs))
          : `${path.join('.')}: ${mistake}`;
      if (failure !== undefined) failures.push(failure);
    }
  };
  visit([], expectations);
  if (mistaken) throw new TypeError(`report.assert:\n  ${failures.join('\n  ')}`);
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

function readBound(owner: string, given: unknown, durationMs: number): Complete<Bound> {
  if (typeof given !== 'object' || given === null) return invalid(owner, 'a bound', 'an object', given, true);
  const { min = -Infinity, max = Infinity, fromMs = 0, toMs = durationMs } = given as Bound;
  for (const name of Object.keys(given))
    if (!BOUND.includes(name)) throw new TypeError(`${owner}: unknown field ${name}; there are ${BOUND.join(', ')}`);
  checkNumber(owner, 'min', min, { infinite: true });
  checkNumber(owner, 'max', max, { min, infinite: true });
  checkNumber(owner, 'fromMs', fromMs, { min: 0, below: durationMs });
  checkNumber(owner, 'toMs', toMs, { above: fromMs });
  if (min === -Infinity && max === Infinity) throw new TypeError(`${owner}: needs min, max or both: it bounds nothing`);
  return { min, max, fromMs, toMs };
}

function failureOf(path: readonly string[], bound: Complete<Bound>, stretch: Stretch): string | undefined {
  const { min, max, fromMs, toMs } = bound;
  const value = valueAt(path, stretch);
  const isWithin = (figure: number): boolean => figure >= min && figure <= max;
  if (isWithin(value)) return undefined;
  const wanted = [min > -Infinity ? `≥ ${min}` : '', max < Infinity ? `≤ ${max}` : ''].filter(Boolean).join(' and ');
  const rounded = Number(value.toPrecision(4));
  const got = Number.isNaN(value) ? 'nothing to tell it by' : isWithin(rounded) ? value : rounded;
  return `${path.join('.')} from ${fromMs} to ${toMs} ms: wanted ${wanted}, got ${got}`;
}

/** The figure that `path` names; 0 calls where a tier or key made none in that time. */
function valueAt(path: readonly string[], stretch: Stretch): number {
  const nothing = stretchOf([new Counted(stretch.fromMs, stretch.toMs)], []);
  let value: unknown = stretch;
  for (const [i, name] of path.entries()) {
    const known = value as Record<string, unknown>;
    if (Object.hasOwn(known, name)) value = known[name];
    else value = isReason(path, i) ? 0 : nothing;
  }
  return value as number;
}

/** Whether the name at `place` is one of a refusal; a key or a back-end may be called `refusedBy` too. */
const isReason = (path: readonly string[], place: number): boolean =>
  (place === 1 || place === 3) && path[place - 1] === 'refusedBy';

/** What is wrong with the names of `path`, by the whole run: a stretch of it need not have all keys. */
function mistakeIn(path: readonly string[], totals: Stretch): string | undefined {
  for (const [i, name] of path.entries()) {
    const names = namesAt(path, i, totals);
    if (!names.includes(name)) return `there is no ${name}; there are ${names.join(', ') || 'none'}`;
  }
  const last = path.length - 1;
  return isReason(path, last) || typeof valueAt(path, totals) === 'number' ? undefined : 'it is no figure';
}

function namesAt(path: readonly string[], place: number, totals: Stretch): readonly string[] {
  const [group] = path;
  if (isReason(path, place)) return [...new Set([...REASONS, ...BACKEND_REASONS, ...Object.keys(totals.refusedBy)])];
  if (place === 0) return Object.keys(totals);
  if (group === 'tiers' && place === 1) return TIERS;
  if (group === 'keys' && place === 1) return Object.keys(totals.keys);
  if (group !== 'backends') return Object.keys(totals).filter((name) => !OF_STRETCHES.includes(name));
  return place === 1 ? Object.keys(totals.backends) : Object.keys(Object.values(totals.backends)[0] ?? {});
}
