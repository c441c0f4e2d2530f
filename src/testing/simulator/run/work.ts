import type { Context, Init, Tier } from '../../../core/call/context.js';
import type { CallInfo } from '../scenario/scenario.js';
import type { Waiting } from './work-queue.js';

/** A call on the wire. */
export interface Wire {
  readonly tier: Tier;
  readonly key: string | undefined;
  readonly cost: number;
  /** By the clock of the policies. */
  readonly deadline: number;
}

/** How a call is answered: once, or never; undefined = it succeeded. */
export type Answer = (error: unknown) => void;

type Mutable<T> = { -readonly [F in keyof T]: T[F] };

/** What is said of a call, where it is not the default. */
export function callInit({ tier, key, cost }: Pick<CallInfo, 'tier' | 'key' | 'cost'>): Mutable<Init<Context>> {
  const init: Mutable<Init<Context>> = {};
  if (tier !== 3) init.tier = tier;
  if (key !== undefined) init.key = key;
  if (cost !== 1) init.cost = cost;
  return init;
}

/** A call as the server sees it. */
export class Work implements Waiting {
  dropped = false;
  /** Whether its caller has given up. */
  gone = false;
  /** Whether the work itself has begun: its pipeline has let it pass. */
  begun = false;
  answered = false;
  /** Stops the work, while there is something to stop. */
  stop: ((error: unknown) => void) | undefined;

  constructor(
    readonly wire: Wire,
    /** Undefined once the caller has gone, of whom the queued work must keep nothing alive. */
    public answer: Answer | undefined,
    readonly receivedMs: number,
    /** Aborts with the caller, where callers cancel. */
    readonly controller: AbortController | undefined,
  ) {}
}
