import { failover, isRejected, type Outcome, RejectedError, retryWindow } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail } from '../retry/calls.js';
import { refused, settled, setUp, timedOut } from './set-up.js';

noUnhandledRejections();

describe('the rules', () => {
  it('local answers: remote is not asked', async () => {
    const { site, calls, budget } = setUp(
      () => 'local',
      () => 'remote',
    );
    expect(await site.execute()).toBe('local');
    expect(calls).toEqual(['local 0']);
    expect(budget.log).toEqual(['request', 'first true']);
    expect(site.snapshot()).toEqual({ frozenMs: 0, calls: 1, failovers: 0, refused: 0 });
  });

  it.each<[string, () => unknown, string[]]>([
    ['fails', fail('no'), ['first false']],
    ['times out', timedOut, ['first false']],
    ['refuses, which tells nothing of it', () => Promise.reject(refused), []],
  ])('local %s: remote once, with leave of the budget', async (_, local, told) => {
    const { site, calls, budget, events } = setUp(local, () => 'remote');
    expect(await site.execute({ attempt: 2 })).toBe('remote');
    expect(calls).toEqual(['local 2', 'remote 3']);
    expect(budget.log).toEqual(['request', ...told, 'ask true', 'done true']);
    expect(events).toEqual([{ type: 'failover', policy: 'failover', at: 0 }]);
    expect(await site.tryExecute()).toEqual({ ok: true, value: 'remote' });
  });

  it('no leave: what local gave, untouched', async () => {
    const error = new Error('no');
    const { site, calls, budget } = setUp(
      () => Promise.reject(error),
      () => 'remote',
    );
    budget.allow = () => false;
    await expect(site.execute()).rejects.toBe(error);
    expect(calls).toEqual(['local 0']);
    await expect(site.tryExecute()).rejects.toBe(error);
    expect(site.snapshot()).toMatchObject({ failovers: 0, refused: 2 });
  });

  it('a refusal by a local breaker costs the budget one leave, also where remote refuses too', async () => {
    const other = new RejectedError({ policy: 'remote breaker', reason: 'circuit_open', retryAfterMs: 5 });
    const { site, budget, calls } = setUp(
      () => Promise.reject(refused),
      () => Promise.reject(other),
    );
    await expect(site.execute()).rejects.toBe(refused);
    expect(await site.tryExecute()).toEqual({
      ok: false,
      rejection: { policy: 'breaker', reason: 'circuit_open', retryAfterMs: 30 },
    });
    expect(budget.log).toEqual([
      ...['request', 'ask true', 'done undefined'],
      ...['request', 'ask true', 'done undefined'],
    ]);
    expect(calls).toHaveLength(4);
  });

  it.each<[string, () => unknown, () => unknown, unknown]>([
    ["both fail: remote's error", fail('local'), fail('remote'), { error: new Error('remote') }],
    ["remote refuses: local's error", fail('local'), () => Promise.reject(refused), { error: new Error('local') }],
    [
      "local refuses: remote's error, for it was called",
      () => Promise.reject(refused),
      fail('remote'),
      { error: new Error('remote') },
    ],
    ['local has a value: that one', () => 'bad', fail('remote'), { value: 'bad' }],
    ['both have a value', () => 'bad', () => 'also bad', { value: 'also bad' }],
  ])('%s', async (_, local, remote, expected) => {
    const { site } = setUp(local, remote, {
      classify: ({ ok, ...rest }) => {
        if (!ok) return isRejected((rest as { error: unknown }).error) ? 'ignored' : 'failure';
        return String((rest as { value: unknown }).value).includes('bad') ? 'failure' : 'success';
      },
    });
    expect(await settled(site.execute())).toEqual(expected);
  });

  it('tells the budget how remote did', async () => {
    for (const [remote, good] of [
      [() => 'remote', true],
      [fail('no'), false],
      [timedOut, false],
      [() => Promise.reject(refused), undefined],
    ] as const) {
      const { site, budget } = setUp(fail('no'), remote);
      await settled(site.execute());
      expect(budget.log).toEqual(['request', 'first false', 'ask true', `done ${good}`]);
    }
  });

  it('failoverOn decides, of errors and of values: "HTTP ok, API failure"', async () => {
    const client = ({ outcome }: { outcome: Outcome }): boolean => !outcome.ok;
    const gateway = ({ outcome }: { outcome: Outcome }): boolean =>
      !outcome.ok || (outcome.value as { code: number }).code !== 0;
    for (const [rule, expected] of [
      [client, { code: 500 }],
      [gateway, { code: 0 }],
    ] as const) {
      const { site } = setUp(
        () => ({ code: 500 }),
        () => ({ code: 0 }),
        { failoverOn: (outcome) => rule({ outcome }) },
      );
      expect(await site.execute()).toEqual(expected);
    }
    const never = setUp(fail('no'), () => 'remote', { failoverOn: () => false });
    await expect(never.site.execute()).rejects.toThrow('no');
  });

  it('an error that classify calls an answer, or nothing at all, stays', async () => {
    for (const verdict of ['success', 'ignored'] as const) {
      const { site, calls } = setUp(fail('404'), () => 'remote', { classify: () => verdict });
      await expect(site.execute()).rejects.toThrow('404');
      expect(calls).toEqual(['local 0']);
    }
  });
});

describe('what users give', () => {
  it.each(['onRequest', 'onFirstDone', 'tryRetry', 'onRetryDone'])('a budget whose %s throws', async (method) => {
    const budget = {
      onRequest: () => {},
      tryRetry: () => true,
      onRetryDone: () => {},
      [method]: fail('broken budget'),
    };
    const { site } = setUp(fail('no'), () => 'remote', { budget });
    await expect(site.execute()).rejects.toThrow('broken budget');
  });

  it('a classify or failoverOn that throws: its error, and each leave is answered', async () => {
    let calls = 0;
    const { site, budget } = setUp(fail('no'), () => 'remote', {
      classify: () => {
        if (++calls === 2) throw new Error('broken classify');
        return 'failure';
      },
    });
    await expect(site.execute()).rejects.toThrow('broken classify');
    expect([budget.leaves, budget.open]).toEqual([1, 0]);
    const other = setUp(fail('no'), () => 'remote', { failoverOn: fail('broken rule') });
    await expect(other.site.execute()).rejects.toThrow('broken rule');
  });

  it('an observer that aborts the call as it fails over: remote is not called', async () => {
    const caller = new AbortController();
    const { site, calls, budget } = setUp(fail('no'), () => 'remote', { observer: () => caller.abort('from within') });
    expect(await settled(site.execute({ signal: caller.signal }))).toEqual({ error: 'from within' });
    await new Promise(setImmediate);
    expect([calls, budget.open]).toEqual([['local 0'], 0]);
  });

  it('a remote that calls the same failover again', async () => {
    const { site, calls } = setUp(
      (ctx) => {
        if (ctx.attempt === 0) throw new Error('no');
        return 'answer';
      },
      (ctx) => site.execute(ctx),
    );
    expect(await site.execute()).toBe('answer');
    expect(calls).toEqual(['local 0', 'remote 1', 'local 1']);
  });
});

it('the default budget probes: one failover a second at first, more while they succeed', async () => {
  const clock = manualClock();
  const site = failover({ local: fail('down'), remote: () => 'remote', clock });
  const perSecond: number[] = [];
  for (let second = 0; second < 8; second++) {
    const before = site.snapshot().failovers;
    for (let i = 0; i < 100; i++) {
      await settled(site.execute());
      await clock.advance(10);
    }
    perSecond.push(site.snapshot().failovers - before);
  }
  expect(perSecond[0]).toBe(1);
  expect(perSecond.at(-1)).toBeGreaterThanOrEqual(4);
});

it('needs both sites', () => {
  const site = (): number => 1;
  for (const [missing, given] of [
    ['local', { remote: site }],
    ['remote', { local: site }],
  ] as const) {
    const wrong = (): unknown => failover(given as never);
    expect(wrong).toThrow(TypeError);
    expect(wrong).toThrow(`failover: ${missing} must be a function, got undefined`);
  }
});

it('a budget of another clock is refused', () => {
  expect(() => failover({ local: () => 1, remote: () => 2, clock: manualClock(), budget: retryWindow() })).toThrow(
    /failover: clock must be that of budget/,
  );
});
