/** Why a gate refused. */
export type Reason =
  | 'circuit_open'
  | 'rate_limited'
  | 'concurrency_limited'
  | 'tier_shed'
  | 'too_old'
  | 'deadline_exceeded'
  | 'retry_exhausted'
  | 'no_instance';

/** A refusal as plain data: who refused, why, and when to come back. */
export type Rejection = {
  /** The refusing policy's name in its pipeline. */
  policy: string;
  reason: Reason;
  /** Wait this long before the next try, ms; 0 = at once, or no advice. */
  retryAfterMs: number;
};

// `Symbol.for`: an application may hold two copies of the library (ESM and CommonJS, two versions), where `instanceof`
// fails.
const REJECTED = Symbol.for('evenkeel.rejected');
const TIMEOUT = Symbol.for('evenkeel.timeout');

const explain = ({ policy, reason, retryAfterMs }: Rejection): string =>
  `${policy} refused the call: ${reason}${retryAfterMs > 0 && retryAfterMs < Infinity ? `, try again in ${Math.ceil(retryAfterMs)} ms` : ''}`;

/**
 * A gate refused the call and the function was not called. Recognise it by {@link isRejected} or by `code`.
 *
 * It has no stack trace unless the gate was made with `captureStack: true`: taking one costs 2 µs against 8 ns without,
 * and overload is when refusals have to be cheap.
 */
export class RejectedError extends Error implements Rejection {
  declare readonly policy: string;
  declare readonly reason: Reason;
  declare readonly retryAfterMs: number;
  declare stack: string;

  // biome-ignore lint/correctness/noUnreachableSuper: `super` is what takes the trace
  constructor(rejection: Rejection, captureStack = false) {
    let made: RejectedError;
    if (captureStack) {
      super(explain(rejection));
      made = this;
    } else {
      made = Object.create(new.target.prototype);
    }
    // An own `stack` is what makes hosts print it where nobody catches it.
    const stack = captureStack
      ? made.stack
      : `RejectedError: ${rejection.policy} refused the call: ${rejection.reason}`;
    // biome-ignore lint/correctness/noConstructorReturn: an object that `super` has not made
    return Object.assign(made, rejection, { stack });
  }

  get code(): 'EVENKEEL_REJECTED' {
    return 'EVENKEEL_REJECTED';
  }

  override get name(): string {
    return 'RejectedError';
  }

  override get message(): string {
    return explain(this);
  }

  // Loggers and wrappers write to it.
  override set message(value: string) {
    Object.defineProperty(this, 'message', { value, writable: true, configurable: true });
  }

  get [REJECTED](): true {
    return true;
  }
}

/**
 * The call was given up after `timeoutMs`. Recognise it by {@link isTimeout} or by `code`; whether the callee did the
 * work is not known.
 */
export class TimeoutError extends Error {
  readonly code = 'EVENKEEL_TIMEOUT';
  override readonly name = 'TimeoutError';
  /** The time limit that applied, ms. */
  readonly timeoutMs: number;
  /** The name of the policy that gave up. */
  readonly policy: string;

  constructor(policy: string, timeoutMs: number) {
    super(`${policy} gave up after ${Math.round(timeoutMs * 10) / 10} ms`);
    this.policy = policy;
    this.timeoutMs = timeoutMs;
  }

  get [TIMEOUT](): true {
    return true;
  }
}

const branded = (error: unknown, brand: symbol): boolean =>
  typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[brand] === true;

/** Whether `error` is a refusal by any copy of this library. */
export const isRejected = (error: unknown): error is RejectedError => branded(error, REJECTED);

/** Whether `error` is a time-out by any copy of this library. */
export const isTimeout = (error: unknown): error is TimeoutError => branded(error, TIMEOUT);

/**
 * Throws `error` where only the host sees it, as `EventTarget` does with a listener's error: a broken observer must be
 * noticed, and must not change what happens to the call.
 */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
