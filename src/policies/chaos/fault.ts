import type { Context } from '../../core/call/context.js';
import type { Random } from '../../core/numbers/random.js';
import { checkNumber, invalid, OptionReader } from '../../core/options/validate.js';

/** Which calls a fault meets. */
export interface FaultConditions {
  /** Share of the calls that it meets, 0 to 1. */
  ratio: number;
  /** Only calls with one of these keys. @default all */
  keys?: readonly string[] | undefined;
  /** Not before, ms since the start of the experiment; ≥ 0. @default 0 */
  fromMs?: number | undefined;
  /** Not from then on, ms since the start; > fromMs. @default Infinity */
  untilMs?: number | undefined;
  /** The schedule begins again after so long, ms; ≥ untilMs. @default never */
  everyMs?: number | undefined;
}

/** A fault, and the calls that it meets. */
export type Fault = FaultConditions &
  (
    | {
        kind: 'latency';
        /** The call goes on after this, ms, ≥ 0; or a function that draws it. */
        delayMs: number | ((random: Random) => number);
      }
    | {
        kind: 'error';
        /** Makes what is thrown in place of the call. @default an InjectedError */
        error?: (() => unknown) | undefined;
      }
    | {
        /** No answer until the caller gives up, or the experiment ends: then the call goes on. */
        kind: 'hang';
      }
    | {
        /** The call is made and broken off: its signal aborts, and an InjectedError is thrown. */
        kind: 'abort';
        /** After so long, ms; ≥ 0. @default 0 */
        afterMs?: number | undefined;
      }
  );

export type FaultKind = Fault['kind'];

const KINDS: readonly FaultKind[] = ['latency', 'error', 'hang', 'abort'];

/** A {@link Fault} that was read. */
export interface ReadFault {
  kind: FaultKind;
  ratio: number;
  keys: ReadonlySet<string> | undefined;
  fromMs: number;
  untilMs: number;
  everyMs: number;
  /** Of latency: how long. */
  delayMs: (random: Random) => number;
  error: (() => unknown) | undefined;
  afterMs: number;
}

/** `owner: faults[1].ratio must be …` */
export function readFault(owner: string, place: number, given: unknown): ReadFault {
  const read = new OptionReader(`${owner}: faults[${place}]`, given);
  const kind = read.oneOf<FaultKind>('kind', '' as FaultKind, KINDS);
  const fromMs = read.number('fromMs', 0, { min: 0 });
  const untilMs = read.number('untilMs', Infinity, { above: fromMs, infinite: true });
  const fault: ReadFault = {
    kind,
    ratio: read.number('ratio', undefined, { min: 0, max: 1 }),
    keys: readKeys(read),
    fromMs,
    untilMs,
    everyMs: read.number('everyMs', Infinity, { min: untilMs === Infinity ? fromMs : untilMs, infinite: true }),
    delayMs: () => 0,
    error: kind === 'error' ? read.fn('error') : undefined,
    afterMs: kind === 'abort' ? read.number('afterMs', 0, { min: 0 }) : 0,
  };
  if (kind === 'latency') fault.delayMs = readDelay(read);
  read.done();
  return fault;
}

function readKeys(read: OptionReader): ReadonlySet<string> | undefined {
  const keys = read.array('keys', 'an array of strings');
  keys?.forEach((key) => {
    if (typeof key !== 'string') invalid(read.owner, 'keys', 'an array of strings', key, true);
  });
  return keys && new Set(keys as string[]);
}

function readDelay(read: OptionReader): (random: Random) => number {
  const given = read.whatever('delayMs');
  if (typeof given === 'function') return given as (random: Random) => number;
  const delayMs = checkNumber(read.owner, 'delayMs', given, { min: 0 });
  return () => delayMs;
}

/** Whether `fault` may meet a call at `sinceMs` after the start. */
export function applies({ keys, fromMs, untilMs, everyMs }: ReadFault, ctx: Context, sinceMs: number): boolean {
  if (keys !== undefined && (ctx.key === undefined || !keys.has(ctx.key))) return false;
  const at = everyMs < Infinity && everyMs > 0 ? sinceMs % everyMs : sinceMs;
  return at >= fromMs && at < untilMs;
}
