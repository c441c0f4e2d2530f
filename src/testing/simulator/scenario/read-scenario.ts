/** Reads a scenario: every field once, checked, never kept. A wrong one gets an error that names it. */
import { invalid } from '../../../core/options/validate.js';
import { powerOfTen } from '../../elementary.js';
import { Fields } from './fields.js';
import type { Plan } from './plan.js';
import { readLoad } from './read-load.js';
import { ServiceReader } from './read-service.js';
import type { Scenario } from './scenario.js';

/** Each takes about 3 kB. */
const MAX_INTERVALS = 100_000;

/** @throws TypeError or RangeError that names the field. */
export function readScenario(scenario: Scenario): Plan {
  const read = new Fields('simulate', scenario);
  const name = read.name('simulation');
  const seed = read.number('seed', undefined, { integer: true, min: -(2 ** 53), max: 2 ** 53 });
  const durationMs = read.number('durationMs', undefined, { above: 0 });
  const intervalMs = read.number('intervalMs', niceInterval(durationMs), { above: 0, max: durationMs });
  if (durationMs / intervalMs > MAX_INTERVALS) {
    invalid('simulate', 'intervalMs', `≥ durationMs / ${MAX_INTERVALS}, ${durationMs / MAX_INTERVALS}`, intervalMs);
  }
  const loads = read
    .atLeastOne('load', 'a load, or an array of them')
    .map(([path, load]) => readLoad(path, load, durationMs));
  const clockSteps = read.list('clockSteps', 'an array').map(([path, step]) => {
    const fields = new Fields(path, step);
    const read = { atMs: fields.number('atMs', undefined, { min: 0 }), byMs: fields.number('byMs', undefined, {}) };
    fields.done();
    return read;
  });
  const services = new ServiceReader();
  const service = services.read(read, 'client');
  read.done();
  return { name, seed, durationMs, intervalMs, loads, clockSteps, service, servers: services.servers };
}

/** 1, 2 or 5 × 10ⁿ ms, so that 50 to 125 of them make `durationMs`. */
function niceInterval(durationMs: number): number {
  // A hair over, as 0.1 + 0.2 is no 0.3.
  const longest = (durationMs / 50) * (1 + 1e-9);
  const power = powerOfTen(longest);
  return ([5, 2, 1].find((digit) => digit * power <= longest) ?? 1) * power;
}
