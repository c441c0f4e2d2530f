/** RULES of what counts for what in a call, as the page "Pipeline" has them in its table: every policy is held to it. */
import {
  balancer,
  circuitBreaker,
  concurrencyLimiter,
  dynamicTimeout,
  type Gate,
  hedge,
  keyedRateLimiter,
  type Policy,
  pipeline,
  type RetryBudget,
  rateLimiter,
  ratioBudget,
  retry,
  runGate,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';

const never = new Promise<never>(() => {});

/** What may become of a call; of a sent one, whether its function goes on after the answer. */
const ENDS = [
  'success',
  'failure',
  'refused inside',
  'aborted before sent',
  'aborted after sent, at once',
  'aborted after sent, deaf',
  'timed out, at once',
  'timed out, deaf',
  'ignored by classify',
] as const;
type End = (typeof ENDS)[number];

const isSent = (end: End): boolean => end !== 'refused inside' && end !== 'aborted before sent';
/** The verdict on it, where it is no `ignored`. */
const isJudged = (end: End): boolean => /^(success|failure|timed out)/.test(end);

const classify = (outcome: { ok: boolean; value?: unknown; error?: unknown }) =>
  outcome.ok ? (outcome.value === 'ignore' ? ('ignored' as const) : ('success' as const)) : undefined;

it('each policy counts what its column of the table says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...ENDS), { minLength: 1, maxLength: 12 }), async (ends) => {
      const clock = manualClock();
      const judged = (outcome: never, ctx: never) => classify(outcome) ?? defaults(outcome, ctx);
      const defaults = (await import('evenkeel')).defaultClassify;
      const common = { clock, classify: judged as never };
      const quotas = [
        rateLimiter({ limit: 1_000, windowMs: 1e9, algorithm: 'log', ...common }),
        rateLimiter({ limit: 1_000, windowMs: 1e9, ...common }),
        rateLimiter({ limit: 1_000, windowMs: 1e9, algorithm: 'counter', ...common }),
      ];
      const keyed = keyedRateLimiter({ limit: 1_000, windowMs: 1e9, ...common });
      const breaker = circuitBreaker({ windowMs: 1e9, minRequests: 1e9, ...common });
      const permits = concurrencyLimiter({
        load: () => 1,
        minLimit: 1_000,
        maxLimit: 1_000,
        abandonedMs: Infinity,
        ...common,
      });
      const pool = balancer({
        instances: ['a'],
        consecutiveFailures: 1_000,
        minRequests: 1e6,
        abandonedMs: Infinity,
        ...common,
      });
      const retryBudget = ratioBudget({ clock, ttlMs: 1e9 });
      const hedgeBudget = ratioBudget({ clock, ttlMs: 1e9 });
      let refuses = false;
      const inner: Gate = {
        name: 'inner',
        clock,
        reason: 'circuit_open',
        tryAcquire: () => !refuses,
        release: () => {},
        retryAfterMs: () => Infinity,
        run: (ctx, next) => runGate(inner, ctx, next),
      };
      let aborts: AbortController | undefined;
      /** Aborts its caller, as a policy may, before the function is called. */
      const aborting: Policy = {
        name: 'aborting',
        clock,
        run: (ctx, next) => {
          aborts?.abort(new Error('gone'));
          return next(ctx);
        },
      };
      const guard = pipeline(
        ...quotas,
        keyed,
        breaker,
        permits,
        retry({ clock, budget: retryBudget, maxRetries: 0, classify: judged as never }),
        hedge({ clock, budget: hedgeBudget, afterMs: Infinity, classify: judged as never }),
        pool.policy(),
        inner,
        aborting,
        dynamicTimeout({ clock, limitMs: 50, maxMs: 50 }),
      );
      for (const end of ends) {
        const caller = new AbortController();
        refuses = end === 'refused inside';
        aborts = end === 'aborted before sent' ? caller : undefined;
        const call = guard
          .execute(
            (ctx) => {
              if (end === 'success') return 'yes';
              if (end === 'ignored by classify') return 'ignore';
              if (end === 'failure') throw new Error('no');
              if (end.endsWith('deaf')) return never;
              return new Promise((_, reject) => {
                ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason));
              });
            },
            { signal: caller.signal },
          )
          .catch(() => {});
        if (end.startsWith('aborted after')) {
          await clock.advance(1);
          caller.abort(new Error('gone'));
        }
        await clock.settle(call);
      }
      const count = (matches: (end: End) => boolean): number => ends.filter(matches).length;
      const sent = count(isSent);
      const atWork = count((end) => end.endsWith('deaf'));
      expect(quotas.map((quota) => quota.snapshot().used)).toEqual([sent, sent, sent]);
      expect(keyed.peek().used).toBe(sent);
      expect(breaker.snapshot()).toMatchObject({
        requests: count(isJudged),
        accepts: count((end) => end === 'success'),
      });
      expect(permits.snapshot().inflight).toBe(atWork);
      expect(pool.snapshot().instances[0]?.inFlight).toBe(atWork);
      expect([retryBudget.snapshot().requests, hedgeBudget.snapshot().requests]).toEqual([sent, sent]);
    }),
    { numRuns: 60 },
  );
});

it.each<[string, (budget: RetryBudget, clock: ReturnType<typeof manualClock>) => Policy]>([
  ['retry', (budget, clock) => retry({ clock, budget, backoff: () => 10, random: () => 0 })],
  ['hedge', (budget, clock) => hedge({ clock, budget, afterMs: 10 })],
])(
  '%s: a second try that a gate inside refuses takes nothing from the budget, one that was sent does',
  async (_, make) => {
    for (const refused of [true, false]) {
      const clock = manualClock();
      const budget = ratioBudget({ clock, ttlMs: 1e9 });
      const inner: Gate = {
        name: 'inner',
        clock,
        reason: 'rate_limited',
        tryAcquire: (ctx) => ctx?.attempt === 0 || !refused,
        release: () => {},
        retryAfterMs: () => Infinity,
        run: (ctx, next) => runGate(inner, ctx, next),
      };
      const call = pipeline(make(budget, clock), inner).execute(async () => {
        await new Promise<void>((resolve) => void clock.setTimer(resolve, 20));
        throw new Error('down');
      });
      await clock.settle(call).catch(() => {});
      expect(budget.snapshot()).toMatchObject({ requests: 1, retries: refused ? 0 : 1 });
    }
  },
);
