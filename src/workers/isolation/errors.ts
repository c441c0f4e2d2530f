// `Symbol.for`: see core/errors.ts.
const LOST = Symbol.for('evenkeel.messageLost');

/** Why a message got no answer: it killed too many workers, or there was no worker for it. */
export type LossReason = 'set_aside' | 'worker_lost';

/**
 * A message that a set had accepted got no answer. Recognise it by {@link isMessageLost} or by `code`. Whether the
 * work, or a part of it, was done is not known.
 */
export class MessageLostError extends Error {
  readonly code = 'EVENKEEL_MESSAGE_LOST';
  override readonly name = 'MessageLostError';
  /** `set_aside`: it killed its worker `kills` times; `worker_lost`: its set was closed, or
   * its workers do not start: see `cause`. */
  readonly reason: LossReason;
  /** The set that it was in. */
  readonly set: string;
  /** How many workers it has killed, by a crash or by taking too long. */
  readonly kills: number;
  readonly [LOST] = true;

  constructor(set: string, reason: LossReason, kills: number, cause?: unknown) {
    const why =
      reason === 'set_aside'
        ? `it killed its worker ${kills} times, by a crash or by taking too long, and was set aside`
        : cause === undefined
          ? 'the sets were closed before it was answered'
          : `no worker of the set starts: ${String(cause)}`;
    super(`set ${set} has no answer to the message: ${why}`, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.set = set;
    this.kills = kills;
  }
}

/** Whether `error` is a {@link MessageLostError}, also of another copy of the library. */
export function isMessageLost(error: unknown): error is MessageLostError {
  return typeof error === 'object' && error !== null && LOST in error;
}
