import { getEventListeners } from 'node:events';
import {
  type Context,
  circuitBreaker,
  dynamicTimeout,
  type FailoverOptions,
  failover,
  fallback,
  isRejected,
  type Outcome,
  pipeline,
  RejectedError,
  type ResilienceEvent,
  retryWindow,
  TimeoutError,
} from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';

noUnhandledRejections();

const refused = new RejectedError({ policy: 'breaker', reason: 'circuit_open', retryAfterMs: 30 });
const timedOut = (): Promise<never> => Promise.reject(new TimeoutError('limit', 10));
const settled = <R>(promise: Promise<R>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

type Act = (ctx: Context) => unknown;

function setUp(local: Act, remote: Act, options: Partial<FailoverOptions<Context, unknown>> = {}) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const window = new RecordingBudget();
  const calls: string[] = [];
  const site = failover({
    local: (ctx) => {
      calls.push(`local ${ctx.attempt}`);
      return local(ctx);
    },
    remote: (ctx) => {
      calls.push(`remote ${ctx.attempt}`);
      return remote(ctx);
    },
    window,
    clock,
    observer: (event) => events.push(event),
    ...options,
  });
  return { clock, events, window, calls, site };
}

describe('the rules', () => {
  it('local answers: remote is not asked', async () => {
    const { site, calls, window } = setUp(
      () => 'local',
      () => 'remote',
    );
    expect(await site.execute()).toBe('local');
    expect(calls).toEqual(['local 0']);
    expect(window.log).toEqual(['request', 'first true']);
    expect(site.snapshot()).toEqual({ frozenMs: 0, calls: 1, failovers: 0, refused: 0 });
  });

  it.each<[string, () => unknown, string[]]>([
    ['fails', fail('no'), ['first false']],
    ['times out', timedOut, ['first false']],
    ['refuses, which tells nothing of it', () => Promise.reject(refused), []],
  ])('local %s: remote once, with leave of the window', async (_, local, told) => {
    const { site, calls, window, events } = setUp(local, () => 'remote');
    expect(await site.execute({ attempt: 2 })).toBe('remote');
    expect(calls).toEqual(['local 2', 'remote 3']);
    expect(window.log).toEqual(['request', ...told, 'ask true', 'done true']);
    expect(events).toEqual([{ type: 'failover', policy: 'failover', at: 0 }]);
    expect(await site.tryExecute()).toEqual({ ok: true, value: 'remote' });
  });

  it('no leave: what local gave, untouched', async () => {
    const error = new Error('no');
    const { site, calls, window } = setUp(
      () => Promise.reject(error),
      () => 'remote',
    );
    window.allow = () => false;
    await expect(site.execute()).rejects.toBe(error);
    expect(calls).toEqual(['local 0']);
    await expect(site.tryExecute()).rejects.toBe(error);
    expect(site.snapshot()).toMatchObject({ failovers: 0, refused: 2 });
  });

  it('a refusal by a local breaker costs the window one leave, also where remote refuses too', async () => {
    const other = new RejectedError({ policy: 'remote breaker', reason: 'circuit_open', retryAfterMs: 5 });
    const { site, window, calls } = setUp(
      () => Promise.reject(refused),
      () => Promise.reject(other),
    );
    await expect(site.execute()).rejects.toBe(refused);
    expect(await site.tryExecute()).toEqual({
      ok: false,
      rejection: { policy: 'breaker', reason: 'circuit_open', retryAfterMs: 30 },
    });
    expect(window.log).toEqual([
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

  it('tells the window how remote did', async () => {
    for (const [remote, good] of [
      [() => 'remote', true],
      [fail('no'), false],
      [timedOut, false],
      [() => Promise.reject(refused), undefined],
    ] as const) {
      const { site, window } = setUp(fail('no'), remote);
      await settled(site.execute());
      expect(window.log).toEqual(['request', 'first false', 'ask true', `done ${good}`]);
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

describe('the freeze', () => {
  const hang: Act = timedOut;

  it('both time out: all calls are refused at once, for freezeMs, with the time to come back', async () => {
    const { clock, site, calls, events, window } = setUp(hang, hang, { freezeMs: 3_000 });
    await expect(site.execute()).rejects.toThrow('gave up');
    expect(site.snapshot().frozenMs).toBe(3_000);
    await clock.advance(1_000);
    const error = await site.execute().catch((e: unknown) => e);
    expect(error).toMatchObject({ policy: 'failover', reason: 'no_instance', retryAfterMs: 2_000 });
    expect(isRejected(error)).toBe(true);
    expect(await site.tryExecute()).toMatchObject({ ok: false, rejection: { retryAfterMs: 2_000 } });
    expect(calls).toHaveLength(2);
    expect(window.requests).toBe(1);
    expect(events.slice(1, 3)).toEqual([
      { type: 'failover_frozen', policy: 'failover', at: 0, freezeMs: 3_000 },
      { type: 'rejected', policy: 'failover', at: 1_000, reason: 'no_instance', retryAfterMs: 2_000, shadow: false },
    ]);
    await clock.advance(1_999.5);
    expect(await site.tryExecute()).toMatchObject({ rejection: { retryAfterMs: 0.5 } });
    await clock.advance(0.5);
    await expect(site.execute()).rejects.toThrow('gave up');
    // As that call began when the freeze ended, it freezes anew.
    expect(site.snapshot().frozenMs).toBe(3_000);
  });

  it('comes without an observer too', async () => {
    const site = failover({ local: hang, remote: hang, clock: manualClock() });
    await expect(site.execute()).rejects.toThrow('gave up');
    expect(await site.tryExecute()).toMatchObject({ ok: false, rejection: { retryAfterMs: 5_000 } });
  });

  it('is not put off by a time-out that gets no leave for remote', async () => {
    const { site, window } = setUp(hang, hang, { freezeAfter: 2 });
    await settled(site.execute());
    window.allow = () => false;
    await settled(site.execute());
    window.allow = () => true;
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(5_000);
  });

  it('not where only one times out, or where they fail otherwise', async () => {
    for (const [local, remote] of [
      [hang, fail('no')],
      [fail('no'), hang],
      [fail('no'), fail('no')],
      [hang, () => 'remote'],
      [hang, () => Promise.reject(refused)],
      [() => Promise.reject(refused), hang],
    ] as const) {
      const { site } = setUp(local, remote);
      await settled(site.execute());
      expect(site.snapshot().frozenMs).toBe(0);
    }
  });

  it('after freezeAfter calls in a row: an answer starts the count anew, refusals leave it', async () => {
    const refuse: Act = () => Promise.reject(refused);
    const answers: [Act, Act][] = [
      [hang, hang],
      [hang, hang],
      [fail('no'), () => 'remote'],
      [hang, hang],
      [hang, hang],
      [() => 'local', hang],
      [hang, hang],
      [hang, refuse],
      [refuse, hang],
      [hang, hang],
      [hang, hang],
    ];
    let turn = -1;
    const { site } = setUp(
      (ctx) => (answers[++turn] as [Act, Act])[0](ctx),
      (ctx) => (answers[turn] as [Act, Act])[1](ctx),
      { freezeAfter: 3 },
    );
    const frozen: boolean[] = [];
    for (let i = 0; i < answers.length; i++) {
      await settled(site.execute());
      frozen.push(site.snapshot().frozenMs > 0);
    }
    expect(frozen).toEqual([...Array(10).fill(false), true]);
  });

  it('is not prolonged by calls that were under way; they do not go on to remote in it', async () => {
    const { clock, site, calls } = setUp(
      () => later(clock, 100, () => timedOut()),
      () => later(clock, 100, () => timedOut()),
      { freezeMs: 1_000 },
    );
    const first = settled(site.execute());
    await clock.advance(50);
    const second = settled(site.execute());
    await clock.advance(60);
    const third = settled(site.execute());
    await clock.advance(90);
    await first;
    expect(site.snapshot().frozenMs).toBe(1_000);
    await clock.advance(100);
    await Promise.all([second, third]);
    expect(site.snapshot().frozenMs).toBe(900);
    expect(calls.toSorted()).toEqual(['local 0', 'local 0', 'local 0', 'remote 1', 'remote 1']);
  });

  it('freezeMs 0 = never; update changes both, all or nothing, and shortens a freeze', async () => {
    const { site, clock, events } = setUp(hang, hang, { freezeMs: 0 });
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(0);
    expect(events.map(({ type }) => type)).toEqual(['failover']);
    site.update({ freezeMs: 4_000, freezeAfter: 2 });
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(0);
    await settled(site.execute());
    expect(site.snapshot().frozenMs).toBe(4_000);
    expect(() => site.update({ freezeMs: 100, freezeAfter: 0 })).toThrow(
      new RangeError('failover.update: freezeAfter must be a whole number ≥ 1, got 0'),
    );
    expect(() => site.update({ window: undefined } as never)).toThrow('failover.update: unknown option window');
    expect(site.snapshot().frozenMs).toBe(4_000);
    site.update({ freezeMs: 100 });
    await clock.advance(100);
    expect(await settled(site.execute())).toMatchObject({ error: { code: 'EVENKEEL_TIMEOUT' } });
    // The count began anew with the freeze.
    expect(site.snapshot().frozenMs).toBe(0);
  });

  it('is of no longer than freezeMs under a clock that goes back, nor begins under one that is broken', async () => {
    const { site, clock } = setUp(hang, hang, { freezeMs: 1_000 });
    await settled(site.execute());
    clock.jump(-1e6);
    expect(site.snapshot().frozenMs).toBe(1_000);
    await clock.advance(1_000);
    expect(site.snapshot().frozenMs).toBe(0);
    const broken = setUp(hang, hang, { clock: Object.assign(manualClock(), { now: () => NaN }) });
    for (let i = 0; i < 3; i++) {
      await expect(broken.site.execute()).rejects.toThrow('gave up');
      expect(broken.site.snapshot().frozenMs).toBe(0);
    }
    expect(broken.site.snapshot()).toMatchObject({ calls: 3, failovers: 0 });
  });
});

describe('a call', () => {
  it("that its caller aborts: no remote, his reason, nothing left; one that is aborted already isn't begun", async () => {
    const { clock, site, calls, window } = setUp(
      () => new Promise(() => {}),
      () => 'remote',
    );
    const caller = new AbortController();
    const call = settled(site.execute({ signal: caller.signal }));
    await clock.advance(10);
    caller.abort('enough');
    expect(await call).toEqual({ error: 'enough' });
    await clock.advance(10);
    expect(calls).toEqual(['local 0']);
    expect(window.log).toEqual(['request']);
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    await expect(site.execute({ signal: caller.signal })).rejects.toBe('enough');
    expect(calls).toEqual(['local 0']);
  });

  it('that is aborted while local fails, or while remote is at work', async () => {
    const caller = new AbortController();
    const during = setUp(
      () => {
        caller.abort('enough');
        throw new Error('no');
      },
      () => 'remote',
    );
    expect(await settled(during.site.execute({ signal: caller.signal }))).toEqual({ error: 'enough' });
    expect(during.calls).toEqual(['local 0']);
    expect(during.window.leaves).toBe(0);

    const second = new AbortController();
    let inner: AbortSignal | undefined;
    const { clock, site, window } = setUp(fail('no'), (ctx) => {
      inner = ctx.signal;
      return new Promise(() => {});
    });
    const call = settled(site.execute({ signal: second.signal }));
    await clock.advance(1);
    second.abort('later');
    expect(await call).toEqual({ error: 'later' });
    await clock.advance(1);
    expect(inner?.reason).toBe('later');
    expect(window.log).toEqual(['request', 'first false', 'ask true', 'done undefined']);
  });

  it('starts nothing at or after its deadline', async () => {
    const { clock, site, calls, window } = setUp(
      () => later(clock, 100, fail('no')),
      () => 'remote',
    );
    const call = settled(site.execute({ deadline: 100 }));
    await clock.advance(100);
    expect(await call).toEqual({ error: new Error('no') });
    expect(calls).toEqual(['local 0']);
    expect(window.leaves).toBe(0);
    expect(await site.tryExecute({ deadline: 100 })).toEqual({
      ok: false,
      rejection: { policy: 'failover', reason: 'deadline_exceeded', retryAfterMs: 0 },
    });
    expect(calls).toHaveLength(1);
    const intime = site.execute({ deadline: clock.now() + 100.5 });
    await clock.advance(100);
    expect(await intime).toBe('remote');
  });

  it('hands on key, tier, deadline, and the fields of a context of its own', async () => {
    interface Call extends Context {
      readonly path: string;
    }
    const seen: unknown[] = [];
    const look = (ctx: Call): void => void seen.push([ctx.path, ctx.key, ctx.tier, ctx.deadline, ctx.attempt]);
    const site = failover({
      local: (ctx: Call): string => {
        look(ctx);
        throw new Error('no');
      },
      remote: (ctx: Call) => {
        look(ctx);
        return ctx.path;
      },
      clock: manualClock(),
    });
    expect(await site.execute({ path: '/a', key: 'k', tier: 1, deadline: 50 })).toBe('/a');
    expect(seen).toEqual([
      ['/a', 'k', 1, 50, 0],
      ['/a', 'k', 1, 50, 1],
    ]);
    expectTypeOf(site.execute).returns.resolves.toBeString();
    // @ts-expect-error a path is needed
    const wrong = () => site.execute();
    expect(wrong).toBeTypeOf('function');
    await expect(site.execute({ path: '/a', cost: -1 })).rejects.toThrow('context: cost must be');
  });

  it('within a pipeline takes over what aborts that, its deadline and its attempt', async () => {
    const clock = manualClock();
    const { site, calls } = setUp(
      () => new Promise(() => {}),
      () => 'remote',
      { clock },
    );
    const guard = pipeline(
      fallback((error) => (error as Error).name),
      dynamicTimeout({ limitMs: 50, maxMs: 50, clock }),
    );
    const call = guard.execute((ctx) => site.execute(ctx), { attempt: 1 });
    await clock.advance(50);
    expect(await call).toBe('TimeoutError');
    await clock.advance(50);
    expect(calls).toEqual(['local 1']);
    expect(clock.waiting).toBe(0);
  });

  it('with a pipeline for each site: each breaker sees its own', async () => {
    const clock = manualClock();
    const random = seededRandom(3);
    const breakers = { local: circuitBreaker({ clock, random }), remote: circuitBreaker({ clock, random }) };
    const limit = () => dynamicTimeout({ limitMs: 100, maxMs: 100, clock });
    const local = pipeline(breakers.local, limit());
    const remote = pipeline(breakers.remote, limit());
    let reached = 0;
    const site = failover<Context, string>({
      local: (ctx) =>
        local.execute(() => {
          reached++;
          return new Promise(() => {});
        }, ctx),
      remote: (ctx) => remote.execute(() => later(clock, 5, () => 'remote'), ctx),
      window: new RecordingBudget(),
      clock,
    });
    let answered = 0;
    for (let i = 0; i < 500; i++) {
      void site.execute().then(() => answered++);
      await clock.advance(10);
    }
    await clock.advance(1_000);
    expect(answered).toBe(500);
    expect(reached).toBeLessThan(100);
    expect(breakers.local.snapshot().state).toBe('throttling');
    expect(breakers.remote.snapshot()).toMatchObject({ state: 'closed', rejectProbability: 0 });
  });

  it('gives back the permits of a site that is left behind', async () => {
    const clock = manualClock();
    const gate = new RecordingGate('gate', clock);
    const guard = pipeline(gate);
    const caller = new AbortController();
    const site = failover({
      local: (ctx) => guard.execute(() => new Promise(() => {}), ctx),
      remote: () => 'remote',
      clock,
    });
    const call = settled(site.execute({ signal: caller.signal }));
    expect(gate.permitsInUse).toBe(1);
    caller.abort('enough');
    await call;
    await clock.advance(1);
    expect([gate.permitsInUse, gate.verdicts]).toEqual([0, ['ignored']]);
  });
});

describe('what users give', () => {
  it.each(['onRequest', 'onFirstDone', 'tryRetry', 'onRetryDone'])('a window whose %s throws', async (method) => {
    const window = {
      onRequest: () => {},
      tryRetry: () => true,
      onRetryDone: () => {},
      [method]: fail('broken window'),
    };
    const { site } = setUp(fail('no'), () => 'remote', { window });
    await expect(site.execute()).rejects.toThrow('broken window');
  });

  it('a classify or failoverOn that throws: its error, and each leave is answered', async () => {
    let calls = 0;
    const { site, window } = setUp(fail('no'), () => 'remote', {
      classify: () => {
        if (++calls === 2) throw new Error('broken classify');
        return 'failure';
      },
    });
    await expect(site.execute()).rejects.toThrow('broken classify');
    expect([window.leaves, window.open]).toEqual([1, 0]);
    const other = setUp(fail('no'), () => 'remote', { failoverOn: fail('broken rule') });
    await expect(other.site.execute()).rejects.toThrow('broken rule');
  });

  it('an observer that aborts the call as it fails over: remote is not called', async () => {
    const caller = new AbortController();
    const { site, calls, window } = setUp(fail('no'), () => 'remote', { observer: () => caller.abort('from within') });
    expect(await settled(site.execute({ signal: caller.signal }))).toEqual({ error: 'from within' });
    await new Promise(setImmediate);
    expect([calls, window.open]).toEqual([['local 0'], 0]);
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

it('whatever happens: remote at most once a call, each with one leave that is answered, none while frozen', async () => {
  const act = fc.record({
    kind: fc.constantFrom('ok', 'fail', 'refuse', 'time out'),
    ms: fc.integer({ max: 200, min: 0 }),
  });
  const callOf = fc.record({
    gapMs: fc.integer({ min: 0, max: 80 }),
    local: act,
    remote: act,
    allowed: fc.boolean(),
    abortMs: fc.option(fc.integer({ min: 0, max: 300 })),
    deadlineMs: fc.option(fc.integer({ min: -10, max: 300 })),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(callOf, { maxLength: 30 }),
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 1, max: 3 }),
      async (calls, freezeMs, freezeAfter) => {
        const clock = manualClock();
        let allowed = false;
        const window = new RecordingBudget(() => allowed);
        let reached = 0;
        let outstanding = calls.length;
        const plan = new Map<string, (typeof calls)[number]>();
        const sent = new Map<string, number>();
        const go = (which: 'local' | 'remote') => (ctx: Context) => {
          const key = ctx.key as string;
          expect(site.snapshot().frozenMs).toBe(0);
          expect(clock.now()).toBeLessThan(ctx.deadline);
          expect(ctx.signal.aborted).toBe(false);
          reached++;
          sent.set(which + key, (sent.get(which + key) ?? 0) + 1);
          const { kind, ms } = (plan.get(key) as (typeof calls)[number])[which];
          return later(clock, ms, () => {
            if (kind === 'fail') throw new Error(which);
            if (kind === 'refuse') throw refused;
            return kind === 'ok' ? which : timedOut();
          });
        };
        const site = failover<Context, unknown>({
          local: go('local'),
          remote: go('remote'),
          window,
          freezeMs,
          freezeAfter,
          clock,
        });
        for (const [i, call] of calls.entries()) {
          const key = ` ${i}`;
          plan.set(key, call);
          const caller = new AbortController();
          const deadline = call.deadlineMs === null ? Infinity : clock.now() + call.deadlineMs;
          if (call.abortMs !== null) clock.setTimer(() => caller.abort(), call.abortMs);
          allowed = call.allowed;
          void site
            .execute({ key, deadline, signal: caller.signal })
            .catch(() => {})
            .finally(() => outstanding--);
          await clock.advance(call.gapMs);
        }
        await clock.advance(2_000);
        const { calls: begun, failovers } = site.snapshot();
        expect(Math.max(0, ...sent.values())).toBeLessThanOrEqual(1);
        expect(reached).toBe(begun + failovers);
        expect([window.requests, window.leaves, window.open, outstanding]).toEqual([begun, failovers, 0, 0]);
        expect(clock.waiting).toBe(0);
      },
    ),
    { numRuns: 100 },
  );
});

it('the default window probes: one failover a second at first, more while they succeed', async () => {
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

it('a window of another clock is refused', () => {
  expect(() => failover({ local: () => 1, remote: () => 2, clock: manualClock(), window: retryWindow() })).toThrow(
    /failover: clock must be that of window/,
  );
});
