export * from './circuit-breaker/index.js';
export * from './concurrency-limiter/index.js';
export * from './core/index.js';
export * from './deadline/index.js';
export * from './dynamic-timeout/index.js';
export * from './priority/index.js';
export * from './rate-limiter/index.js';
export * from './retry/index.js';
