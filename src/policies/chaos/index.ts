export { type Chaos, type ChaosEnd, type ChaosOptions, type ChaosSnapshot, chaos } from './chaos.js';
export { InjectedError, isInjected } from './error.js';
export type { Fault, FaultConditions, FaultKind } from './fault.js';
export type { SteadyState } from './steady-state.js';
