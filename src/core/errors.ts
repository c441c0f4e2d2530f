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
 * It is an `Error` by its prototype, made without the host's constructor: overload is when refusals have to be cheap,
 * and that costs a third of a microsecond even without a stack trace, which is there only if the gate was made with
 * `captureStack: true`. So `util.types.isNativeError` says no, and `structuredClone` copies its fields without its
 * name.
 */
export class RejectedError implements Error, Rejection {
  readonly policy: string;
  readonly reason: Reason;
  readonly retryAfterMs: number;
  declare cause?: unknown;
  stack: string;

  constructor({ policy, reason, retryAfterMs }: Rejection, captureStack = false) {
    this.policy = policy;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    // An own `stack` is what makes hosts print it where no code catches it.
    this.stack = RejectedError.textOf(policy, reason);
    if (captureStack) this.stack = new Error(this.message).stack?.replace(/^Error/, this.name) ?? this.stack;
  }

  private static policy: string | undefined;
  private static reason: string | undefined;
  private static text = '';

  /** In overload one gate refuses call after call: its text is made once. */
  private static textOf(policy: string, reason: string): string {
    if (policy !== RejectedError.policy || reason !== RejectedError.reason) {
      RejectedError.policy = policy;
      RejectedError.reason = reason;
      RejectedError.text = `RejectedError: ${policy} refused the call: ${reason}`;
    }
    return RejectedError.text;
  }

  get code(): 'EVENKEEL_REJECTED' {
    return 'EVENKEEL_REJECTED';
  }

  get name(): string {
    return 'RejectedError';
  }

  get message(): string {
    return explain(this);
  }

  // Loggers and wrappers write to it.
  set message(value: string) {
    Object.defineProperty(this, 'message', { value, writable: true, configurable: true });
  }

  get [REJECTED](): true {
    return true;
  }

  static {
    Object.setPrototypeOf(RejectedError, Error);
    Object.setPrototypeOf(RejectedError.prototype, Error.prototype);
  }
}

/**
 * The call was given up after `timeoutMs`. Recognise it by {@link isTimeout} or by `code`; whether the downstream did
 * the work is not known.
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
