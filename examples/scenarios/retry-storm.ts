/** Three layers that each try three more times, and a database that fails for twenty seconds. */
import { pipeline, retry } from 'evenkeel';
import type { Client, Expectations, Scenario } from 'evenkeel/testing';

/** Shop, orders and database, each called through `client`. */
function layers(client: Client): Scenario {
  const database = {
    name: 'database',
    workers: 6,
    serviceTimeMs: 20,
    errorTimeMs: 1,
    schedule: [
      { atMs: 20_000, errorRatio: 1 },
      { atMs: 40_000, errorRatio: 0 },
    ],
  };
  const orders = { name: 'orders', workers: 200, serviceTimeMs: 5, calls: { client, backend: database } };
  const shop = { name: 'shop', workers: 200, serviceTimeMs: 5, calls: { client, backend: orders } };
  return {
    name: 'Retry storm over three layers',
    seed: 1,
    durationMs: 80_000,
    load: { arrivals: 'poisson', ratePerSecond: 50 },
    client,
    backend: shop,
  };
}

export const unprotected = layers({ timeoutMs: 2_000, retries: 3 });

export default layers({
  timeoutMs: 2_000,
  pipeline: ({ clock, random }) => pipeline(retry({ maxRetries: 3, clock, random })),
});

export const unprotectedExpectations: Expectations = {
  amplification: { min: 3.9, fromMs: 21_000, toMs: 39_000 },
  backends: {
    shop: { callsPerOffered: { min: 3.9, fromMs: 21_000, toMs: 39_000 } },
    orders: { callsPerOffered: { min: 15.5, fromMs: 21_000, toMs: 39_000 } },
    database: { callsPerOffered: { min: 62, max: 66, fromMs: 21_000, toMs: 39_000 } },
  },
};

export const expectations: Expectations = {
  amplification: { min: 1.1, max: 1.5, fromMs: 25_000, toMs: 39_000 },
  backends: { database: { callsPerOffered: { max: 3, fromMs: 25_000, toMs: 39_000 } } },
  goodputRatio: { min: 0.99, fromMs: 41_000, toMs: 79_000 },
};
