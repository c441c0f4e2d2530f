import type { Instance } from './instance.js';

/** Chooses by weight. */
export interface Choice<T> {
  /** The instance for the next call; undefined = none has a weight. */
  next(now: number): Instance<T> | undefined;
  /** Gives it this weight from now on; 0 = never chosen. */
  set(instance: Instance<T>, weight: number): void;
}
