import type { Tier } from '../../../core/call/context.js';
import type { Random } from '../../../core/numbers/random.js';
import { checkNumber, invalid, optionalNumber } from '../../../core/options/validate.js';
import { type Change, type Stretch, stretchesOf } from './arrivals.js';
import { Fields, inOrder } from './fields.js';
import type { LoadPlan } from './plan.js';

const TIERS = [1, 2, 3, 4];

/** Fields that only some kinds of load have. */
const OF_KIND: Record<LoadPlan['kind'], readonly string[]> = {
  constant: ['ratePerSecond'],
  poisson: ['ratePerSecond'],
  bursts: ['calls', 'everyMs'],
  users: ['users', 'thinkTimeMs'],
};

export function readLoad(owner: string, given: unknown, durationMs: number): LoadPlan {
  const read = new Fields(owner, given);
  const kind = read.oneOf('arrivals', undefined as never, ['constant', 'poisson', 'bursts', 'users'] as const);
  const givenToMs = optionalNumber(read, 'toMs', { min: 0 });
  const toMs = givenToMs ?? durationMs;
  const plan: LoadPlan = {
    path: owner,
    kind,
    fromMs: read.number('fromMs', 0, { min: 0 }),
    toMs: Math.min(toMs, durationMs),
    tier: readTier(owner, read.whatever('tier')),
    key: readKey(owner, read.whatever('key')),
    cost: read.number('cost', 1, { min: 0 }),
    stretches: [],
    count: 1,
    everyMs: 0,
    thinkTimeMs: () => 0,
  };
  if (plan.fromMs > toMs) {
    if (givenToMs === undefined) invalid(owner, 'fromMs', `≤ the durationMs, ${durationMs}`, plan.fromMs);
    invalid(owner, 'toMs', `≥ fromMs, which is ${plan.fromMs}`, toMs);
  }
  for (const field of Object.values(OF_KIND).flat()) {
    if (OF_KIND[kind].includes(field) || (given as Record<string, unknown>)[field] === undefined) continue;
    throw new TypeError(`${owner}: ${field} has no meaning where arrivals is '${kind}'`);
  }
  if (kind === 'users') {
    plan.thinkTimeMs = read.duration('thinkTimeMs');
    plan.count = read.number('users', undefined, { integer: true, min: 1 });
  } else if (kind === 'bursts') {
    plan.count = read.number('calls', undefined, { integer: true, min: 1 });
    plan.everyMs = read.number('everyMs', undefined, { above: 0 });
  } else {
    plan.stretches = readRate(read, toMs);
  }
  read.done();
  return plan;
}

function readTier(owner: string, value: unknown): (random: Random) => Tier {
  if (typeof value === 'function') {
    return (random) => {
      const tier = value(random);
      return TIERS.includes(tier) ? tier : invalid(`${owner}: tier`, 'its result', '1, 2, 3 or 4', tier);
    };
  }
  if (value !== undefined && !TIERS.includes(value as number))
    invalid(owner, 'tier', '1, 2, 3, 4 or a function', value);
  const tier = (value ?? 3) as Tier;
  return () => tier;
}

function readKey(owner: string, value: unknown): (random: Random) => string | undefined {
  if (typeof value === 'function') {
    return (random) => {
      const key = value(random);
      return typeof key === 'string' ? key : invalid(`${owner}: key`, 'its result', 'a string', key, true);
    };
  }
  if (value !== undefined && typeof value !== 'string') invalid(owner, 'key', 'a string or a function', value, true);
  return () => value as string | undefined;
}

function readRate(read: Fields, toMs: number): Stretch[] {
  const value = read.whatever('ratePerSecond');
  if (!Array.isArray(value)) {
    const ratePerSecond = checkNumber(read.path, 'ratePerSecond', value, { min: 0 });
    return stretchesOf([{ atMs: 0, ratePerSecond, ramp: false }], 0, toMs);
  }
  const changes: Change[] = inOrder(
    value.map((given, i) => {
      const path = `${read.path}: ratePerSecond[${i}]`;
      const fields = new Fields(path, given);
      const change = {
        path,
        atMs: fields.number('atMs', undefined, { min: 0 }),
        ratePerSecond: fields.number('ratePerSecond', undefined, { min: 0 }),
        ramp: fields.boolean('ramp', false),
      };
      fields.done();
      return change;
    }),
  );
  return stretchesOf(changes, 0, toMs);
}
