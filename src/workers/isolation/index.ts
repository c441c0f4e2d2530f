export type { SetCallOptions } from './call.js';
export { isMessageLost, type LossReason, MessageLostError } from './errors.js';
export { type Handler, serve } from './serve.js';
export { createSets, type Sets, type SetsOptions } from './sets.js';
export type { SetSnapshot } from './snapshot.js';
