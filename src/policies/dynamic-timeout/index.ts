export {
  type DynamicTimeout,
  type DynamicTimeoutOptions,
  type DynamicTimeoutSnapshot,
  type DynamicTimeoutUpdate,
  dynamicTimeout,
} from './dynamic-timeout.js';
