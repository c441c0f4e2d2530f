import type { Reason } from './errors.js';
import { throwLater } from './errors.js';

/** What policies tell their `observer`; `at` is clock ms. */
export type ResilienceEvent =
  /** A gate refused a call; in shadow mode, it would have. */
  | { type: 'rejected'; policy: string; at: number; reason: Reason; retryAfterMs: number; shadow: boolean }
  /** A circuit breaker began to throttle, or is done with it; in shadow mode it would have. */
  | { type: 'circuit_state'; policy: string; at: number; state: 'closed' | 'throttling'; shadow: boolean }
  /** A tier shedder began to shed, or is done with it. */
  | { type: 'shed_state'; policy: string; at: number; state: 'idle' | 'shedding' }
  /** A call was given up. */
  | { type: 'timed_out'; policy: string; at: number; timeoutMs: number };

/** Called with each event, on the call's own path: keep it short. What it throws reaches the host, not the call. */
export type Observer = (event: ResilienceEvent) => void;

/** Tells `observer` about `event`. */
export function notify(observer: Observer, event: ResilienceEvent): void {
  try {
    observer(event);
  } catch (error) {
    throwLater(error);
  }
}
