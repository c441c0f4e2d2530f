/** Keys are spread over four shards; one key goes viral and buries its shard, with all others that live there. */
import { keyedRateLimiter, pipeline } from 'evenkeel';
import type { Backend, Expectations, ExpectedFigures, Scenario } from 'evenkeel/testing';

const shard = (): Backend => ({ workers: 2, serviceTimeMs: 20, queue: 200 });

/** Of four shards. */
const shardOf = ({ key = '' }: { key: string | undefined }): number => Number(key.replace(/\D/g, '')) % 4;

export const unprotected = {
  name: 'A hot key',
  seed: 1,
  durationMs: 60_000,
  load: [
    { arrivals: 'poisson', ratePerSecond: 200, key: (random) => `video ${1 + Math.floor(random() * 20)}` },
    { arrivals: 'poisson', ratePerSecond: 300, key: 'video 0', fromMs: 20_000, toMs: 40_000 },
  ],
  client: { timeoutMs: 500, route: shardOf },
  backend: [shard(), shard(), shard(), shard()],
} satisfies Scenario;

export default {
  ...unprotected,
  client: {
    timeoutMs: 500,
    route: shardOf,
    pipeline: ({ clock }) => pipeline(keyedRateLimiter({ limit: 30, windowMs: 1_000, clock })),
  },
} satisfies Scenario;

/** What applies to each of those. */
const each = (videos: readonly number[], expected: ExpectedFigures): Record<string, ExpectedFigures> =>
  Object.fromEntries(videos.map((video) => [`video ${video}`, expected]));

const SAME_SHARD = [4, 8, 12, 16, 20];
const OTHERS = Array.from({ length: 20 }, (_, i) => i + 1);

export const unprotectedExpectations: Expectations = {
  keys: each(SAME_SHARD, { goodputRatio: { max: 0.5, fromMs: 21_000, toMs: 39_000 } }),
  backends: { backend: { busyRatio: { min: 0.99, fromMs: 21_000, toMs: 39_000 } } },
  goodputRatio: { max: 0.35, fromMs: 21_000, toMs: 39_000 },
};

export const expectations: Expectations = {
  keys: {
    'video 0': { goodputPerSecond: { min: 28, max: 31, fromMs: 21_000, toMs: 39_000 } },
    ...each(OTHERS, { goodputRatio: { min: 0.99 } }),
  },
};
