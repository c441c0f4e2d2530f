import type { Context } from '../call/context.js';
import { checkNumber, invalid, type OptionReader } from './validate.js';

/** The share of a limit that the calls of each tier may fill, tier 1 first. */
export type TierRatios = readonly [number, number, number, number];

/** Undefined = not given. */
export function readTierRatios(read: OptionReader): TierRatios | undefined {
  const { owner } = read;
  const given = read.array('tierRatios', 'an array of 4 numbers');
  if (given === undefined) return undefined;
  if (given.length !== 4) return invalid(owner, 'tierRatios.length', '4', given.length);
  // A limit that no tier may fill is another limit.
  if (given[0] !== 1) return invalid(owner, 'tierRatios[0]', '1', given[0], typeof given[0] !== 'number');
  let max = 1;
  for (const [i, ratio] of given.entries()) {
    max = checkNumber(owner, `tierRatios[${i}]`, ratio, { above: 0, max });
  }
  return given as unknown as TierRatios;
}

/** 0 for tier 1 … 3 for tier 4, which is also that of an unknown tier. */
export function rankOf(ctx: Partial<Context> | undefined): 0 | 1 | 2 | 3 {
  const tier = ctx?.tier;
  if (tier === 1) return 0;
  if (tier === 2) return 1;
  return tier === 3 || tier === undefined ? 2 : 3;
}
