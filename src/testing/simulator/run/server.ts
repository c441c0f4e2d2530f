import { abortableOf, type Context, type Init } from '../../../core/call/context.js';
import { isRejected } from '../../../core/errors.js';
import type { Random } from '../../../core/numbers/random.js';
import type { ServerPlan, ServerState } from '../scenario/plan.js';
import type { BackendError, CallInfo, SimulatedPipeline } from '../scenario/scenario.js';
import { backendError } from './backend-error.js';
import { isMistake, ServerTally } from './meter.js';
import type { Timeline } from './timeline.js';
import { type Answer, callInit, type Wire, Work } from './work.js';
import { WorkQueue } from './work-queue.js';

/** What the work asks for when its own time is over. */
export interface Downstream {
  call(init: Init<Context>): Promise<unknown>;
}

/** A simulated back-end: a queue, workers, and the pipeline around their work. */
export class Server {
  readonly name: string;
  /** Set once, before the first call: servers and those who call them know each other. */
  pipeline: SimulatedPipeline | undefined;
  calls: readonly Downstream[] = [];
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #refusalTimeMs: number;
  readonly #stopAt: (mistake: unknown) => void;
  #state: ServerState;
  readonly #queue = new WorkQueue<Work>();
  readonly #working = new Set<Work>();
  #tally = new ServerTally();
  #accountedMs = 0;

  constructor(plan: ServerPlan, timeline: Timeline, random: Random, stopAt: (mistake: unknown) => void) {
    this.name = plan.name;
    this.#timeline = timeline;
    this.#random = random;
    this.#refusalTimeMs = plan.refusalTimeMs;
    this.#stopAt = stopAt;
    this.#state = plan.state;
    for (const { atMs, changes } of plan.schedule) timeline.at(atMs, () => this.#change(changes));
  }

  /** Counts into `tally` from now on. */
  countInto(tally: ServerTally): void {
    this.#account();
    this.#tally = tally;
    tally.mostQueued = this.#queue.length;
  }

  busyRatio(): number {
    const { workers } = this.#state;
    if (workers === Infinity) return 0;
    return workers === 0 ? 1 : Math.min(1, this.#working.size / workers);
  }

  queueLength(): number {
    return this.#queue.length;
  }

  queueWaitMs(): number {
    const now = this.#timeline.now();
    return now - (this.#queue.oldestMs() ?? now);
  }

  receive(wire: Wire, answer: Answer, cancels: boolean): Work {
    this.#account();
    const now = this.#timeline.now();
    const { outage, workers, queue } = this.#state;
    const work = new Work(wire, answer, now, cancels ? new AbortController() : undefined);
    this.#tally.received++;
    if (outage === 'hang') {
      this.#tally.lost++;
    } else if (outage === 'refuse') {
      this.#answer(work, backendError('unreachable', this.name));
    } else if (this.#working.size < workers) {
      this.#start(work);
    } else if (this.#queue.length >= queue) {
      this.#answer(work, backendError('queue_full', this.name));
    } else {
      this.#queue.push(work, now);
      this.#tally.mostQueued = Math.max(this.#tally.mostQueued, this.#queue.length);
    }
    return work;
  }

  /** The caller has given up; where callers cancel, the server notices. */
  leave(work: Work, reason: unknown): void {
    work.gone = true;
    work.answer = undefined;
    if (work.controller === undefined || work.answered) return;
    this.#account();
    work.answered = true;
    if (this.#working.has(work)) {
      this.#timeline.wake();
      work.controller.abort(reason);
      work.stop?.(reason);
    } else {
      this.#queue.drop(work);
    }
  }

  #change(changes: Partial<ServerState>): void {
    this.#account();
    const before = this.#state.outage;
    this.#state = { ...this.#state, ...changes };
    if (this.#state.outage === 'refuse' && before !== 'refuse') this.#crash();
    this.#startWaiting();
  }

  /** All is lost that was waiting or under way; the workers begin again. */
  #crash(): void {
    const all = [...this.#queue.takeAll(), ...this.#working];
    this.#working.clear();
    for (const work of all) {
      const error = backendError('unreachable', this.name);
      this.#answer(work, error);
      work.stop?.(error);
    }
  }

  #startWaiting(): void {
    while (this.#working.size < this.#state.workers) {
      const work = this.#queue.take(this.#state.order, this.#timeline.now());
      if (work === undefined) return;
      this.#start(work);
    }
  }

  #start(work: Work): void {
    this.#working.add(work);
    if (this.pipeline === undefined && this.calls.length === 0) {
      this.#serveAlone(work);
      return;
    }
    if (this.pipeline !== undefined) this.#timeline.wake();
    this.#guarded(work).then(
      () => this.#finish(work, undefined),
      (error: unknown) => this.#fail(work, error),
    );
  }

  #guarded(work: Work): Promise<void> {
    const { pipeline } = this;
    if (pipeline === undefined) return this.#serve(work, undefined);
    return pipeline.execute((ctx) => this.#serve(work, ctx), this.#initOf(work));
  }

  /** What the work's context has besides the defaults: each field more costs a call time. */
  #initOf({ wire, receivedMs, controller }: Work): Init<Context> {
    // The policies' clock may have been stepped since: what they see is the age.
    const receivedAt = this.#timeline.clock.now() - (this.#timeline.now() - receivedMs);
    const init = callInit(wire);
    init.receivedAt = receivedAt;
    if (wire.deadline < Infinity) init.deadline = wire.deadline;
    if (controller !== undefined) init.signal = controller.signal;
    return init;
  }

  async #serve(work: Work, ctx: Context | undefined): Promise<void> {
    work.begun = true;
    const { ms, fails } = this.#draw(work.wire);
    await this.#hold(work, ms, ctx);
    if (fails) throw backendError('failed', this.name);
    for (const next of this.calls) await next.call(ctx ?? this.#initOf(work));
  }

  /** {@link #serve} where nothing asks for a promise: most of an overload's work is done for callers who have gone. */
  #serveAlone(work: Work): void {
    work.begun = true;
    try {
      const { ms, fails } = this.#draw(work.wire);
      const timer = this.#timeline.at(this.#timeline.now() + ms, () => {
        work.stop = undefined;
        if (fails) this.#fail(work, backendError('failed', this.name));
        else this.#finish(work, undefined);
      });
      work.stop = (error) => {
        work.stop = undefined;
        this.#timeline.clear(timer);
        this.#fail(work, error);
      };
    } catch (error) {
      this.#fail(work, error);
    }
  }

  /** The outcome of a call, and how long that takes. */
  #draw({ tier, key, cost }: Wire): { ms: number; fails: boolean } {
    const { serviceTimeMs, errorTimeMs, errorRatio, slowdown } = this.#state;
    const call: CallInfo = { tier, key, cost, atMs: this.#timeline.now() };
    try {
      const ratio = errorRatio(call);
      const fails = ratio > 0 && this.#random() < ratio;
      const draw = fails ? (errorTimeMs ?? serviceTimeMs) : serviceTimeMs;
      return { ms: draw(call, this.#random) * slowdown, fails };
    } catch (error) {
      this.#stopAt(error);
      throw error;
    }
  }

  /** A worker's time; ends early when the work is stopped or aborted. */
  #hold(work: Work, ms: number, ctx: Context | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abortable = ctx && abortableOf(ctx);
      const done = (): void => {
        work.stop = undefined;
        abortable?.remove(onAbort);
        this.#timeline.wake();
      };
      const timer = this.#timeline.at(this.#timeline.now() + ms, () => {
        done();
        resolve();
      });
      work.stop = (error) => {
        done();
        this.#timeline.clear(timer);
        reject(error);
      };
      const onAbort = (): void => work.stop?.(abortable?.reason);
      abortable?.add(onAbort);
    });
  }

  #fail(work: Work, error: unknown): void {
    const refused = isRejected(error) && !work.begun;
    if (refused && this.#refusalTimeMs > 0) {
      this.#answer(work, this.#remote(error, refused));
      this.#timeline.at(this.#timeline.now() + this.#refusalTimeMs, () => this.#finish(work, undefined));
    } else {
      this.#finish(work, this.#remote(error, refused));
    }
  }

  /** What the caller gets to see of an error: a mistake in the scenario's own code as it is. */
  #remote(error: unknown, refused: boolean): unknown {
    if (isRejected(error)) return backendError('refused', this.name, error.reason, refused ? error.retryAfterMs : 0);
    return isMistake(error) ? error : backendError('failed', this.name);
  }

  #finish(work: Work, error: unknown): void {
    this.#account();
    // Gone already after a crash.
    this.#working.delete(work);
    this.#answer(work, error);
    this.#startWaiting();
  }

  #answer(work: Work, error: unknown): void {
    if (work.answered) return;
    work.answered = true;
    const tally = this.#tally;
    if (error === undefined) tally.answered++;
    else if (isRefusal(error)) tally.refused++;
    else tally.failed++;
    if (work.gone && work.begun) tally.wasted++;
    if (this.#state.outage === 'hang') {
      tally.lost++;
      return;
    }
    const { answer } = work;
    if (answer === undefined) return;
    work.answer = undefined;
    this.#timeline.wake();
    answer(error);
  }

  /** Adds to the integrals what has passed since the last change. */
  #account(): void {
    const now = this.#timeline.now();
    const ms = now - this.#accountedMs;
    if (ms === 0) return;
    this.#accountedMs = now;
    const tally = this.#tally;
    const { workers } = this.#state;
    tally.spanMs += ms;
    tally.busyMs += ms * this.#working.size;
    tally.workerMs += ms * Math.max(workers, this.#working.size);
    tally.queuedMs += ms * this.#queue.length;
  }
}

function isRefusal(error: unknown): boolean {
  const { kind } = error as Partial<BackendError>;
  return kind === 'refused' || kind === 'queue_full';
}
