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
} from './arbitraries.js';
export { isBackendError } from './backend-error.js';
export { type ManualClock, manualClock } from './clock.js';
export type { Bound, Expectations, Expected, ExpectedFigures } from './expectations.js';
export type { BackendFigures, Figures, Interval, Stretch } from './figures.js';
export { compareReports } from './make-report.js';
export {
  boundedAmplification,
  neverMoreThan,
  type PropertyOptions,
  permitsConserved,
  recoversWithin,
} from './properties.js';
export { seededRandom } from './random.js';
export type { Comparison, Report } from './report.js';
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
} from './scenario.js';
export { type Progress, type SimulateOptions, simulate } from './simulate.js';
export type { PipelineMaker } from './trace-run.js';
