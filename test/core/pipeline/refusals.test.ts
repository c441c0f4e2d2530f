import {
  type Context,
  defaultClassify,
  derive,
  dynamicTimeout,
  type Policy,
  pipeline,
  RejectedError,
  TimeoutError,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock(1_000);
});

const setting = (changes: Partial<Context>): Policy => ({
  name: 'setting',
  run: (ctx, next) => next(derive<typeof ctx>(ctx, changes)),
});

const refusing = (name = 'gate'): RecordingGate => new RecordingGate(name, clock, { admit: ['no'], retryAfter: [7.5] });

describe('refusals', () => {
  it('reject with a RejectedError that has the label in the pipeline', async () => {
    const fn = vi.fn();
    const gates = [new RecordingGate('gate', clock), refusing()];
    const error = await pipeline(...gates)
      .execute(fn)
      .catch((e) => e);
    expect(error).toBeInstanceOf(RejectedError);
    expect(error).toMatchObject({ policy: 'gate#2', reason: 'rate_limited', retryAfterMs: 7.5 });
    expect(fn).not.toHaveBeenCalled();
  });

  it('tell the gates further out nothing about the callee', async () => {
    const outer = new RecordingGate('outer', clock);
    await pipeline(outer, refusing()).tryExecute(() => 1);
    await pipeline(outer, setting({}), refusing()).tryExecute(() => 1);
    await expect(pipeline(outer, refusing()).execute(() => 1)).rejects.toBeInstanceOf(RejectedError);
    expect(outer.verdicts).toEqual(['ignored', 'ignored', 'ignored']);
    expect(outer.permitsInUse).toBe(0);
  });

  it('are judged as a RejectedError by the classify of a gate further out', async () => {
    const classify = vi.fn(() => 'dropped' as const);
    const outer = Object.assign(new RecordingGate('outer', clock), { classify });
    for (const stack of [
      [outer, refusing()],
      [outer, setting({}), refusing()],
    ]) {
      await pipeline(...stack).tryExecute(() => 1, { key: 'k' });
      const [outcome, ctx] = classify.mock.lastCall as unknown as [{ ok: boolean; error: unknown }, Context];
      expect(outcome.ok).toBe(false);
      expect(outcome.error).toBeInstanceOf(RejectedError);
      expect(outcome.error).toMatchObject({ policy: 'gate', retryAfterMs: 7.5 });
      expect(ctx.key).toBe('k');
    }
    expect(outer.verdicts).toEqual(['dropped', 'dropped']);
  });

  it.each([
    ['outermost', () => [refusing()]],
    ['behind a gate', () => [new RecordingGate('outer', clock), refusing()]],
    ['behind a middleware', () => [setting({}), refusing()]],
    [
      'behind gates and a timeout',
      () => [new RecordingGate('outer', clock), dynamicTimeout({ limitMs: 9, maxMs: 9, clock }), refusing()],
    ],
  ] as [string, () => Policy[]][])('are a value to tryExecute: %s', async (_, stack) => {
    const rejection = { policy: 'gate', reason: 'rate_limited', retryAfterMs: 7.5 };
    const result = await pipeline(...stack()).tryExecute(() => 1);
    expect(result).toEqual({ ok: false, rejection });
    expect(JSON.stringify(result)).toBe(JSON.stringify({ ok: false, rejection }));
    expect((result as { rejection: object }).rejection).not.toBeInstanceOf(Error);
    expect(clock.waiting).toBe(0);
  });

  it('of another pipeline, thrown by the function, are the function’s own affair', async () => {
    const other = pipeline(refusing('other'));
    for (const stack of [[], [new RecordingGate('gate', clock)], [setting({}), new RecordingGate('gate', clock)]]) {
      await expect(pipeline(...stack).tryExecute(() => other.execute(() => 1))).rejects.toMatchObject({
        policy: 'other',
      });
      await expect(pipeline(...stack).tryExecute((ctx) => other.execute(() => 1, ctx))).rejects.toMatchObject({
        policy: 'other',
      });
    }
  });

  it('may be replaced by a middleware', async () => {
    const fallback: Policy = {
      name: 'fallback',
      run: <C, R>(ctx: C, next: (ctx: C) => Promise<R>) => next(ctx).catch(() => 'other' as R),
    };
    expect(await pipeline(fallback, refusing()).tryExecute(() => 'value')).toEqual({ ok: true, value: 'other' });
  });
});

describe('the verdict without a classify', () => {
  const verdictOn = async (fn: () => unknown, init: Partial<Context> = {}): Promise<unknown[]> => {
    const gates = [false, true].map((usesElapsed) => new RecordingGate('gate', clock, { usesElapsed }));
    const judging = Object.assign(new RecordingGate('judging', clock), { classify: defaultClassify });
    await pipeline(...gates, judging)
      .execute(fn, init)
      .catch(() => {});
    return [...gates, judging].flatMap(({ verdicts }) => verdicts);
  };
  const all = (verdict: string): string[] => [verdict, verdict, verdict];
  const rejection = { policy: 'x', reason: 'rate_limited', retryAfterMs: 0 } as const;

  it('is success for a value, failure for a throw, dropped for a time-out, ignored for a refusal', async () => {
    expect(await verdictOn(() => undefined)).toEqual(all('success'));
    expect(await verdictOn(async () => new Error('a value'))).toEqual(all('success'));
    for (const error of [new Error('x'), undefined, 'text']) {
      expect(await verdictOn(() => Promise.reject(error))).toEqual(all('failure'));
    }
    expect(await verdictOn(() => Promise.reject(new TimeoutError('x', 5)))).toEqual(all('dropped'));
    expect(await verdictOn(() => Promise.reject(new RejectedError(rejection)))).toEqual(all('ignored'));
  });

  it('is ignored for the caller’s abort, and failure for another error although the caller has aborted', async () => {
    const abort = async (error?: unknown): Promise<unknown[]> => {
      const caller = new AbortController();
      const own: Policy = { name: 'own', run: (_, next) => next(_).catch(() => Promise.reject(error)) };
      const gate = new RecordingGate('gate', clock);
      const call = pipeline(...(error === undefined ? [gate] : [gate, own])).execute(() => new Promise(() => {}), {
        signal: caller.signal,
      });
      caller.abort('gave up');
      await call.catch(() => {});
      return gate.verdicts;
    };
    expect(await abort()).toEqual(['ignored']);
    expect(await abort(new Error('other'))).toEqual(['failure']);
  });
});

it.each([undefined, 'fail', true])(
  'a classify that returns %s is an error that says what it may return',
  async (verdict) => {
    const gate = Object.assign(new RecordingGate('gate', clock), { classify: () => verdict as never });
    await expect(pipeline(gate).execute(() => 1)).rejects.toStrictEqual(
      new TypeError(`classify must return 'success', 'failure', 'dropped' or 'ignored', got ${verdict}`),
    );
    expect(gate.verdicts).toEqual(['success']);
  },
);

it.each(['success', 'failure', 'dropped', 'ignored'] as const)('a classify may return %s', async (verdict) => {
  const gate = Object.assign(new RecordingGate('gate', clock), { classify: () => verdict });
  expect(await pipeline(gate).execute(() => 1)).toBe(1);
  expect(gate.verdicts).toEqual([verdict]);
});
