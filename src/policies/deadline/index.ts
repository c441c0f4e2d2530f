export { checkpoint, remainingMs, type Timed } from './checkpoint.js';
export {
  type DeadlineGate,
  type DeadlineOptions,
  type DeadlineSnapshot,
  type DeadlineUpdate,
  deadline,
} from './deadline.js';
export {
  type DeadlineFromOptions,
  deadlineFrom,
  deadlineHeaders,
  formatGrpcTimeout,
  parseGrpcTimeout,
} from './headers.js';
