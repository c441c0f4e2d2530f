import type { Clock, TimerHandle } from '../../core/time/clock.js';
import { timerAt } from '../../core/time/timers.js';
import type { Instance } from './instance.js';

/** Resolves when `instance` is healthy; rejects, or resolves with `false`, when it is not. Honour the signal. */
export type Probe<T> = (instance: T, options: { signal: AbortSignal }) => unknown;

/** Told how a probe ended. */
export type OnProbed<T> = (instance: Instance<T>, ok: boolean, error: unknown) => void;

/** Why the signal of a probe aborts that takes too long. */
const timedOut = (intervalMs: number): Error => new Error(`the probe took longer than ${intervalMs} ms`);

/** Calls the user's `probe` for each instance that is not up, again and again; none waits for another. */
export class OwnProbes<T> {
  readonly #probe: Probe<T>;
  readonly #clock: Clock;
  readonly #intervalMs: () => number;
  readonly #onProbed: OnProbed<T>;
  /** How to stop the one of each instance. */
  readonly #stops = new Map<Instance<T>, () => void>();

  constructor(probe: Probe<T>, clock: Clock, intervalMs: () => number, onProbed: OnProbed<T>) {
    this.#probe = probe;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#onProbed = onProbed;
  }

  /** Probes the instance after each interval until it is stopped. */
  start(instance: Instance<T>): void {
    if (this.#stops.has(instance)) return;
    const timer = this.#timerIn(this.#intervalMs(), () => this.#run(instance));
    this.#stops.set(instance, () => this.#clock.clearTimer(timer));
  }

  stop(instance: Instance<T>): void {
    const stop = this.#stops.get(instance);
    this.#stops.delete(instance);
    stop?.();
  }

  close(): void {
    for (const instance of [...this.#stops.keys()]) this.stop(instance);
  }

  /** No caller waits for a probe. */
  #timerIn(ms: number, fn: () => void): TimerHandle {
    return timerAt(this.#clock, fn, this.#clock.now() + ms, false);
  }

  #run(instance: Instance<T>): void {
    const controller = new AbortController();
    const intervalMs = this.#intervalMs();
    let open = true;
    const end = (): boolean => {
      const first = open;
      open = false;
      this.#clock.clearTimer(timer);
      return first;
    };
    const finish = (ok: boolean, error: unknown): void => {
      if (!end()) return;
      this.#stops.delete(instance);
      // Before it is told: that may stop the instance's probes.
      this.start(instance);
      this.#onProbed(instance, ok, error);
    };
    const timer = this.#timerIn(intervalMs, () => {
      const reason = timedOut(intervalMs);
      finish(false, reason);
      controller.abort(reason);
    });
    this.#stops.set(instance, () => {
      end();
      controller.abort();
    });
    new Promise((resolve) => resolve(this.#probe(instance.value, { signal: controller.signal }))).then(
      (value) => finish(value !== false, undefined),
      (error: unknown) => finish(false, error),
    );
  }
}
