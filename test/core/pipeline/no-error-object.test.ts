/** A refusal that nobody has to see as an error is none: making one is most of what it costs. */
import { defaultClassify, pipeline, type Rejection } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { expect, it, vi } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';

const made = vi.hoisted(() => ({ errors: 0 }));
vi.mock('../../../src/core/errors.js', async (original) => {
  const actual = await original<typeof import('../../../src/core/errors.js')>();
  class Counted extends actual.RejectedError {
    constructor(rejection: Rejection, captureStack?: boolean) {
      super(rejection, captureStack);
      made.errors++;
    }
  }
  return { ...actual, RejectedError: Counted };
});

const clock = manualClock();

it('tryExecute makes no error object when the outermost gates refuse', async () => {
  const trace = vi.spyOn(Error, 'captureStackTrace');
  // Its own refusals are not its to judge.
  const judging = Object.assign(new RecordingGate('b', clock, { admit: ['no'] }), { classify: defaultClassify });
  const policies = pipeline(new RecordingGate('a', clock), judging, new RecordingGate('c', clock));
  await policies.tryExecute(() => 1);
  expect(made.errors).toBe(0);
  // The same does make one where it is thrown: the test can tell.
  await policies.execute(() => 1).catch(() => {});
  expect(made.errors).toBe(1);
  expect(trace).not.toHaveBeenCalled();
});
