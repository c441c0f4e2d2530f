/** Who stands outside of a hedge sees what is inside settled, whether an attempt answers or the caller aborts. */
import { type Clock, type Context, hedge, type Policy, pipeline } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { later, RecordingBudget } from '../retry/calls.js';

noUnhandledRejections();

type Act = (ctx: Context, clock: Clock) => Promise<unknown>;

const untilAborted = (ctx: Context): Promise<never> =>
  new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));

/** Ways to honour the signal, and not to. */
const ACTS: [string, Act][] = [
  ['a listener', untilAborted],
  [
    'two async functions with finally',
    async (ctx) => {
      const inner = async (): Promise<unknown> => {
        try {
          return await untilAborted(ctx);
        } finally {
          await null;
        }
      };
      try {
        return await inner();
      } finally {
        await null;
      }
    },
  ],
  ['deaf', () => new Promise(() => {})],
  ['an answer after the abort', (ctx) => untilAborted(ctx).catch(() => 'late')],
];

/** Passes on, with awaits before and after. */
const slow: Policy = {
  name: 'slow',
  run: async (ctx, next) => {
    await null;
    try {
      return await next(ctx);
    } finally {
      await null;
    }
  },
};

function setUp(...between: Policy[]) {
  const clock = manualClock();
  const gate = new RecordingGate('gate', clock);
  const budget = new RecordingBudget();
  const policy = hedge({ afterMs: 100, clock, budget });
  return { clock, gate, budget, policy, guard: pipeline(policy, ...between, gate) };
}

describe.each(ACTS)('%s', (_, act) => {
  it.each([
    ['', []],
    [', a policy between', [slow]],
  ] as [string, Policy[]][])(
    'the caller aborts%s: both attempts are settled when he hears of it',
    async (_, between) => {
      for (const [ms, attempts] of [
        [50, 1],
        [150, 2],
      ] as const) {
        const { clock, gate, budget, guard } = setUp(...between);
        const caller = new AbortController();
        const call = guard.execute((ctx) => act(ctx, clock), { signal: caller.signal });
        const seen = call.catch((error: unknown) => [error, gate.permitsInUse, [...gate.verdicts], [...budget.log]]);
        await clock.advance(ms);
        expect(gate.permitsInUse).toBe(attempts);
        caller.abort('enough');
        const log = attempts === 1 ? ['request'] : ['request', 'ask true', 'done undefined'];
        expect(await seen).toEqual(['enough', 0, Array(attempts).fill('ignored'), log]);
      }
    },
  );

  it('an attempt answers: the loser is settled when the caller has the answer', async () => {
    for (const answering of [0, 1]) {
      const { clock, gate, budget, policy, guard } = setUp();
      const call = guard.execute((ctx) =>
        ctx.attempt === answering ? later(clock, answering === 0 ? 150 : 50, () => answering) : act(ctx, clock),
      );
      const seen = call.then((value) => [value, gate.permitsInUse, gate.verdicts.length, budget.open]);
      await clock.advance(150);
      expect(await seen).toEqual([answering, 0, 2, 0]);
      expect(policy.snapshot()).toMatchObject({ hedges: 1, won: answering });
      expect(budget.log.filter((line) => line.startsWith('done'))).toHaveLength(1);
    }
  });
});

it('the caller calls again in his catch: the limit inside has room', async () => {
  const { clock, gate, guard } = setUp();
  const caller = new AbortController();
  const again = guard
    .execute(untilAborted, { signal: caller.signal })
    .catch(() => guard.execute(() => gate.permitsInUse));
  await clock.advance(150);
  expect(gate.permitsInUse).toBe(2);
  caller.abort();
  expect(await again).toBe(1);
});

it('a deaf loser holds up the answer by microtasks only', async () => {
  const due: (() => void)[] = [];
  const clock = { now: () => 0, setTimer: (fn: () => void) => due.push(fn), clearTimer: () => {} };
  const guard = pipeline(hedge({ afterMs: 0, clock, budget: [] }), new RecordingGate('gate', clock));
  let answered = false;
  void guard
    .execute((ctx) => (ctx.attempt === 0 ? new Promise(() => {}) : 'second'))
    .then(() => {
      answered = true;
    });
  for (const fn of due) fn();
  let microtasks = 0;
  for (; !answered && microtasks < 1_000; microtasks++) await null;
  expect(microtasks).toBeGreaterThan(20);
  expect(microtasks).toBeLessThan(60);
});

it('a policy between that never settles does not hold up the outcome', async () => {
  const clock = manualClock();
  const deaf: Policy = {
    name: 'deaf',
    run: (ctx, next) => (ctx.attempt === 0 ? new Promise(() => {}) : next(ctx)),
  };
  const guard = pipeline(hedge({ afterMs: 100, clock, budget: [] }), deaf);
  const call = guard.execute(() => 'second');
  await clock.advance(100);
  expect(await call).toBe('second');
  const caller = new AbortController();
  const aborted = guard.execute(() => 'second', { signal: caller.signal }).catch((error: unknown) => error);
  await clock.advance(50);
  caller.abort('enough');
  expect(await aborted).toBe('enough');
});

it.each([
  ['a gate around a policy', true],
  ['a policy', false],
])('an abort of %s that never settles: all is settled when the caller hears of it', async (_, gated) => {
  const clock = manualClock();
  const gate = new RecordingGate('gate', clock);
  const budget = new RecordingBudget();
  const deaf: Policy = { name: 'deaf', run: () => new Promise(() => {}) };
  const guard = pipeline(hedge({ afterMs: 100, clock, budget }), ...(gated ? [gate] : []), deaf);
  const caller = new AbortController();
  const seen = guard
    .execute(() => 'never', { signal: caller.signal })
    .catch((error: unknown) => [error, gate.permitsInUse, budget.open]);
  await clock.advance(150);
  expect([gate.permitsInUse, budget.open]).toEqual([gated ? 2 : 0, 1]);
  caller.abort('enough');
  expect(await seen).toEqual(['enough', 0, 0]);
});

it('the abort of the caller while the loser ends does not change the answer, and reaches the signal of the winner', async () => {
  const { clock, guard } = setUp();
  const caller = new AbortController();
  const signals: AbortSignal[] = [];
  const answer = {};
  const call = guard.execute(
    (ctx) => {
      signals.push(ctx.signal);
      if (ctx.attempt === 1) return answer;
      ctx.signal.addEventListener('abort', () => caller.abort('too late'));
      return new Promise(() => {});
    },
    { signal: caller.signal },
  );
  await clock.advance(100);
  expect(await call).toBe(answer);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  expect(signals[1]?.reason).toBe('too late');
});
