/** A gate that throws costs the call its outcome, and nobody a permit. */
import { dynamicTimeout, pipeline, type Verdict } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type GateScript, RecordingGate } from '../../simulation/recording-gate.js';

let clock = manualClock();
beforeEach(() => {
  clock = manualClock();
});
const fail = (): Promise<never> => Promise.reject(new Error('of the function'));

describe.each([true, false])('usesElapsed %s', (usesElapsed) => {
  const stackOf = (script: Partial<GateScript>) =>
    [
      new RecordingGate('outer', clock, { usesElapsed }),
      new RecordingGate('broken', clock, { usesElapsed, ...script }),
      new RecordingGate('inner', clock, { usesElapsed }),
    ] as const;

  it.each<[string, Partial<GateScript>]>([
    ['tryAcquire', { admit: ['throw'] }],
    ['retryAfterMs', { admit: ['no'], retryAfter: ['throw'] }],
  ])('%s: rejects with its error, and those further in are not asked', async (method, script) => {
    for (const by of ['execute', 'tryExecute'] as const) {
      const [outer, broken, inner] = stackOf(script);
      const fn = vi.fn();
      await expect(pipeline(outer, broken, inner)[by](fn)).rejects.toMatchObject({ message: `broken ${method} 0` });
      expect(fn).not.toHaveBeenCalled();
      expect([outer.verdicts, broken.verdicts, inner.log]).toEqual([['failure'], [], []]);
      expect([outer.permitsInUse, broken.permitsInUse]).toEqual([0, 0]);
    }
  });

  it.each<[string, Partial<GateScript>]>([
    ['release', { release: ['throw'] }],
    ['classify', { classify: ['throw'] }],
    ['classify', { classify: ['throw'], release: ['throw'] }],
  ])('%s: its error is the outcome for those further out, whatever the function did', async (method, script) => {
    for (const [fn, verdict] of [
      [() => 1, 'success'],
      [fail, 'failure'],
    ] as const) {
      const [outer, broken, inner] = stackOf(script);
      await expect(pipeline(outer, broken, inner).execute(fn)).rejects.toMatchObject({ message: `broken ${method} 0` });
      expect([outer.verdicts, broken.verdicts, inner.verdicts]).toEqual([['failure'], [verdict], [verdict]]);
      expect([outer, broken, inner].map(({ permitsInUse }) => permitsInUse)).toEqual([0, 0, 0]);
    }
  });
});

it('a classify of a time limit that throws is the outcome too', async () => {
  const gate = new RecordingGate('gate', clock);
  const classify = (): Verdict => {
    throw new Error('broken classify');
  };
  const limit = dynamicTimeout({ limitMs: 9, maxMs: 9, clock, classify });
  await expect(pipeline(gate, limit).execute(() => 1)).rejects.toMatchObject({ message: 'broken classify' });
  expect(gate.verdicts).toEqual(['failure']);
  expect(clock.waiting).toBe(0);
});

it('a timer that the clock has not forgotten ends no call, and nobody is told of it', async () => {
  const observer = vi.fn();
  const { now, setTimer } = clock;
  const forgetsNone = { now: now.bind(clock), setTimer: setTimer.bind(clock), clearTimer: () => {} };
  const limit = dynamicTimeout({ limitMs: 9, maxMs: 9, clock: forgetsNone, observer });
  expect(await pipeline(limit).execute(() => 1)).toBe(1);
  await clock.advance(20);
  expect(observer).not.toHaveBeenCalled();
});
