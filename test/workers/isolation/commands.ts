/** What the worker of these tests can be told to do. */
export const Command = {
  ECHO: 0,
  EXIT: 1,
  LOOP: 2,
  THROW: 3,
  LATER: 4,
  NONSENSE: 5,
  CRASH_LATER: 6,
  HANG: 7,
  LONG: 8,
  BUSY: 9,
  THROW_NOTHING: 10,
  NEVER: 11,
  /** Blocks until the gate of this number is open. */
  WAIT: 12,
  COUNT: 13,
  THROW_ODD: 14,
  SERVE_AGAIN: 15,
  EMPTY: 16,
  DETACHED: 17,
  SHARED: 18,
} as const;

/** Words of the memory that test and workers share, beside the gates: how often WAIT has begun, how often COUNT ran, and how
 * many starts fail or hang. */
export const BEGUN = 28;
export const FAILING_STARTS = 29;
export const COUNTER = 30;
export const HANGING_STARTS = 31;
