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
  /** A balancer's instance was masked, began to recover, or is up again. */
  | { type: 'instance_state'; policy: string; at: number; instance: unknown; state: 'up' | 'masked' | 'recovering' }
  /** A balancer's own probe has ended, with `error` if it threw. */
  | { type: 'instance_probed'; policy: string; at: number; instance: unknown; ok: boolean; error: unknown }
  /** A call was given up. */
  | { type: 'timed_out'; policy: string; at: number; timeoutMs: number }
  /** Work went on `abandonedMs` after its caller was answered: its permit was written off. */
  | { type: 'abandoned'; policy: string; at: number; abandonedMs: number }
  /** A try failed, and another follows after `delayMs`; `attempt` is that one's. */
  | { type: 'retry'; policy: string; at: number; attempt: number; delayMs: number }
  /** A try failed, and the budget did not allow another. */
  | { type: 'retry_exhausted'; policy: string; at: number; attempt: number }
  /** A retry window has changed; `window` is its new size. */
  | { type: 'retry_window'; policy: string; at: number; window: number; change: 'grown' | 'backed_off' }
  /** A first attempt was late, by `afterMs`, and a second starts. */
  | { type: 'hedge'; policy: string; at: number; afterMs: number }
  /** A call goes on to the other site. */
  | { type: 'failover'; policy: string; at: number }
  /** Calls timed out at both sites: all are refused for `freezeMs`. */
  | { type: 'failover_frozen'; policy: string; at: number; freezeMs: number }
  /** A call failed, and is answered by the fallback's function. */
  | { type: 'fallback'; policy: string; at: number }
  /** A worker of a set has died, of `error` if it threw that; another takes its place. */
  | {
      type: 'worker_exit';
      policy: string;
      at: number;
      set: string;
      end: 'exit' | 'timeout' | 'start_timeout';
      error: unknown;
    }
  /** A message has killed `kills` workers of its set, and is not tried again. */
  | { type: 'message_set_aside'; policy: string; at: number; set: string; kills: number }
  /** An experiment of `chaos` began or has ended. */
  | { type: 'chaos_state'; policy: string; at: number; running: boolean; endedBy: string | undefined }
  /** A call met a fault of an experiment. */
  | { type: 'fault_injected'; policy: string; at: number; fault: 'latency' | 'error' | 'hang' | 'abort' };

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
