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
} as const;
