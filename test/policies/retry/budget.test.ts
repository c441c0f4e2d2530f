import { dynamicTimeout, pipeline, type RetryBudget, retry } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { refusal, rejects, script, settled, setUp, throws } from './set-up.js';

noUnhandledRejections();

it('asks and answers its budget by the rules, whatever happens', { timeout: 30_000 }, async () => {
  const outcome = fc.constantFrom('fine', 'throw', 'reject', 'refuse', 'hang', 'slow');
  const call = fc.record({
    atMs: fc.nat(3_000),
    outcomes: fc.array(outcome, { minLength: 1, maxLength: 5 }),
    abortAfterMs: fc.option(fc.nat(500), { nil: undefined }),
    budgetMs: fc.option(fc.nat(600), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 12 }), fc.infiniteStream(fc.boolean()), async (calls, leaves) => {
      const clock = manualClock();
      const counts = { requests: 0, firsts: 0, given: 0, answered: 0 };
      const budget: RetryBudget = {
        onRequest: () => void counts.requests++,
        onFirstDone: () => void counts.firsts++,
        tryRetry() {
          const given = leaves.next().value as boolean;
          if (given) counts.given++;
          return given;
        },
        onRetryDone(ok) {
          expect([true, false, undefined]).toContain(ok);
          counts.answered++;
          expect(counts.answered).toBeLessThanOrEqual(counts.given);
        },
      };
      const guard = pipeline(
        retry({ clock, budget, maxRetries: 3, random: seededRandom(1) }),
        dynamicTimeout({ limitMs: 200, maxMs: 200, clock }),
      );
      const ends: Promise<unknown>[] = [];
      for (const { atMs, outcomes, abortAfterMs, budgetMs } of calls) {
        clock.setTimer(() => {
          const caller = new AbortController();
          if (abortAfterMs !== undefined) clock.setTimer(() => caller.abort('left'), abortAfterMs);
          const until = budgetMs === undefined ? Infinity : clock.now() + budgetMs;
          let tries = 0;
          const one = guard.execute(
            (ctx) => {
              expect(ctx.attempt).toBe(tries);
              expect(ctx.startedAt).toBe(clock.now());
              expect(caller.signal.aborted).toBe(false);
              if (tries > 0) expect(clock.now()).toBeLessThan(until);
              const how = outcomes[tries++ % outcomes.length];
              if (how === 'throw') throw new Error('no');
              if (how === 'reject') return Promise.reject(new Error('no'));
              if (how === 'refuse') return Promise.reject(refusal('circuit_open'));
              if (how === 'hang') return new Promise<string>(() => {});
              if (how === 'slow') return new Promise<string>((resolve) => void clock.setTimer(() => resolve(''), 100));
              return 'fine';
            },
            { signal: caller.signal, deadline: until },
          );
          ends.push(settled(one));
        }, atMs);
      }
      await clock.advance(60_000);
      await Promise.all(ends);
      expect(ends).toHaveLength(calls.length);
      expect(counts.requests).toBe(calls.length);
      expect(counts.firsts).toBeLessThanOrEqual(calls.length);
      expect(counts.answered).toBe(counts.given);
      expect(clock.waiting).toBe(0);
    }),
    { numRuns: 60 },
  );
});

it('takes the verdict on a first try to its budget, with classify or without', async () => {
  for (const [first, told] of [
    [() => 'fine', [true]],
    [throws('no'), [false]],
    [() => new Promise(() => {}), [false]],
    [rejects(refusal('circuit_open')), []],
  ] as const) {
    const byVerdict = { success: [true], failure: [false], dropped: [false], ignored: [] };
    for (const verdict of [undefined, 'success', 'failure', 'dropped', 'ignored'] as const) {
      const seen: unknown[] = [];
      const budget = { onRequest() {}, onFirstDone: (ok: boolean) => void seen.push(ok), tryRetry: () => false };
      const { clock, guard } = setUp(
        {
          budget: { ...budget, onRetryDone() {} },
          ...(verdict === undefined ? {} : { classify: () => verdict }),
        },
        (inner) => dynamicTimeout({ limitMs: 50, maxMs: 50, clock: inner }),
      );
      const end = settled(guard.execute(script(clock, first).fn));
      await clock.advance(1_000);
      await end;
      expect(seen).toEqual(verdict === undefined ? told : byVerdict[verdict]);
    }
  }
});

it('takes the verdict on a retry to its budget: a time-out is bad, a refusal and an abort say nothing', async () => {
  for (const [second, answered] of [
    [() => 'fine', [true]],
    [throws('no'), [false]],
    [() => new Promise(() => {}), [false]],
    [rejects(refusal('circuit_open')), [undefined]],
  ] as const) {
    const seen: unknown[] = [];
    const { clock, guard } = setUp(
      { budget: { onRequest() {}, tryRetry: () => true, onRetryDone: (ok) => void seen.push(ok) } },
      (inner) => dynamicTimeout({ limitMs: 50, maxMs: 50, clock: inner }),
    );
    const end = settled(guard.execute(script(clock, throws('no'), second).fn));
    await clock.advance(1_000);
    await end;
    expect(seen).toEqual(answered);
  }
});

it('by default has a budget of its own: an outage gets a fifth more calls, and ten a second', async () => {
  const clock = manualClock();
  const guard = pipeline(retry({ clock, maxRetries: 5, backoff: () => 0 }));
  let reached = 0;
  for (let i = 0; i < 2_000; i++) {
    await guard.execute(() => Promise.reject(void reached++)).catch(() => {});
    clock.jump(10);
  }
  expect(reached / 2_000).toBeLessThan(1.36);
  expect(reached / 2_000).toBeGreaterThan(1.25);
});
