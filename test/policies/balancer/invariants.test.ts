/** ALGORITHMS section 6.5, by number. */
import { type Balancer, type BalancerOptions, balancer, type Verdict } from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dead, failing, type PoolCall, perSecondTo, runPool, well } from '../../simulation/pool.js';

const VERDICTS: Verdict[] = ['success', 'failure', 'dropped', 'ignored'];
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];

const stepOf = fc.oneof(
  fc.record({ do: fc.constant('report' as const), to: fc.nat(5), verdict: fc.constantFrom(...VERDICTS), n: fc.nat(8) }),
  fc.record({ do: fc.constant('pick' as const), n: fc.nat(8) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 600, 5_000, 3_600_000) }),
  fc.record({ do: fc.constant('add' as const), to: fc.nat(5) }),
  fc.record({ do: fc.constant('remove' as const), to: fc.nat(5) }),
  fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(-10, -3_600_000, 3_600_000) }),
);
const optionsOf = fc.record({
  choice: fc.constantFrom('smooth' as const, 'latency' as const),
  panicRatio: fc.constantFrom(0, 0.5, 1),
  rampMs: fc.constantFrom(0, 10_000),
  ramp: fc.constantFrom('linear' as const, 'exponential' as const),
  slowStart: fc.boolean(),
});
type Step = { do: string; to?: number; verdict?: Verdict; n?: number; ms?: number };

function play(pool: Balancer<string>, clock: ManualClock, step: Step): string[] {
  const name = NAMES[step.to ?? 0] as string;
  const picked: string[] = [];
  for (let i = 0; i <= (step.n ?? 0); i++) {
    if (step.do === 'report') pool.report(name, step.verdict as Verdict, 0);
    if (step.do === 'pick' && pool.snapshot().instances.length > 0) picked.push(pool.pick());
  }
  if (step.do === 'wait' || step.do === 'jump') clock.jump(step.ms as number);
  if (step.do === 'add') pool.add(name);
  if (step.do === 'remove') pool.remove(name);
  return picked;
}

describe('balancer, whatever happens', () => {
  it('1, 2, 5: picks one that is there; weights are 0 to the static one; all masked or too many ill = none masked', () => {
    fc.assert(
      fc.property(fc.array(stepOf, { maxLength: 80 }), optionsOf, fc.nat(), (steps, options, seed) => {
        const clock = manualClock(1_000_000);
        const pool = balancer({ instances: ['a', 'b', 'c'], ...options, clock, random: seededRandom(seed) });
        for (const step of steps) {
          for (const picked of play(pool, clock, step))
            expect(pool.snapshot().instances.map(({ instance }) => instance)).toContain(picked);
          const { instances, panic } = pool.snapshot();
          const masked = instances.filter(({ state }) => state === 'masked');
          for (const { weight, staticWeight, state, shareRatio, inFlight } of instances) {
            expect(weight).toBeGreaterThanOrEqual(0);
            expect(weight).toBeLessThanOrEqual(staticWeight);
            expect(weight === 0).toBe(state === 'masked');
            expect(inFlight).toBeGreaterThanOrEqual(0);
            if (panic) expect(shareRatio).toBeCloseTo(1 / instances.length);
            else expect(shareRatio === 0).toBe(state === 'masked');
          }
          if (instances.length > 0) {
            expect(instances.reduce((sum, { shareRatio }) => sum + shareRatio, 0)).toBeCloseTo(1);
            if (masked.length === instances.length) expect(panic).toBe(true);
            if (masked.length > options.panicRatio * instances.length) expect(panic).toBe(true);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('3: users’ calls to masked instances are at most one or probeRatio of all, in any stretch of probeIntervalMs', () => {
    const given = fc.record({
      perSecond: fc.constantFrom(1, 30, 300, 2_000),
      probeRatio: fc.constantFrom(0, 0.001, 0.01, 0.1),
      probeIntervalMs: fc.constantFrom(500, 5_000),
      ill: fc.integer({ min: 1, max: 3 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(given, ({ perSecond, ill, seed, ...options }) => {
        const instances = Object.fromEntries(NAMES.map((name, i) => [name, i < ill ? dead(0) : well()]));
        const durationMs = Math.max(4 * options.probeIntervalMs, 3e7 / perSecond / 100);
        const { calls, states } = runPool({
          instances,
          durationMs,
          perSecond,
          arrivals: 'poisson',
          seed,
          options: { ...options, consecutiveFailures: 1 },
        });
        if (states.length < ill) return;
        const from = (states.at(-1)?.at as number) + 30;
        const probes = calls.filter(({ at, ok }) => at > from && !ok);
        for (let first = 0; first < probes.length; first++) {
          for (let last = first; last < probes.length; last++) {
            const [begin, end] = [probes[first] as PoolCall, probes[last] as PoolCall];
            if (end.at - begin.at >= options.probeIntervalMs) break;
            const all = calls.filter(({ at }) => at >= begin.at && at <= end.at).length;
            expect(last - first + 1).toBeLessThanOrEqual(Math.max(1, options.probeRatio * all));
          }
        }
        // And at least one.
        const gaps = [from, ...probes.map(({ at }) => at), calls.at(-1)?.at as number];
        for (let i = 1; i < gaps.length; i++)
          expect((gaps[i] as number) - (gaps[i - 1] as number)).toBeLessThan(
            options.probeIntervalMs + (20 * 1_000) / perSecond,
          );
      }),
      { numRuns: 40 },
    );
  });

  it('4: no success ratio masks on fewer than minRequests calls', () => {
    const outcomes = fc.array(fc.boolean(), { minLength: 20, maxLength: 100 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), outcomes, (minRequests, calls) => {
        const options = { minRequests, consecutiveFailures: 1_000, maskRatio: 0.9, clock: manualClock() };
        const pool = balancer({ instances: ['a', 'b'], ...options });
        const masked = calls.findIndex((ok) => {
          pool.report('a', ok ? 'success' : 'failure', 0);
          return pool.snapshot().instances[0]?.state === 'masked';
        });
        if (masked >= 0) expect(masked + 1).toBeGreaterThanOrEqual(minRequests);
        else if (calls.length >= minRequests)
          expect(pool.snapshot().instances[0]?.successRatio).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('6: the weight of one that recovers does not fall while its calls succeed', () => {
    const { calls, pool, states } = runPool({
      instances: { a: well(), b: well(), c: dead(5_000, 20_000) },
      durationMs: 60_000,
      perSecond: 50,
      arrivals: 'poisson',
    });
    const from = states.find(({ state }) => state === 'recovering')?.at as number;
    let before = 0;
    for (let at = from; at < 55_000; at += 1_000) {
      const now = perSecondTo(calls, 'c', at, at + 5_000);
      expect(now).toBeGreaterThan(before - 2);
      before = now;
    }
    expect(pool.snapshot().instances[2]?.weight).toBe(1);
  });

  it('7: by weight, also while some are ill (χ²)', () => {
    const random = seededRandom(4);
    const weight = { a: 1, b: 2, c: 4, d: 8 } as Record<string, number>;
    const pool = balancer({
      instances: ['a', 'b', 'c', 'd'],
      weightOf: (one) => weight[one] as number,
      clock: manualClock(),
      random,
    });
    for (let i = 0; i < 5; i++) pool.report('d', 'failure', 0);
    const counts: Record<string, number> = {};
    for (let i = 0; i < 7_000; i++) {
      const picked = pool.pick();
      counts[picked] = (counts[picked] ?? 0) + 1;
    }
    expect(counts.d).toBeUndefined();
    const chi = ['a', 'b', 'c'].reduce((sum, one) => {
      const expected = (7_000 * (weight[one] as number)) / 7;
      return sum + ((counts[one] as number) - expected) ** 2 / expected;
    }, 0);
    expect(chi).toBeLessThan(13.8);
  });

  it('8, 9: what happens to others, added and removed ones too, leaves an instance as it is', () => {
    const sees = (pool: Balancer<string>) => {
      const { state, weight, successRatio } = pool.snapshot().instances.find(({ instance }) => instance === 'a') ?? {};
      return { state, weight, successRatio };
    };
    fc.assert(
      fc.property(fc.array(stepOf, { maxLength: 100 }), optionsOf, (steps, { choice: _, ...options }) => {
        const make = (instances: string[]): { pool: Balancer<string>; clock: ManualClock } => {
          const clock = manualClock();
          const given: BalancerOptions<string> = { instances, ...options, clock, random: seededRandom(1) };
          return { pool: balancer(given), clock };
        };
        const alone = make(['a']);
        const among = make(['b', 'a', 'c']);
        for (const step of steps) {
          const own = step.do === 'wait' || step.do === 'jump' || (step.do === 'report' && step.to === 0);
          if ((step.do === 'add' || step.do === 'remove') && step.to === 0) continue;
          if (own) play(alone.pool, alone.clock, step);
          play(among.pool, among.clock, step);
          expect(sees(among.pool)).toEqual(sees(alone.pool));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('9: an instance that fails all its calls, or some, changes nothing for the others', () => {
    for (const ill of [dead(0), failing(0.3), dead(0, 10_000)]) {
      const { states, pool } = runPool({
        instances: { a: well(), b: well(), c: ill },
        durationMs: 60_000,
        perSecond: 100,
      });
      expect(states.filter(({ instance }) => instance !== 'c')).toEqual([]);
      for (const other of pool.snapshot().instances.slice(0, 2))
        expect(other).toMatchObject({ state: 'up', weight: 1, successRatio: 1 });
    }
  });
});
