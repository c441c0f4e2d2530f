import { earlierErrors, type RetryOptions } from 'evenkeel';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { script, settled, setUp, throws } from './set-up.js';

noUnhandledRejections();

describe('an answer that classify takes for a failure', () => {
  const badStatus: RetryOptions['classify'] = (outcome) =>
    outcome.ok && (outcome.value as { status: number }).status < 500 ? 'success' : 'failure';

  it('is tried again, and is the answer where nothing better comes', async () => {
    const { clock, guard } = setUp({ classify: badStatus, maxRetries: 2 });
    const { fn, tries } = script(clock, () => ({ status: 503 }));
    const answer = guard.execute(fn);
    await clock.advance(200);
    expect(await answer).toEqual({ status: 503 });
    expect(tries).toHaveLength(3);
    const better = guard.execute(
      script(
        clock,
        () => ({ status: 503 }),
        () => ({ status: 200 }),
      ).fn,
    );
    await clock.advance(100);
    expect(await better).toEqual({ status: 200 });
  });

  it('is not what classify takes for none: that is tried once', async () => {
    for (const classify of [badStatus, () => 'ignored' as const]) {
      const { clock, guard } = setUp({ classify });
      const { fn, tries } = script(clock, () => ({ status: 200 }));
      expect(await guard.execute(fn)).toEqual({ status: 200 });
      expect(tries).toHaveLength(1);
    }
  });

  it('is among the earlier errors of what fails after it', async () => {
    const { clock, guard } = setUp({ classify: badStatus });
    const error = new Error('reset');
    const end = settled(guard.execute(script(clock, () => ({ status: 503 }), throws(error)).fn));
    await clock.advance(100);
    await end;
    expect(earlierErrors(error)).toEqual([{ status: 503 }]);
  });
});

describe('what throws where it should not', () => {
  it('is what the call rejects with, and each leave is answered all the same', async () => {
    const wrong = new Error('broken');
    for (const broken of ['backoff', 'retryOn', 'retryAfter', 'classify'] as const) {
      const leave = { given: 0, answered: 0 };
      let asked = 0;
      const { clock, guard } = setUp({
        maxRetries: 3,
        budget: { onRequest() {}, tryRetry: () => ++leave.given > 0, onRetryDone: () => void leave.answered++ },
        [broken]: () => {
          if (asked++ > 0) throw wrong;
          return { backoff: 1, retryOn: true, retryAfter: 1, classify: 'failure' }[broken];
        },
      });
      const end = settled(guard.execute(throws('no')));
      await clock.advance(1_000);
      expect(await end, broken).toEqual({ error: wrong });
      expect(earlierErrors(wrong)).toEqual(['no', 'no'].slice(broken === 'classify' ? 1 : 0));
      expect(leave).toEqual({ given: 1, answered: 1 });
    }
  });

  it('an observer’s error reaches the host, not the call', async () => {
    const seen: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => seen.push(error));
    try {
      const { clock, guard } = setUp({ observer: throws('observer') });
      const answer = guard.execute(script(clock, throws('no'), () => 'fine').fn);
      await clock.advance(100);
      expect(await answer).toBe('fine');
      expect(seen).toEqual(['observer']);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });
});
