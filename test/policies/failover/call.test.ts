import { getEventListeners } from 'node:events';
import { type Context, circuitBreaker, dynamicTimeout, failover, fallback, pipeline } from 'evenkeel';
import { manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { fail, later, RecordingBudget } from '../retry/calls.js';
import { refused, settled, setUp, timedOut } from './set-up.js';

noUnhandledRejections();

describe('a call', () => {
  it("that its caller aborts: no remote, his reason, nothing left; one that is aborted already isn't begun", async () => {
    const { clock, site, calls, budget } = setUp(
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
    expect(budget.log).toEqual(['request']);
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
    expect(during.budget.leaves).toBe(0);

    const second = new AbortController();
    let inner: AbortSignal | undefined;
    const { clock, site, budget } = setUp(fail('no'), (ctx) => {
      inner = ctx.signal;
      return new Promise(() => {});
    });
    const call = settled(site.execute({ signal: second.signal }));
    await clock.advance(1);
    second.abort('later');
    expect(await call).toEqual({ error: 'later' });
    await clock.advance(1);
    expect(inner?.reason).toBe('later');
    expect(budget.log).toEqual(['request', 'first false', 'ask true', 'done undefined']);
  });

  it('starts nothing at or after its deadline', async () => {
    const { clock, site, calls, budget } = setUp(
      () => later(clock, 100, fail('no')),
      () => 'remote',
    );
    const call = settled(site.execute({ deadline: 100 }));
    await clock.advance(100);
    expect(await call).toEqual({ error: new Error('no') });
    expect(calls).toEqual(['local 0']);
    expect(budget.leaves).toBe(0);
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
      budget: new RecordingBudget(),
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

describe('an abort of the caller', () => {
  const untilAborted = (ctx: Context): Promise<never> =>
    new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));

  it.each<[string, (ctx: Context) => Promise<unknown>]>([
    ['honours its signal', untilAborted],
    ['honours it a little later', async (ctx) => untilAborted(ctx).finally(async () => null)],
    ['is deaf', () => new Promise(() => {})],
  ])('at %s: the pipeline of the site has settled, and the budget been told, when he hears of it', async (_, act) => {
    for (const at of ['local', 'remote']) {
      const clock = manualClock();
      const gate = new RecordingGate('gate', clock);
      const guard = pipeline(gate);
      const budget = new RecordingBudget();
      const site = failover<Context, unknown>({
        local: (ctx) => (at === 'local' ? guard.execute(act, ctx) : Promise.reject(new Error('no'))),
        remote: (ctx) => guard.execute(act, ctx),
        clock,
        budget,
      });
      const caller = new AbortController();
      const seen = site
        .execute({ signal: caller.signal })
        .catch((error: unknown) => [error, gate.permitsInUse, [...gate.verdicts], budget.open]);
      await clock.advance(10);
      expect([gate.permitsInUse, budget.open]).toEqual([1, at === 'local' ? 0 : 1]);
      caller.abort('enough');
      expect(await seen).toEqual(['enough', 0, ['ignored'], 0]);
    }
  });

  it('is the outcome, also where local has a value by then', async () => {
    const caller = new AbortController();
    const { site } = setUp(
      () => {
        caller.abort('enough');
        return 'local';
      },
      () => 'remote',
    );
    expect(await settled(site.execute({ signal: caller.signal }))).toEqual({ error: 'enough' });
  });
});

it('failoverOn and classify see the context of the try that they are asked about', async () => {
  const seen: unknown[] = [];
  const { site } = setUp(fail('no'), () => 'remote', {
    classify: ({ ok }, ctx) => {
      seen.push(['classify', ctx.attempt]);
      return ok ? 'success' : 'failure';
    },
    failoverOn: (_, ctx) => seen.push(['failoverOn', ctx.attempt]) > 0,
  });
  expect(await site.execute({ attempt: 2 })).toBe('remote');
  expect(seen).toEqual([
    ['classify', 2],
    ['failoverOn', 2],
    ['classify', 3],
  ]);
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
        const budget = new RecordingBudget(() => allowed);
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
          budget,
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
        expect([budget.requests, budget.leaves, budget.open, outstanding]).toEqual([begun, failovers, 0, 0]);
        expect(clock.waiting).toBe(0);
      },
    ),
    { numRuns: 100 },
  );
});
