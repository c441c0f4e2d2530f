export { AbortScope } from './call/abort.js';
export { waitUntil } from './call/body.js';
export {
  type Context,
  derive,
  deriveAbortable,
  type Init,
  type Provides,
  type Tier,
} from './call/context.js';
export { onAbort } from './call/on-abort.js';
export { isRejected, isTimeout, type Reason, RejectedError, type Rejection, TimeoutError } from './errors.js';
export type { Observer, ResilienceEvent } from './events.js';
export { type KeyedGate, type KeyedOptions, keyed } from './gates/keyed.js';
export type { Random } from './numbers/random.js';
export type { HeaderSource } from './options/headers.js';
export { runGate } from './pipeline/gate-step.js';
export { type Pipeline, pipeline, type Result } from './pipeline/pipeline.js';
export { type WorkPermitsOptions, workPermits } from './pipeline/work-permits.js';
export type {
  Classify,
  CommonOptions,
  Gate,
  GateOptions,
  Mode,
  Next,
  Outcome,
  PermitHolder,
  Policy,
  ReleaseDetails,
  Verdict,
  WorkPermits,
} from './policy.js';
export {
  type Clock,
  type HostClockOptions,
  hostClock,
  systemClock,
  type TimerHandle,
  type TimerOptions,
} from './time/clock.js';
export { defaultClassify } from './verdict.js';
