/** One document never finishes rendering: each call for it holds a worker until the time limit ends that. */
import type { Backend, CallInfo, Expectations, Scenario } from 'evenkeel/testing';

const CLASSES = ['search', 'image', 'report'];
const POISON = 'report 13';
const classOf = (key = ''): number => CLASSES.findIndex((name) => key.startsWith(name));

const pool = (workers: number, queue: number): Backend => ({
  workers,
  queue,
  serviceTimeMs: 20,
  errorRatio: ({ key }: CallInfo) => (key === POISON ? 1 : 0),
  // What `messageTimeoutMs` is to createSets.
  errorTimeMs: 2_000,
});

export const unprotected = {
  name: 'A poisoned set',
  seed: 1,
  durationMs: 60_000,
  load: [
    {
      arrivals: 'poisson',
      ratePerSecond: 120,
      key: (random) => CLASSES[Math.floor(random() * CLASSES.length)] as string,
    },
    { arrivals: 'poisson', ratePerSecond: 10, key: POISON, fromMs: 20_000, toMs: 40_000 },
  ],
  client: { timeoutMs: 1_000 },
  backend: pool(6, 75),
} satisfies Scenario;

export default {
  ...unprotected,
  // The same workers, a third of them for each class.
  client: { timeoutMs: 1_000, route: ({ key }) => classOf(key) },
  backend: CLASSES.map((name) => ({ name, ...pool(2, 25) })),
} satisfies Scenario;

export const unprotectedExpectations: Expectations = {
  goodputRatio: { max: 0.05, fromMs: 23_000, toMs: 39_000 },
};

export const expectations: Expectations = {
  keys: {
    search: { goodputRatio: { min: 0.99 } },
    image: { goodputRatio: { min: 0.99 } },
    report: { goodputRatio: { max: 0.05, fromMs: 23_000, toMs: 39_000 } },
  },
  goodputRatio: { min: 0.99, fromMs: 50_000, toMs: 59_000 },
};
