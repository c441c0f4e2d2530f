import { type Context, noteRefusal } from '../../core/call/context.js';
import { rejectSoon } from '../../core/call/promises.js';
import { RejectedError } from '../../core/errors.js';
import type { Complete } from '../../core/options/common.js';
import { GateStep } from '../../core/pipeline/gate-step.js';
import type { Gate, Next } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { type QueueOptions, WaitQueue } from './queue.js';

/** A gate that says beforehand what it will do, and tells when it may do something else. */
export interface QueueableGate extends Gate {
  readonly clock: Clock;
  /** Whether a call like `ctx` would be admitted at `now`; reads the clock itself where that is not known. */
  hasRoom(ctx: Context, now?: number): boolean;
  /** How early its turn is among those that wait: 0, the first, to 3. */
  rankOf(ctx: Context): number;
  /** Reports a call that leaves without having asked; whether it may go on all the same. */
  reject(ctx: Context): boolean;
  /** Called after each release. */
  onRoom: (() => void) | undefined;
}

/**
 * A gate with a queue: a policy, as it waits. It is no gate to the pipeline, which acquires the permits of its gates in
 * one go.
 */
export class QueuedGate {
  readonly name: string;
  readonly clock: Clock;
  readonly #gate: QueueableGate;
  readonly #step: GateStep;
  readonly #queue: WaitQueue;

  constructor(gate: QueueableGate, options: Complete<QueueOptions>) {
    this.name = gate.name;
    this.clock = gate.clock;
    this.#gate = gate;
    this.#step = new GateStep([gate], [gate.name]);
    this.#queue = new WaitQueue(options, gate.clock, {
      hasRoom: (ctx, now) => gate.hasRoom(ctx, now),
      rankOf: (ctx) => gate.rankOf(ctx),
      enter: (ctx) => this.#step.admit(ctx) === undefined,
      exit: (ctx) => gate.release('ignored', 0, ctx),
    });
    gate.onRoom = () => this.#queue.drain();
  }

  get queued(): number {
    return this.#queue.size;
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    try {
      const queue = this.#queue;
      let now: number | undefined;
      if (queue.size > 0) {
        now = this.clock.now();
        queue.drain(now);
      }
      // No call overtakes those that wait, unless they are of a less critical tier.
      if (!queue.isBefore(ctx) && this.#gate.hasRoom(ctx, now)) return this.#step.run(ctx, next);
      if (queue.isFull && !queue.makeRoomFor(ctx)) return this.#refuse(ctx);
      // `then` is what keeps the caller's async context, whichever call ends and lets this one in.
      return queue
        .wait(ctx, now ?? this.clock.now())
        .then((entered) => (entered === undefined ? this.#refuse(ctx) : this.#step.proceed(entered, next)));
    } catch (error) {
      return rejectSoon(error);
    }
  }

  #refuse(ctx: Context): Promise<never> {
    const { name: policy, reason, captureStack } = this.#gate;
    this.#gate.reject(ctx);
    const error = new RejectedError({ policy, reason, retryAfterMs: this.#gate.retryAfterMs(ctx) }, captureStack);
    noteRefusal(ctx, error);
    return rejectSoon(error);
  }
}
