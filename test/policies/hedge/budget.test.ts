import { type HedgeOptions, hedge, pipeline, ratioBudget } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';
import { ok } from './set-up.js';

noUnhandledRejections();

describe('the budget', () => {
  it('is never overdrawn, and hears of each leave once, whatever happens', async () => {
    const callOf = fc.record({
      gapMs: fc.integer({ min: 0, max: 60 }),
      ends: fc.tuple(...[0, 1].map(() => fc.tuple(fc.integer({ min: 0, max: 300 }), fc.boolean()))),
      abortMs: fc.option(fc.integer({ min: 0, max: 300 })),
      deadlineMs: fc.option(fc.integer({ min: 0, max: 300 })),
      allowed: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(callOf, { maxLength: 40 }),
        fc.constantFrom<Partial<HedgeOptions>>({ afterMs: 0 }, { afterMs: 100 }, { percentile: 0.5 }),
        async (calls, options) => {
          const clock = manualClock();
          let allowed = false;
          const budget = new RecordingBudget(() => allowed);
          const gates = [new RecordingGate('a', clock), new RecordingGate('b', clock)] as const;
          const policy = hedge({ ...options, budget, clock });
          const guard = pipeline(policy, ...gates);
          let attempts = 0;
          let outstanding = calls.length;
          for (const { gapMs, ends, abortMs, deadlineMs, ...rest } of calls) {
            const caller = new AbortController();
            const startedAt = clock.now();
            const deadline = deadlineMs === null ? Infinity : startedAt + deadlineMs;
            const call = guard.execute(
              (ctx) => {
                attempts++;
                if (ctx.attempt > 0) expect(clock.now()).toBeLessThan(deadline);
                expect(caller.signal.aborted).toBe(false);
                const [ms, well] = ends[ctx.attempt] as [number, boolean];
                return later(clock, ms, well ? ok('well') : fail('ill'));
              },
              { signal: caller.signal, deadline },
            );
            void call.then(
              () => outstanding--,
              () => outstanding--,
            );
            if (abortMs !== null) clock.setTimer(() => caller.abort(), abortMs);
            allowed = rest.allowed;
            await clock.advance(gapMs);
          }
          await clock.advance(1_000);
          const { hedges, refused } = policy.snapshot();
          expect(hedges).toBe(budget.leaves);
          expect(attempts).toBe(calls.length + hedges);
          expect(budget.requests).toBe(calls.length);
          expect(budget.log.filter((line) => line === 'ask false')).toHaveLength(refused);
          expect([budget.open, outstanding, clock.waiting]).toEqual([0, 0, 0]);
          for (const gate of gates) {
            expect(gate.permitsInUse).toBe(0);
            expect(gate.verdicts).toHaveLength(attempts);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('by default lets a tenth of the calls of 10 s be hedged, and one a second', async () => {
    const clock = manualClock();
    const policy = hedge({ afterMs: 5, clock });
    const guard = pipeline(policy);
    for (let i = 0; i < 2_000; i++) {
      void guard.execute((ctx) => (ctx.attempt === 0 ? new Promise(() => {}) : 'second'));
      await clock.advance(10);
    }
    const { hedges, refused } = policy.snapshot();
    expect(hedges + refused).toBe(2_000);
    expect(hedges).toBeGreaterThan(200);
    expect(hedges).toBeLessThanOrEqual(2 * (100 + 10));
  });

  it('may be one that others share', async () => {
    const clock = manualClock();
    const budget = ratioBudget({ ratio: 0, minRetriesPerSecond: 0.3, clock });
    const guards = [1, 2, 3].map(() => hedge({ afterMs: 5, clock, budget }));
    for (const policy of guards.flatMap((one) => [one, one])) {
      void pipeline(policy).execute((ctx) => (ctx.attempt === 0 ? new Promise(() => {}) : 'second'));
    }
    await clock.advance(10);
    expect(guards.reduce((sum, policy) => sum + policy.snapshot().hedges, 0)).toBe(3);
  });
});
