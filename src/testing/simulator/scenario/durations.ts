import type { Random } from '../../../core/numbers/random.js';
import { checkNumber, invalid, OptionReader } from '../../../core/options/validate.js';
import { cosOfTurns, exp, log } from '../../elementary.js';
import type { CallInfo } from './scenario.js';

/** Draws a time, ms. */
export type Draw = (call: CallInfo, random: Random) => number;

/** Of the standard normal distribution. */
const QUANTILE_99 = 2.3263478740408408;

const exponential = (random: Random): number => -log(1 - random());

/** By Box and Muller, of which one of the two numbers is thrown away: no state to carry. */
const normal = (random: Random): number => Math.sqrt(2 * exponential(random)) * cosOfTurns(random());

/** Calls until the next arrival, on average 1, as of many independent users. */
export const poissonGap = exponential;

const ALLOWED = "a number ≥ 0, a function, or { distribution: 'exponential' | 'lognormal' | 'uniform', … }";

/** @throws when `value` is no `Duration`; `owner: option` begins the message. */
export function readDuration(owner: string, option: string, value: unknown): Draw {
  if (typeof value === 'number') {
    const ms = checkNumber(owner, option, value, { min: 0 });
    return () => ms;
  }
  if (typeof value === 'function') {
    return (call, random) =>
      checkNumber(`${owner}: ${option}`, 'its result', (value as Draw)(call, random), {
        min: 0,
      });
  }
  if (typeof value !== 'object' || value === null) return invalid(owner, option, ALLOWED, value, true);
  const read = new OptionReader(`${owner}: ${option}`, value);
  const distribution = read.oneOf('distribution', undefined as never, ['exponential', 'lognormal', 'uniform'] as const);
  const draw = readDistribution(read, distribution, `${owner}: ${option}`);
  read.done();
  return draw;
}

function readDistribution(
  read: OptionReader,
  distribution: 'exponential' | 'lognormal' | 'uniform',
  owner: string,
): Draw {
  if (distribution === 'exponential') {
    const meanMs = read.number('meanMs', undefined, { min: 0 });
    return (_, random) => meanMs * exponential(random);
  }
  if (distribution === 'uniform') {
    const minMs = read.number('minMs', undefined, { min: 0 });
    const maxMs = read.number('maxMs', undefined, { min: 0 });
    if (maxMs < minMs) invalid(owner, 'maxMs', `≥ minMs, which is ${minMs}`, maxMs);
    return (_, random) => minMs + (maxMs - minMs) * random();
  }
  const medianMs = read.number('medianMs', undefined, { above: 0 });
  const p99Ms = read.number('p99Ms', undefined, { above: 0 });
  if (p99Ms < medianMs) invalid(owner, 'p99Ms', `≥ medianMs, which is ${medianMs}`, p99Ms);
  const sigma = log(p99Ms / medianMs) / QUANTILE_99;
  return (_, random) => medianMs * exp(sigma * normal(random));
}
