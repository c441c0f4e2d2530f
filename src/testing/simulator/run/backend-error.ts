import type { BackendError } from '../scenario/scenario.js';
import { withoutStack } from './without-stack.js';

const BACKEND_ERROR = Symbol.for('evenkeel.testing.backendError');

const TEXT: Record<BackendError['kind'], string> = {
  failed: 'failed',
  refused: 'refused the call',
  queue_full: 'refused the call: queue full',
  unreachable: 'cannot be reached',
};

class SimulatedError extends Error implements BackendError {
  override readonly name = 'BackendError';

  constructor(
    readonly kind: BackendError['kind'],
    readonly backend: string,
    readonly reason: string | undefined,
    readonly retryAfterMs: number,
  ) {
    super(`${backend} ${TEXT[kind]}${kind === 'refused' ? `: ${reason}` : ''}`);
  }

  get [BACKEND_ERROR](): true {
    return true;
  }
}

export function backendError(
  kind: BackendError['kind'],
  backend: string,
  reason?: string,
  retryAfterMs = 0,
): BackendError {
  return withoutStack(() => new SimulatedError(kind, backend, reason, retryAfterMs));
}

/** Whether `error` is what a simulated back-end answered: for a `classify` or `retryOn` in a scenario. */
export const isBackendError = (error: unknown): error is BackendError =>
  typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BACKEND_ERROR] === true;
