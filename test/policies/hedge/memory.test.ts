/** What stays of a hedged call while its loser hangs, and that signals handed out outlive their attempts. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Context, dynamicTimeout, hedge, pipeline, waitUntil } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { expect, it } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { later } from '../retry/calls.js';

noUnhandledRejections();

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function heapUsed(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().heapUsed;
}

const hanging = new Promise<never>(() => {});

/** Bytes a call that stay of `calls` calls, of which `start` starts one whose first attempt hangs: the least of some rounds. */
async function bytesLeft(calls: number, start: () => Promise<unknown>, answer: () => Promise<void>): Promise<number> {
  const run = async (): Promise<void> => {
    for (let i = 0; i < calls; i += 100) {
      const some = Array.from({ length: 100 }, start);
      await answer();
      await Promise.all(some);
    }
  };
  let least = Infinity;
  // The first rounds also pay for compiled code.
  for (let round = 0, before = Number.NaN; round < 5; round++) {
    await run();
    const after = await heapUsed();
    if (round > 0) least = Math.min(least, (after - before) / calls);
    before = after;
  }
  return least;
}

const tenKilobytes = (): number[] => new Array(1_280).fill(0.5);

it('an attempt that hangs does not keep the answer of the other', { timeout: 60_000 }, async () => {
  const clock = manualClock();
  const guard = pipeline(hedge({ afterMs: 1, clock, budget: [] }));
  const start = (): Promise<unknown> => guard.execute((ctx): unknown => (ctx.attempt === 0 ? hanging : tenKilobytes()));
  expect(await bytesLeft(1_000, start, () => clock.advance(1))).toBeLessThan(2_500);
});

it('an attempt that hangs keeps next to nothing of its hedge', { timeout: 60_000 }, async () => {
  const clock = manualClock();
  const policy = hedge({ afterMs: 1, clock, budget: [] });
  const ctx = await pipeline(policy).execute((given) => given);
  // By hand, so that no other part of a pipeline waits for the function.
  const next = (given: Context): Promise<unknown> => (given.attempt === 0 ? hanging : Promise.resolve(tenKilobytes()));
  const bytes = await bytesLeft(
    1_000,
    () => policy.run(ctx, next as never),
    () => clock.advance(1),
  );
  expect(bytes).toBeLessThan(500);
});

it('nothing keeps the answer', { timeout: 60_000 }, async () => {
  const clock = manualClock();
  const guard = pipeline(hedge({ afterMs: 1, clock, budget: [] }));
  let ref: WeakRef<object> | undefined;
  const call = async (): Promise<void> => {
    const promise = guard.execute((ctx): unknown => {
      if (ctx.attempt === 0) return hanging;
      const answer = { status: 200 };
      ref = new WeakRef(answer);
      return answer;
    });
    await clock.advance(1);
    await promise;
  };
  await call();
  await heapUsed();
  expect(ref).toBeDefined();
  expect(ref?.deref()).toBeUndefined();
});

it.each([0, 1])('the signal of the winner, attempt %i, aborts with the caller after the answer', async (winner) => {
  const clock = manualClock();
  const guard = pipeline(hedge({ afterMs: 100, clock, budget: [] }));
  for (const answer of [{}, 'no object']) {
    const caller = new AbortController();
    const signals: AbortSignal[] = [];
    const call = guard.execute(
      (ctx) => {
        signals.push(ctx.signal);
        return ctx.attempt === winner ? later(clock, 150, () => answer) : new Promise<never>(() => {});
      },
      { signal: caller.signal },
    );
    await clock.advance(300);
    expect(await call).toBe(answer);
    expect(signals.map(({ aborted }) => aborted)).toEqual([winner === 1, winner === 0]);
    await heapUsed();
    caller.abort('enough');
    // Nothing can still be read of what is no object.
    expect(signals[winner]?.aborted).toBe(typeof answer === 'object');
    if (typeof answer === 'object') expect(signals[winner]?.reason).toBe('enough');
  }
});

it('a body that is named stays linked while it is open', async () => {
  const clock = manualClock();
  const guard = pipeline(hedge({ afterMs: 100, clock, budget: [] }));
  const caller = new AbortController();
  let signal: AbortSignal | undefined;
  const call = guard.execute(
    (ctx) => {
      signal = ctx.signal;
      waitUntil(
        ctx,
        later(clock, 1_000, () => {}),
      );
      return 'no object';
    },
    { signal: caller.signal },
  );
  expect(await call).toBe('no object');
  await clock.advance(500);
  caller.abort('enough');
  expect(signal?.reason).toBe('enough');
  await clock.advance(1_000);
});

it('around a time limit, the signal of the winner aborts with the caller after the answer', async () => {
  const clock = manualClock();
  const guard = pipeline(
    hedge({ afterMs: 100, clock, budget: [] }),
    dynamicTimeout({ limitMs: 500, maxMs: 500, clock }),
  );
  const caller = new AbortController();
  let signal: AbortSignal | undefined;
  const answer = {};
  const call = guard.execute(
    (ctx) => {
      signal = ctx.signal;
      return answer;
    },
    { signal: caller.signal },
  );
  expect(await call).toBe(answer);
  caller.abort('enough');
  expect(signal?.reason).toBe('enough');
});
