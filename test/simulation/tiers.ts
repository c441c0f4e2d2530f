import type { Random, Tier } from 'evenkeel';
import { evenly, poisson, type Request, type Served } from './queue.js';

export type Arrivals = 'together' | 'in turn' | 'jittered' | 'poisson';

/** `perSecond[i]` requests a second of tier i + 1, from so many users. */
export function tieredLoad(
  arrivals: Arrivals,
  perSecond: readonly number[],
  untilMs: number,
  random: Random,
  users = 100_000,
): Request[] {
  const requests = perSecond.flatMap((rate, i): Request[] => {
    const gap = 1_000 / rate;
    const first = arrivals === 'in turn' ? (i * gap) / perSecond.length : 0;
    const times =
      arrivals === 'poisson' ? poisson(rate, 0, untilMs, random) : rate > 0 ? evenly(rate, first, untilMs) : [];
    return times.map(({ at }) => ({
      at: arrivals === 'jittered' ? at + random() * gap : at,
      tier: (i + 1) as Tier,
      key: `user-${Math.floor(random() * users)}`,
    }));
  });
  return requests.sort((a, b) => a.at - b.at);
}

/** Share of the requests of each tier that arrived from `fromMs` to `toMs` and were served. */
export function servedRatios(all: readonly Served[], fromMs: number, toMs: number): number[] {
  return [1, 2, 3, 4].map((tier) => {
    const own = all.filter((one) => one.tier === tier && one.at >= fromMs && one.at < toMs);
    return own.filter(({ fate }) => fate === 'served').length / own.length;
  });
}
