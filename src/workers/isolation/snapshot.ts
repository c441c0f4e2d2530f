/** Plain data on one set. Each call is in just one of `queued`, `inWork` and the counts of outcomes. */
export interface SetSnapshot {
  /** Calls that wait for a worker. */
  queued: number;
  /** Calls that a worker has taken. */
  inWork: number;
  /** How long the oldest of these has been here, ms; 0 = there is none. */
  oldestAgeMs: number;
  /** Calls that were answered. */
  done: number;
  /** Calls whose handler threw. */
  failed: number;
  /** Calls that were refused because the set was full or closed. */
  refused: number;
  /** Calls that had waited too long for a worker. */
  droppedByAge: number;
  /** Calls whose message killed its worker too often. */
  setAside: number;
  /** Calls that had no answer when the set was closed. */
  workerLost: number;
  /** Calls that their caller gave up, by the signal or by `timeoutMs`. */
  abandoned: number;
  /** Workers that were started in place of dead ones. */
  restarts: number;
  /** Workers that are up. */
  workers: number;
}

/** Counts of a set that begins. */
export const newCounts = (): Omit<SetSnapshot, 'queued' | 'inWork' | 'oldestAgeMs' | 'workers'> => ({
  done: 0,
  failed: 0,
  refused: 0,
  droppedByAge: 0,
  setAside: 0,
  workerLost: 0,
  abandoned: 0,
  restarts: 0,
});
