/** When all calls are refused for a while. */
export interface FreezeSettings {
  freezeMs: number;
  freezeAfter: number;
}

/** Freezes once `freezeAfter` calls in a row have timed out at both sites. */
export class Freeze {
  #until = -Infinity;
  /** Calls in a row that timed out. */
  #timedOut = 0;

  constructor(public settings: FreezeSettings) {}

  /** How much longer it lasts, ms; 0 = not frozen. */
  leftMs(now: number): number {
    const { freezeMs } = this.settings;
    // A clock that steps back must not make it longer, nor may one that returns NaN.
    if (this.#until - now > freezeMs) this.#until = now + freezeMs;
    return Math.max(0, this.#until - now) || 0;
  }

  /** A call did not time out: the count begins again. */
  reset(): void {
    this.#timedOut = 0;
  }

  /** A call that began at `startedAt` has timed out; returns whether that froze. */
  timedOut(startedAt: number, now: number): boolean {
    const { freezeMs, freezeAfter } = this.settings;
    // A call that began before the freeze ended is about the time before it: calls under way must not prolong it.
    if (freezeMs === 0 || startedAt < this.#until || ++this.#timedOut < freezeAfter) return false;
    this.#timedOut = 0;
    this.#until = now + freezeMs;
    return true;
  }
}
