import { inspect } from 'node:util';
import { circuitBreaker, isRejected, isTimeout, pipeline, RejectedError, TimeoutError } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { RecordingGate } from '../simulation/recording-gate.js';

const REJECTION = { policy: 'breaker', reason: 'circuit_open', retryAfterMs: 12.3 } as const;

/** The errors of another copy of the library, as an application has that loads it both as ESM and as CommonJS. */
async function otherCopy(): Promise<typeof import('../../src/core/errors.js')> {
  vi.resetModules();
  return import('../../src/core/errors.js');
}

describe.each([false, true])('RejectedError, captureStack %s', (captureStack) => {
  let error: RejectedError;
  beforeEach(() => {
    error = new RejectedError(REJECTION, captureStack);
  });

  it('is an Error that says who refused, why, and when to come back', () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(RejectedError);
    expect(error).toMatchObject(REJECTION);
    expect(error.code).toBe('EVENKEEL_REJECTED');
    expect(error.name).toBe('RejectedError');
    expect(error.message).toBe('breaker refused the call: circuit_open, try again in 13 ms');
    expect(String(error)).toBe(`RejectedError: ${error.message}`);
  });

  it('says nothing of coming back when there is no advice', () => {
    for (const retryAfterMs of [0, Infinity]) {
      const { message } = new RejectedError({ ...REJECTION, retryAfterMs }, captureStack);
      expect(message).toBe('breaker refused the call: circuit_open');
    }
  });

  it('has a message that can be written to again and again, and be put back', () => {
    error.message = 'once';
    error.message = 'twice';
    expect(error.message).toBe('twice');
    expect(Reflect.deleteProperty(error, 'message')).toBe(true);
    expect(error.message).toBe('breaker refused the call: circuit_open, try again in 13 ms');
  });

  it('is readable in a log', () => {
    expect(JSON.parse(JSON.stringify(error))).toMatchObject(REJECTION);
    const text = inspect(error);
    expect(text).toContain('RejectedError: breaker refused the call: circuit_open');
    expect(text).toContain("policy: 'breaker'");
    expect(text).toMatch(/retryAfterMs: 12/);
  });

  it('has a stack of its own, without which hosts print nothing where nobody catches it', () => {
    expect(Object.hasOwn(error, 'stack')).toBe(true);
    expect(error.stack).toMatch(/^RejectedError: breaker refused the call: circuit_open/);
  });

  it('has a stack trace only when asked for', () => {
    expect(error.stack.includes('errors.test.ts')).toBe(captureStack);
  });
});

describe('refusals of a gate', () => {
  it.each([false, true])('carry a stack trace when the gate has captureStack: %s', async (captureStack) => {
    const gate = new RecordingGate('gate', manualClock(), { admit: ['no'], captureStack });
    for (const nested of [false, true]) {
      const policy = nested ? { name: 'nested', run: gate.run.bind(gate) as typeof gate.run } : gate;
      const error = await pipeline(policy)
        .execute(() => 1)
        .catch((e) => e);
      expect(error).toBeInstanceOf(RejectedError);
      expect(error.stack.includes('gate-step.ts')).toBe(captureStack);
    }
  });

  it('carry one when a gate of the library is made with captureStack', () => {
    expect(circuitBreaker().captureStack).toBe(false);
    expect(circuitBreaker({ captureStack: true }).captureStack).toBe(true);
  });
});

describe('TimeoutError', () => {
  it('says who gave up and after what time', () => {
    const error = new TimeoutError('timeout', 250.04);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'TimeoutError',
      code: 'EVENKEEL_TIMEOUT',
      policy: 'timeout',
      timeoutMs: 250.04,
    });
    expect(error.message).toBe('timeout gave up after 250 ms');
    expect(error.stack).toContain('errors.test.ts');
  });
});

describe('isRejected and isTimeout', () => {
  it('know the errors of all copies and versions of the library by a mark', () => {
    const marked = (name: string) => ({ [Symbol.for(name)]: true });
    expect(isRejected(marked('evenkeel.rejected'))).toBe(true);
    expect(isTimeout(marked('evenkeel.timeout'))).toBe(true);
  });

  it('know the errors of another copy of the library', async () => {
    const copy = await otherCopy();
    expect(copy.RejectedError).not.toBe(RejectedError);
    expect(new copy.RejectedError(REJECTION)).not.toBeInstanceOf(RejectedError);
    expect(isRejected(new copy.RejectedError(REJECTION))).toBe(true);
    expect(copy.isRejected(new RejectedError(REJECTION, true))).toBe(true);
    expect(isTimeout(new copy.TimeoutError('t', 5))).toBe(true);
    expect(copy.isTimeout(new TimeoutError('t', 5))).toBe(true);
  });

  it('tell the two apart, and from everything else', () => {
    const rejected = new RejectedError(REJECTION);
    const timeout = new TimeoutError('t', 5);
    expect([isRejected(rejected), isTimeout(rejected)]).toEqual([true, false]);
    expect([isRejected(timeout), isTimeout(timeout)]).toEqual([false, true]);
    const others = [
      undefined,
      null,
      0,
      'EVENKEEL_REJECTED',
      {},
      new Error('x'),
      () => {},
      { ...REJECTION, code: 'EVENKEEL_REJECTED' },
    ];
    for (const other of others) expect([isRejected(other), isTimeout(other)]).toEqual([false, false]);
  });
});
