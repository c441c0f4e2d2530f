/**
 * The time that is left, from hop to hop as a duration: hosts need not agree on the time of day. `grpc-timeout` is that
 * of gRPC over HTTP/2 (PROTOCOL-HTTP2.md: at most 8 digits and a unit), `x-request-timeout-ms` a plain number of ms.
 */
import type { Context } from '../../core/call/context.js';
import { type HeaderSource, headerValue } from '../../core/options/headers.js';
import { checkNumber, OptionReader } from '../../core/options/validate.js';
import { remainingMs, type Timed } from './checkpoint.js';

/** Finest first: its name, and its ms as a fraction, as 3 · 1e-6 is not 0.000003. */
const UNITS = [
  ['n', 1, 1e6],
  ['u', 1, 1e3],
  ['m', 1, 1],
  ['S', 1e3, 1],
  ['M', 60e3, 1],
  ['H', 3_600e3, 1],
] as const;
const MAX_COUNT = 99_999_999;
/** 24.8 days. No caller waits longer, and no host's timer can: no deadline at all. */
const LONGEST_MS = 2 ** 31 - 1;

const sane = (ms: number): number | undefined => (ms <= LONGEST_MS ? ms : undefined);

/** The time that `grpc-timeout` names, ms; undefined for what is malformed or absurd (over 24.8 days). */
export function parseGrpcTimeout(value: string): number | undefined {
  const unit = UNITS.find(([name]) => value.endsWith(name));
  const count = value.slice(0, -1);
  return unit !== undefined && /^\d{1,8}$/.test(count) ? sane((Number(count) * unit[1]) / unit[2]) : undefined;
}

/**
 * `ms` as the value of `grpc-timeout`, in the finest unit that has room for it: never longer than `ms`. Undefined for
 * what needs no header (over 24.8 days, as Infinity).
 *
 * @throws TypeError or RangeError unless `ms` is a number ≥ 0.
 */
export function formatGrpcTimeout(ms: number): string | undefined {
  checkNumber('formatGrpcTimeout', 'ms', ms, { min: 0, infinite: true });
  if (sane(ms) === undefined) return undefined;
  for (const [unit, times, per] of UNITS) {
    // By rounding, then down if that was up: 4.110319 · 1e6 is a little less than the 4,110,319 that it came from.
    let count = Math.round((ms * per) / times);
    if ((count * times) / per > ms) count--;
    if (count <= MAX_COUNT) return `${count}${unit}`;
  }
  return undefined;
}

function parsePlain(value: string): number | undefined {
  return /^\d{1,10}(\.\d{1,6})?$/.test(value) ? sane(Number(value)) : undefined;
}

/** How long the caller waits by the headers, ms: the shorter one where both are there, Infinity where none is valid. */
function waitsMs(headers: HeaderSource): number {
  const read = (name: string, parse: (value: string) => number | undefined): number => {
    const value = headerValue(headers, name);
    return (value === undefined ? undefined : parse(value)) ?? Infinity;
  };
  return Math.min(read('grpc-timeout', parseGrpcTimeout), read('x-request-timeout-ms', parsePlain));
}

/** Options of {@link deadlineFrom}. */
export interface DeadlineFromOptions {
  /** When the request reached this process, clock ms. */
  receivedAt: number;
  /** What a request gets that names no time, ms, > 0. @default Infinity */
  budgetMs?: number | undefined;
}

/**
 * When a request was received and by when its caller wants the answer, for the `init` of a pipeline. Takes
 * `grpc-timeout` and `x-request-timeout-ms`, the shorter where both are there; what is malformed, negative or absurd
 * counts as absent.
 *
 * @throws TypeError or RangeError for a bad option, never for a header.
 */
export function deadlineFrom(
  headers: HeaderSource,
  options: DeadlineFromOptions,
): Pick<Context, 'receivedAt' | 'deadline'> {
  const read = new OptionReader('deadlineFrom', options);
  const receivedAt = read.number('receivedAt', undefined, {});
  const budgetMs = read.number('budgetMs', Infinity, { above: 0, infinite: true });
  read.done();
  const waits = waitsMs(headers);
  return { receivedAt, deadline: receivedAt + (waits === Infinity ? budgetMs : waits) };
}

/** Headers that tell the next hop how much time is left; empty where there is no deadline. */
export function deadlineHeaders(ctx: Timed): Record<string, string> {
  const leftMs = remainingMs(ctx);
  const grpc = formatGrpcTimeout(leftMs);
  return grpc === undefined ? {} : { 'grpc-timeout': grpc, 'x-request-timeout-ms': String(Math.floor(leftMs)) };
}
