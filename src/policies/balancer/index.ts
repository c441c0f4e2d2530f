export { type Balancer, balancer } from './balancer.js';
export type { InstanceState } from './health.js';
export type { BalancerOptions, BalancerUpdate } from './options.js';
export type { Probe } from './own-probes.js';
export type { BalancedContext } from './policy.js';
export type { BalancerSnapshot, InstanceSnapshot } from './pool.js';
