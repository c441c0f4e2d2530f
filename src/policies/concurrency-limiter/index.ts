export {
  type ConcurrencyLimiter,
  type ConcurrencyLimiterOptions,
  type ConcurrencyLimiterSnapshot,
  type ConcurrencyLimiterUpdate,
  concurrencyLimiter,
  type QueuedConcurrencyLimiter,
  type QueuedConcurrencyLimiterSnapshot,
} from './concurrency-limiter.js';
export { type LoadSources, type ProcessLoadOptions, processLoad } from './process-load.js';
export type { QueueOptions } from './queue.js';
