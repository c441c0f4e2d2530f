// `Symbol.for`, as an application may hold two copies of the library.
const INJECTED = Symbol.for('evenkeel.injected');

/** A failure that {@link chaos} has made up. Recognise it by {@link isInjected} or by `code`. */
export class InjectedError extends Error {
  readonly code = 'EVENKEEL_INJECTED';
  override readonly name = 'InjectedError';
  /** The name of the policy that made it. */
  readonly policy: string;

  constructor(policy: string, fault: 'error' | 'abort') {
    super(`${policy} ${fault === 'error' ? 'failed the call' : 'broke the call off'}, as an experiment`);
    this.policy = policy;
  }

  get [INJECTED](): true {
    return true;
  }
}

/** Whether `error` was made up by any copy of this library's {@link chaos}. */
export const isInjected = (error: unknown): error is InjectedError =>
  typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[INJECTED] === true;
