import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Health, type HealthSettings } from '../../../src/policies/balancer/health.js';

const SETTINGS: HealthSettings = {
  consecutiveFailures: 5,
  minRequests: 20,
  maskRatio: 0.5,
  healthyRatio: 0.98,
  ramp: 'linear',
  rampMs: 10_000,
};

const ended = (health: Health, outcomes: string, now = 0, settings = SETTINGS): Health => {
  for (const outcome of outcomes) outcome === '.' ? health.succeed(now, settings) : health.fail(now, settings);
  return health;
};

describe('an instance that is up', () => {
  it('is masked by failures in a row, and by nothing less', () => {
    expect(ended(new Health(), 'xxxx.xxxx').state).toBe('up');
    const health = ended(new Health(), '.xxxxx', 7);
    expect(health).toMatchObject({ state: 'masked', weight: 0, maskedAt: 7 });
  });

  it('is masked by its success ratio, of minRequests calls and more', () => {
    expect(ended(new Health(), 'xx.'.repeat(6)).state).toBe('up');
    expect(ended(new Health(), `${'xx.'.repeat(6)}xx`).state).toBe('masked');
    expect(ended(new Health(), 'x..'.repeat(200)).state).toBe('up');
  });

  it('has the weight of the formula, less and less, from minRequests calls on', () => {
    const health = ended(new Health(), '.........x'.repeat(1));
    expect(health.weight).toBe(1);
    ended(health, '.........x');
    expect(health.successRatio).toBeCloseTo(0.9);
    expect(health.weight).toBeCloseTo((0.9 / 0.98) ** 16);
    expect(ended(new Health(), '..x'.repeat(30)).weight).toBe(0.05);
    expect(ended(new Health(), `${'.'.repeat(49)}x`).weight).toBe(1);
  });

  it('has it also where a success is the first call to be judged', () => {
    const health = ended(new Health(), '.x........'.repeat(2).slice(0, 19));
    expect(health.weight).toBe(1);
    expect(ended(health, '.').weight).toBeCloseTo((0.9 / 0.98) ** 16);
  });

  it('is masked by no ratio where maskRatio is 0', () => {
    const settings = { ...SETTINGS, maskRatio: 0, minRequests: 1, consecutiveFailures: 100 };
    expect(ended(new Health(), 'x'.repeat(99), 0, settings)).toMatchObject({ state: 'up', weight: 0.05 });
  });

  it('looks back on about 200 calls, however long these took', () => {
    const health = ended(new Health(), '.........x'.repeat(100));
    expect(health.weight).toBeLessThan(0.5);
    ended(health, '.'.repeat(400));
    expect(health).toMatchObject({ weight: 1, samples: 200 });
  });

  it('settles at a weight, where nlb goes on to nothing', () => {
    const health = new Health();
    // MSEC's 97 %, just below what it asks for.
    for (let i = 0; i < 100; i++) ended(health, `${'.'.repeat(32)}x`);
    expect(health.weight).toBeGreaterThan(0.75);
  });
});

describe('an instance that is masked', () => {
  it('begins to recover at its first good probe', () => {
    const health = ended(new Health(), 'xxxxx');
    expect(ended(health, 'xx', 5_000).state).toBe('masked');
    expect(ended(health, '.', 10_000)).toMatchObject({
      state: 'recovering',
      weight: 0.05,
      successRatio: 1,
      samples: 0,
    });
  });

  it('climbs a step each twentieth of rampMs, with a success for each', () => {
    const health = ended(new Health(), 'xxxxx.');
    expect(ended(health, '....', 499).weight).toBe(0.05);
    expect(ended(health, '.', 1_000).weight).toBe(0.05);
    expect(ended(health, '.', 1_500).weight).toBe(0.1);
    // Neither a silent hour nor many successes at once make it jump.
    expect(ended(health, '......', 3_600_000).weight).toBeCloseTo(0.15);
    for (let step = 4; step <= 19; step++) ended(health, '.', 3_600_000 + step * 500);
    expect(health.state).toBe('recovering');
    expect(ended(health, '.', 3_700_000)).toMatchObject({ state: 'up', weight: 1 });
  });

  it('climbs by a fourth each on the exponential ramp', () => {
    const settings: HealthSettings = { ...SETTINGS, ramp: 'exponential' };
    const health = ended(new Health(), 'xxxxx.', 0, settings);
    const weights = [health.weight];
    for (let step = 1; step <= 20; step++) weights.push(ended(health, '.', step * 500, settings).weight);
    expect(weights[0]).toBeCloseTo(0.01);
    expect(weights[10]).toBeCloseTo(0.1);
    expect(weights[20]).toBe(1);
  });

  it('falls back at two failures in a row, and each time needs twice as many good probes, up to four', () => {
    const health = ended(new Health(), 'xxxxx.');
    expect(ended(health, 'x.x.x.').state).toBe('recovering');
    expect(ended(health, 'xx').state).toBe('masked');
    expect(ended(health, '.x.').state).toBe('masked');
    expect(ended(health, '.').state).toBe('recovering');
    expect(ended(health, 'xx...').state).toBe('masked');
    expect(ended(health, '.xx').state).toBe('masked');
    expect(ended(health, '....').state).toBe('recovering');
    for (let step = 1; step <= 20; step++) ended(health, '.', step * 500);
    expect(health.state).toBe('up');
    expect(ended(health, 'xxxxx.').state).toBe('recovering');
  });

  it('with a threshold of one falls back at one failure', () => {
    const settings = { ...SETTINGS, consecutiveFailures: 1 };
    expect(ended(new Health(), 'x.x', 0, settings).state).toBe('masked');
  });
});

describe('whatever happens', () => {
  const outcome = fc.record({ ok: fc.boolean(), afterMs: fc.constantFrom(0, 1, 400, 600, 100_000) });
  const settings = fc.record({
    consecutiveFailures: fc.integer({ min: 1, max: 50 }),
    minRequests: fc.integer({ min: 1, max: 50 }),
    maskRatio: fc.double({ min: 0, max: 0.9, noNaN: true }),
    healthyRatio: fc.double({ min: 0.9, max: 1, noNaN: true }),
    ramp: fc.constantFrom('linear', 'exponential'),
    rampMs: fc.constantFrom(0, 10_000),
  });

  it('the weight is 0 to 1, 0 only while masked; it climbs by no more than a step; no ratio masks on few calls', () => {
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 300 }), settings, (outcomes, given) => {
        const health = new Health();
        let now = 0;
        let inARow = 0;
        let sinceStart = 0;
        for (const { ok, afterMs } of outcomes) {
          now += afterMs;
          const { weight, state } = health;
          // Held down by its ratio, of which one success of few calls may give back more than a step.
          const heldDown = health.samples >= given.minRequests && health.successRatio < given.healthyRatio;
          inARow = ok ? 0 : inARow + 1;
          sinceStart++;
          if (ok) health.succeed(now, given);
          else health.fail(now, given);
          expect(health.weight).toBeGreaterThanOrEqual(0);
          expect(health.weight).toBeLessThanOrEqual(1);
          expect(health.weight === 0).toBe(health.state === 'masked');
          if (weight > 0 && state === 'recovering' && !heldDown)
            expect(health.weight).toBeLessThanOrEqual(given.ramp === 'linear' ? weight + 0.0501 : weight * 1.26);
          if (weight === 0) expect(health.weight).toBeLessThanOrEqual(0.05);
          if (ok && health.successRatio >= given.healthyRatio && state !== 'masked')
            expect(health.weight).toBeGreaterThanOrEqual(weight);
          if (state !== 'masked' && health.state === 'masked') {
            const limit = state === 'recovering' ? Math.min(2, given.consecutiveFailures) : given.consecutiveFailures;
            expect(inARow >= limit || sinceStart >= given.minRequests).toBe(true);
          }
          if (health.state !== state) {
            if (health.state === 'recovering') sinceStart = 0;
            inARow = 0;
          }
        }
      }),
    );
  });
});
