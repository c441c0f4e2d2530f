import { failover, hedge, pipeline, type RetryBudget, ratioBudget, retry, retryWindow, tokenBudget } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('tokenBudget', () => {
  it('from full allows retries after four failures in a row, not after the fifth', () => {
    const budget = tokenBudget({ maxTokens: 10, tokenRatio: 0.1 });
    const allowed = [1, 2, 3, 4, 5, 6].map(() => {
      budget.onFirstDone(false);
      return budget.tryRetry();
    });
    expect(allowed).toEqual([true, true, true, true, false, false]);
  });

  it('from empty allows them again after 51 successes', () => {
    const budget = tokenBudget({ maxTokens: 10, tokenRatio: 0.1 });
    for (let i = 0; i < 20; i++) budget.onFirstDone(false);
    expect(budget.snapshot().tokens).toBe(0);
    let successes = 0;
    for (; !budget.tryRetry(); successes++) budget.onRetryDone(true);
    expect(successes).toBe(51);
  });

  it('stays where it is at a failure fraction of ratio / (1 + ratio)', () => {
    const budget = tokenBudget({ maxTokens: 100, tokenRatio: 0.1 });
    for (let i = 0; i < 30; i++) budget.onFirstDone(false);
    // 1 of 11 fails: 9.09 %.
    for (let i = 0; i < 11_000; i++) budget.onFirstDone(i % 11 > 0);
    expect(budget.snapshot().tokens).toBe(70);
  });

  it('counts in thousandths and between none and all, as gRPC says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.boolean(), fc.constant(undefined)), { maxLength: 300 }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1, max: 3_000 }),
        (outcomes, maxTokens, thousandths) => {
          const budget = tokenBudget({ maxTokens, tokenRatio: thousandths / 1_000 });
          let tokens = maxTokens * 1_000;
          for (const ok of outcomes) {
            budget.onRetryDone(ok);
            if (ok !== undefined)
              tokens = Math.max(0, Math.min(maxTokens * 1_000, tokens + (ok ? thousandths : -1_000)));
            expect(budget.snapshot().tokens).toBe(tokens / 1_000);
            expect(budget.tryRetry()).toBe(tokens > maxTokens * 500);
          }
        },
      ),
    );
  });

  it('is told by retry of first tries and of retries', async () => {
    const budget = tokenBudget({ maxTokens: 10, tokenRatio: 0.5 });
    const guard = pipeline(retry({ budget, maxRetries: 3, backoff: () => 0 }));
    const answers = ['bad', 'bad', 'good'];
    await guard.execute(() => {
      if (answers.shift() === 'bad') throw new Error('no');
    });
    expect(budget.snapshot().tokens).toBe(8.5);
    await guard.execute(() => 1);
    expect(budget.snapshot().tokens).toBe(9);
  });
});

describe('ratioBudget', () => {
  it('allows at most ratio · requests + minimum in any ttl that ends with a retry', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(0, 0.1, 0.2, 1),
        fc.constantFrom(0, 0.7, 10),
        fc.constantFrom(1_000, 7_777, 10_000),
        (seed, ratio, minRetriesPerSecond, ttlMs) => {
          const random = seededRandom(seed);
          const clock = manualClock(random() * 1e6);
          const budget = ratioBudget({ ratio, minRetriesPerSecond, ttlMs, clock });
          const requests: number[] = [];
          const retries: number[] = [];
          const since = (times: number[], from: number): number => times.filter((at) => at > from).length;
          for (let i = 0; i < 400; i++) {
            clock.jump(random() < 0.02 ? random() * 2 * ttlMs : random() * 60);
            const now = clock.now();
            if (random() < 0.6) {
              budget.onRequest();
              requests.push(now);
            }
            const room = budget.canRetry();
            expect(budget.tryRetry()).toBe(room);
            if (!room) continue;
            retries.push(now);
            budget.onRetryDone(random() < 0.5);
            const from = now - ttlMs;
            const most = ratio * since(requests, from) + (minRetriesPerSecond * ttlMs) / 1_000;
            expect(since(retries, from)).toBeLessThanOrEqual(most + 1e-6);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('in a total outage at 100 requests a second sends 1.3 times as many tries, not much less', () => {
    const clock = manualClock();
    const budget = ratioBudget({ clock });
    let retries = 0;
    for (let i = 0; i < 6_000; i++) {
      budget.onRequest();
      if (i >= 3_000 && budget.tryRetry()) retries++;
      clock.jump(10);
    }
    // 30 s: 10 s of reserve that was full, and then as it comes.
    expect(retries).toBeLessThanOrEqual(900);
    expect(retries).toBeGreaterThan(860);
  });

  it('counts a retry for ttlMs at least, and for a fiftieth more at most', () => {
    for (let at = 0; at < 1_100; at += 7) {
      const clock = manualClock(at);
      const budget = ratioBudget({ ratio: 0, minRetriesPerSecond: 0.1, ttlMs: 10_000, clock });
      expect(budget.tryRetry()).toBe(true);
      clock.jump(9_999);
      expect(budget.canRetry()).toBe(false);
      clock.jump(201);
      expect(budget.canRetry()).toBe(true);
    }
  });

  it('shows what there is', () => {
    const clock = manualClock();
    const budget = ratioBudget({ clock, ratio: 0.5, minRetriesPerSecond: 1, ttlMs: 2_000 });
    for (let i = 0; i < 5; i++) budget.onRequest();
    budget.tryRetry();
    expect(budget.snapshot()).toEqual({ requests: 5, retries: 1, remaining: 3 });
    clock.jump(10_000);
    expect(budget.snapshot()).toEqual({ requests: 0, retries: 0, remaining: 2 });
    clock.jump(-5_000);
    expect(budget.snapshot()).toEqual({ requests: 0, retries: 0, remaining: 2 });
  });
});

describe('several budgets', () => {
  const fails = (): never => {
    throw new Error('no');
  };

  it('must all have room, and what one refuses costs the others nothing', async () => {
    const clock = manualClock();
    const all = retryWindow({ clock });
    const a = retryWindow({ clock });
    const b = retryWindow({ clock });
    const guardA = pipeline(retry({ clock, budget: [all, a], backoff: () => 0 }));
    const guardB = pipeline(retry({ clock, budget: [b, all], backoff: () => 0 }));
    let calls = 0;
    const call = (): never => {
      calls++;
      return fails();
    };
    await guardA.execute(call).catch(() => {});
    expect([calls, all.snapshot().used, a.snapshot().used]).toEqual([2, 1, 1]);
    await guardB.execute(call).catch(() => {});
    // The overall window is used up: that of the service keeps its own.
    expect([calls, all.snapshot().used, b.snapshot().used]).toEqual([3, 1, 0]);
  });

  /** Three documented methods and no more. */
  function plain(allow: () => boolean): RetryBudget & { log: string[] } {
    const log: string[] = [];
    return {
      log,
      onRequest: () => void log.push('request'),
      tryRetry: () => {
        log.push('try');
        return allow();
      },
      onRetryDone: (ok) => void log.push(`done ${ok}`),
    };
  }

  it('may have one of three methods among them, whose refusal costs the others nothing', async () => {
    const clock = manualClock();
    let allow = false;
    const own = plain(() => allow);
    const window = retryWindow({ clock });
    const guard = pipeline(retry({ clock, budget: [window, own], backoff: () => 0 }));
    await guard.execute(fails).catch(() => {});
    expect(window.snapshot().used).toBe(0);
    allow = true;
    await guard.execute(fails).catch(() => {});
    expect(window.snapshot().used).toBe(1);
    await guard.execute(fails).catch(() => {});
    // Not asked where another has none left.
    expect(own.log).toEqual(['request', 'try', 'request', 'try', 'done false', 'request']);
  });

  it('with two of three methods are refused', () => {
    const own = plain(() => true);
    expect(() => retry({ budget: [own, retryWindow(), own] })).toThrow(
      new TypeError('retry: of the budgets in budget all but one must have canRetry, got 2 without'),
    );
  });

  it('that think otherwise when asked in earnest leave none without an answer', async () => {
    const first = Object.assign(
      plain(() => true),
      { canRetry: () => true },
    );
    const second = Object.assign(
      plain(() => false),
      { canRetry: () => true },
    );
    await pipeline(retry({ budget: [first, second] }))
      .execute(fails)
      .catch(() => {});
    expect(first.log).toEqual(['request', 'try', 'done undefined']);
    expect(second.log).toEqual(['request', 'try']);
  });

  it('one of which throws when asked in earnest leave none without an answer', async () => {
    const asked = { canRetry: () => true };
    const first = Object.assign(
      plain(() => true),
      asked,
    );
    const broken = Object.assign(plain(fails), asked);
    await expect(pipeline(retry({ budget: [first, broken] })).execute(() => Promise.reject('x'))).rejects.toThrow('no');
    expect(first.log).toEqual(['request', 'try', 'done undefined']);
  });

  it('are told how first tries and retries end, those that ask for it', async () => {
    const tokens = tokenBudget({ maxTokens: 10, tokenRatio: 0.5 });
    const own = plain(() => true);
    const guard = pipeline(retry({ budget: [tokens, own], maxRetries: 2, backoff: () => 0 }));
    await guard.execute(fails).catch(() => {});
    expect(tokens.snapshot().tokens).toBe(7);
    await guard.execute(() => 'fine');
    expect(tokens.snapshot().tokens).toBe(7.5);
    expect(own.log).toEqual(['request', 'try', 'done false', 'try', 'done false', 'request']);
  });

  it('may be none: then nothing holds it back', async () => {
    let calls = 0;
    const guard = pipeline(retry({ budget: [], maxRetries: 500, backoff: () => 0 }));
    await guard
      .execute(() => {
        calls++;
        fails();
      })
      .catch(() => {});
    expect(calls).toBe(501);
  });

  it('must go by the clock of the policy', () => {
    for (const budget of [retryWindow, ratioBudget])
      expect(() => retry({ budget: [tokenBudget(), budget({ clock: manualClock() })], clock: manualClock() })).toThrow(
        new TypeError('retry: clock must be that of budget, got another one'),
      );
    retry({ budget: [retryWindow(), tokenBudget(), ratioBudget()] });
  });
});

describe('the option budget', () => {
  const sites = { local: () => 1, remote: () => 2 };

  it.each([
    ['retry', (options: object) => retry(options)],
    ['failover', (options: object) => failover({ ...sites, ...options })],
  ])('of %s has an older name, window; both is one too many', (name, make) => {
    expect(() => make({ budget: [], window: [] })).toThrow(
      new TypeError(`${name}: budget and window are two names of one option, got both`),
    );
    for (const option of ['budget', 'window']) {
      expect(() => make({ [option]: null })).toThrow(
        new TypeError(
          `${name}: ${option} must be an object with onRequest, tryRetry, onRetryDone, or an array of such, got null`,
        ),
      );
      expect(() => make({ [option]: ratioBudget({ clock: manualClock() }) })).toThrow(
        `${name}: clock must be that of ${option}, got another one`,
      );
      make({ budget: undefined, window: undefined, [option]: ratioBudget() });
    }
  });

  it('is asked under either name', async () => {
    for (const option of ['budget', 'window']) {
      const given = ratioBudget({ minRetriesPerSecond: 0.1 });
      await pipeline(retry({ [option]: given, backoff: () => 0 })).execute((ctx) =>
        ctx.attempt === 0 ? Promise.reject('no') : 1,
      );
      expect(given.snapshot()).toMatchObject({ requests: 1, retries: 1 });
      const other = ratioBudget({ minRetriesPerSecond: 0.1 });
      await failover({ ...sites, local: () => Promise.reject('no'), [option]: other }).execute();
      expect(other.snapshot()).toMatchObject({ requests: 1, retries: 1 });
    }
  });

  it('of hedge has one name', () => {
    expect(() => hedge({ afterMs: 1, window: [] } as never)).toThrow('hedge: unknown option window');
  });
});
