/** 200 requests a second on one worker, first in, first out; clients give up after 1 s; at 10 s it slows from 20 to 50 ms. */
import { type Clock, type DeadlineOptions, deadline } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { evenly, inTime, poisson, type Queue, type Request, type Served, serve } from '../../simulation/queue.js';

const SECOND = 1_000;
const SLOW_FROM = 10 * SECOND;
const UNTIL = 40 * SECOND;
const CLIENT_TIMEOUT_MS = SECOND;

const run = (
  options: DeadlineOptions | undefined,
  queue: Partial<Queue> = {},
  requests: Request[] = evenly(200, 0, UNTIL),
) =>
  serve(requests, (clock: Clock) => ({
    serviceMs: (at) => (at < SLOW_FROM ? 20 : 50),
    untilMs: UNTIL,
    ...(options && { atWorker: deadline({ ...options, clock }) }),
    ...queue,
  }));

/** The smallest goodput a second, of all whole seconds from `fromMs` on. */
function worstSecond(served: Served[], fromMs: number): number {
  const seconds = Array.from({ length: (UNTIL - fromMs) / SECOND }, (_, i) => fromMs + i * SECOND);
  return Math.min(...seconds.map((from) => inTime(served, CLIENT_TIMEOUT_MS, from, from + SECOND)));
}

const AUTO = { maxAgeMs: CLIENT_TIMEOUT_MS };
const ways: [string, Partial<Queue>][] = [
  ['clients that do not hang up', {}],
  ['clients that hang up, and the work stops', { abortsAfterMs: CLIENT_TIMEOUT_MS }],
];

describe.each(ways)('%s', (_, queue) => {
  it('unprotected, nobody is answered in time', () => {
    expect(inTime(run(undefined, queue), CLIENT_TIMEOUT_MS, SLOW_FROM, UNTIL)).toBe(0);
  });

  it("the trap: an age limit equal to the clients' timeout serves only what is lost", () => {
    const served = run({ ...AUTO, marginMs: 0 }, queue);
    expect(inTime(served, CLIENT_TIMEOUT_MS, SLOW_FROM + 2 * SECOND, UNTIL)).toBeLessThanOrEqual(1);
  });

  it('with the measured margin, 18 a second and more from 2 s after the slow-down', () => {
    expect(worstSecond(run(AUTO, queue), SLOW_FROM + 2 * SECOND)).toBeGreaterThanOrEqual(18);
    expect(worstSecond(run({ budgetMs: CLIENT_TIMEOUT_MS }, queue), SLOW_FROM + 2 * SECOND)).toBeGreaterThanOrEqual(18);
  });

  it('and with arrivals at random', () => {
    for (const seed of [1, 2, 3]) {
      const served = run(AUTO, queue, poisson(200, 0, UNTIL, seededRandom(seed)));
      expect(worstSecond(served, SLOW_FROM + 2 * SECOND)).toBeGreaterThanOrEqual(18);
    }
  });

  it('service times at random: 16 a second on average', () => {
    for (const seed of [1, 2, 3]) {
      const random = seededRandom(seed);
      const serviceMs = (at: number) => -Math.log(1 - random()) * (at < SLOW_FROM ? 20 : 50);
      const goodput = inTime(run(AUTO, { ...queue, serviceMs }), CLIENT_TIMEOUT_MS, SLOW_FROM + 2 * SECOND, UNTIL) / 28;
      expect(goodput).toBeGreaterThanOrEqual(16);
    }
  });

  it('ten seconds in which no request can be served in time, and all of the capacity 2 s later', () => {
    const serviceMs = (at: number) => (at >= SLOW_FROM && at < 2 * SLOW_FROM ? 3 * SECOND : 20);
    const served = run(AUTO, { ...queue, serviceMs });
    // The last of the slow ones ends 3 s after.
    expect(worstSecond(served, 2 * SLOW_FROM + 5 * SECOND)).toBeGreaterThanOrEqual(48);
  });
});

it('no request is started that is older than the limit, and each has one fate', () => {
  const requests = evenly(200, 0, UNTIL);
  const served = run(AUTO, {}, requests);
  const started = served.filter(({ fate }) => fate === 'served');
  expect(started.length).toBeGreaterThan(1_000);
  expect(Math.max(...started.map(({ startedAt, at }) => startedAt - at))).toBeLessThanOrEqual(CLIENT_TIMEOUT_MS);
  const fates = served.map(({ fate }) => fate);
  const count = (fate: string) => fates.filter((one) => one === fate).length;
  expect(count('served') + count('refused by the worker') + count('waiting')).toBe(requests.length);
  // Also bounded: what waits is younger than the limit.
  expect(count('waiting')).toBeLessThanOrEqual(200 + 1);
});

it('refuses nothing where there is time, however the service times vary', () => {
  const random = seededRandom(1);
  const serviceMs = () => (random() < 0.8 ? 5 : 700);
  const served = run(AUTO, { serviceMs }, evenly(1, 0, UNTIL));
  expect(served.filter(({ fate }) => fate === 'refused by the worker')).toEqual([]);
});
