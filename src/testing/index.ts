export { type ManualClock, manualClock } from './clock.js';
export {
  type CallEvent,
  type CallOutcome,
  type ClockStep,
  clockSteps,
  type EventTraceOptions,
  eventTraces,
  type FastCheckModule,
  loadShapes,
  type OutcomeStreamOptions,
  outcomeStreams,
} from './properties/arbitraries.js';
export {
  boundedAmplification,
  neverMoreThan,
  type PropertyOptions,
  permitsConserved,
  recoversWithin,
} from './properties/properties.js';
export type { PipelineMaker } from './properties/trace-run.js';
export { seededRandom } from './random.js';
export type { Bound, Expectations, Expected, ExpectedFigures } from './simulator/report/expectations.js';
export type { BackendFigures, Figures, Interval, Stretch } from './simulator/report/figures.js';
export { compareReports } from './simulator/report/make-report.js';
export type { Comparison, Report } from './simulator/report/report.js';
export { isBackendError } from './simulator/run/backend-error.js';
export { type Progress, type SimulateOptions, simulate } from './simulator/run/simulate.js';
export type {
  Backend,
  BackendChange,
  BackendEnv,
  BackendError,
  BackendState,
  BurstLoad,
  CallInfo,
  Client,
  ClientEnv,
  ClosedLoad,
  Duration,
  Env,
  Load,
  LoadOptions,
  OpenLoad,
  RateChange,
  Scenario,
  Service,
  SimulatedPipeline,
} from './simulator/scenario/scenario.js';
