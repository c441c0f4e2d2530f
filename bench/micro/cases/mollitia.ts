import { Circuit, type CircuitFunction, type Module, SlidingCountBreaker } from 'mollitia';

/** Longer than any run: its breaker stays open. */
const NEVER_MS = 2 ** 31 - 1;

/** Its own name for a pipeline. */
export const mollitia = (func: CircuitFunction, ...modules: Module[]): Circuit =>
  new Circuit({ func, options: { modules } });

/** By its defaults. The one that counts by time instead takes ten times as long, and longer the more calls there are. */
export const mollitiaBreaker = (): Module => new SlidingCountBreaker({ openStateDelay: NEVER_MS });
