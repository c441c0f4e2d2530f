/**
 * Says whether one more try may be sent. A budget is shared: one object can serve many policies and pipelines, and each
 * tells it of its own calls.
 */
export interface RetryBudget {
  /** A call begins. Called once a call, before its first try. */
  onRequest(): void;
  /** The first try of a call has ended; calls that tell nothing of the callee (a refusal of ours, an abort) say nothing. */
  onFirstDone?(ok: boolean): void;
  /** Takes leave for one retry; `false` = none left. Each `true` is answered by one `onRetryDone`. */
  tryRetry(): boolean;
  /** A retry that was allowed has ended. */
  onRetryDone(ok: boolean): void;
}
