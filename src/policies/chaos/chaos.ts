/**
 * Faults on purpose, to see whether the policies around a downstream handle them: latency, errors, calls without an
 * answer, calls broken off. Off until it is started; stops by itself when the steady state no longer holds.
 *
 * Source: "Principles of Chaos Engineering" (principlesofchaos.org): a steady state as the hypothesis, faults as they
 * happen in production, and the least possible harm.
 */
import { AbortScope } from '../../core/call/abort.js';
import { abortableOf, type Context, derive, deriveAbortable } from '../../core/call/context.js';
import { callNext, untilAbort } from '../../core/call/promises.js';
import { throwLater } from '../../core/errors.js';
import { notify, type Observer } from '../../core/events.js';
import type { Random } from '../../core/numbers/random.js';
import { readCommon } from '../../core/options/common.js';
import { checkNumber, invalid, OptionReader } from '../../core/options/validate.js';
import type { CommonOptions, Next, Policy } from '../../core/policy.js';
import type { Clock, TimerHandle } from '../../core/time/clock.js';
import { InjectedError } from './error.js';
import { applies, type Fault, type FaultKind, type ReadFault, readFault } from './fault.js';
import { type SteadyState, SteadyStatePolicy } from './steady-state.js';

/** Options of {@link chaos}. `random: seededRandom(seed)` makes an experiment that can be repeated. */
export interface ChaosOptions extends CommonOptions {
  /**
   * In their order. Each that applies to a call is drawn for by itself; delays add up, and the first of another kind
   * ends the list.
   */
  faults: readonly Fault[];
  /**
   * What has to hold: of the calls through {@link Chaos.steadyState}, or a function that is asked every `checkMs`. One
   * that throws counts as one that says no. An object holds only for calls that are measured: without
   * {@link Chaos.steadyState} in a pipeline nothing starts. @default {}
   */
  steadyState?: SteadyState | (() => boolean) | undefined;
  /** How often it is checked whether the experiment may go on, ms; > 0. @default 1_000 */
  checkMs?: number | undefined;
  /** The experiment ends after so long, ms; > 0. @default 60_000 */
  durationMs?: number | undefined;
}

/** Why an experiment is not running. */
export type ChaosEnd = 'never_started' | 'stopped' | 'steady_state' | 'duration';

/** Plain data on an experiment. */
export interface ChaosSnapshot {
  running: boolean;
  /** Undefined while it runs. */
  endedBy: ChaosEnd | undefined;
  /** Calls that came by since the start. */
  calls: number;
  /** Those of them that met a fault, by its kind; a call may meet a delay and one more. */
  injected: Record<FaultKind, number>;
  /** Calls that are delayed or hang now. */
  held: number;
}

/** A {@link chaos} experiment: a policy that stands next to the downstream. */
export interface Chaos extends Policy {
  /**
   * Starts the experiment, or starts it again.
   *
   * @returns whether it did: not while the steady state does not hold
   * @throws Error when no code has asked for {@link Chaos.steadyState}, where that is what measures: nothing would end
   *   the experiment. TypeError when the function in its place gives neither true nor false, as an async one does.
   */
  start(): boolean;
  /** Ends it. Calls that are held go on at once. */
  stop(): void;
  /**
   * The policy that measures the steady state. It stands outermost, around all that is meant to hide the faults.
   *
   * @throws Error where the steady state is a function
   */
  steadyState(): Policy;
  snapshot(): ChaosSnapshot;
}

class Experiment implements Chaos {
  readonly name: string;
  readonly clock: Clock;
  readonly #random: Random;
  readonly #observer: Observer | undefined;
  readonly #faults: readonly ReadFault[];
  readonly #watch: SteadyStatePolicy | undefined;
  readonly #holds: () => boolean;
  readonly #checkMs: number;
  readonly #durationMs: number;
  #watchTaken = false;
  #endedBy: ChaosEnd | undefined = 'never_started';
  #startedAt = 0;
  #timer: TimerHandle;
  #calls = 0;
  #injected: Record<FaultKind, number> = { latency: 0, error: 0, hang: 0, abort: 0 };
  /** What lets the calls go on that are held. */
  readonly #held = new Set<() => void>();

  constructor(options: ChaosOptions) {
    const read = new OptionReader('chaos', options);
    const common = readCommon(read, 'chaos');
    this.name = common.name;
    this.clock = common.clock;
    this.#random = common.random;
    this.#observer = common.observer;
    const faults = read.array('faults', 'an array of faults');
    if (faults === undefined) invalid('chaos', 'faults', 'an array of faults', undefined, true);
    this.#faults = faults.map((fault, place) => readFault('chaos', place, fault));
    const steady = readSteadyState(read);
    if (typeof steady === 'function') {
      this.#holds = steady;
    } else {
      const watch = new SteadyStatePolicy(steady, 'chaos', this.clock, common.classify, () => this.#check());
      this.#watch = watch;
      this.#holds = () => watch.holds;
    }
    this.#checkMs = read.number('checkMs', 1_000, { above: 0 });
    this.#durationMs = read.number('durationMs', 60_000, { above: 0, infinite: true });
    read.done();
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    if (this.#endedBy !== undefined) return callNext(ctx, next);
    // Its policy was taken and left out, or stands inside: nothing measures what this would do.
    if (this.#watch?.used === false) {
      this.#end('steady_state');
      return callNext(ctx, next);
    }
    this.#calls++;
    const sinceMs = ctx.startedAt - this.#startedAt;
    let delayMs = 0;
    let met: ReadFault | undefined;
    for (const fault of this.#faults) {
      if (!applies(fault, ctx, sinceMs) || this.#random() >= fault.ratio) continue;
      this.#injected[fault.kind]++;
      this.#tell({ type: 'fault_injected', policy: this.name, at: ctx.startedAt, fault: fault.kind });
      if (fault.kind !== 'latency') {
        met = fault;
        break;
      }
      delayMs += checkNumber(this.name, 'the delay that delayMs gives', fault.delayMs(this.#random), { min: 0 });
    }
    if (met?.kind === 'hang') delayMs = Infinity;
    return met === undefined && delayMs === 0 ? callNext(ctx, next) : this.#inject(ctx, next, delayMs, met);
  }

  async #inject<C extends Context, R>(
    ctx: C,
    next: Next<C, R>,
    delayMs: number,
    fault: ReadFault | undefined,
  ): Promise<R> {
    let delayed = ctx;
    if (delayMs > 0) {
      await this.#hold(ctx, delayMs);
      delayed = derive<Context>(ctx, { startedAt: this.clock.now() }) as C;
    }
    // What the experiment left behind when it ended is not delayed by the rest.
    if (this.#endedBy !== undefined) return callNext(delayed, next);
    if (fault?.kind === 'error')
      throw fault.error === undefined ? new InjectedError(this.name, 'error') : fault.error();
    return fault?.kind === 'abort' ? this.#breakOff(delayed, next, fault.afterMs) : callNext(delayed, next);
  }

  /** Resolves after `ms` or when the experiment ends; rejects when the caller gives up. */
  #hold(ctx: Context, ms: number): Promise<void> {
    const outer = abortableOf(ctx);
    let timer: TimerHandle;
    let go: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
      timer = this.clock.setTimer(resolve, ms);
      this.#held.add(resolve);
    });
    return (outer === undefined ? held : untilAbort(held, outer)).finally(() => {
      this.clock.clearTimer(timer);
      this.#held.delete(go);
    });
  }

  async #breakOff<C extends Context, R>(ctx: C, next: Next<C, R>, afterMs: number): Promise<R> {
    const outer = abortableOf(ctx);
    const scope = new AbortScope();
    const giveUp = (): void => scope.abort(outer?.reason);
    if (outer?.aborted) giveUp();
    else outer?.add(giveUp);
    const timer = this.clock.setTimer(() => scope.abort(new InjectedError(this.name, 'abort')), afterMs);
    try {
      return await untilAbort(callNext(deriveAbortable(ctx, scope), next), scope);
    } finally {
      this.clock.clearTimer(timer);
      outer?.remove(giveUp);
    }
  }

  start(): boolean {
    if (this.#watch !== undefined && !this.#watchTaken) {
      throw new Error(`${this.name}: nothing measures the steady state: put steadyState() outermost in the pipeline`);
    }
    if (this.#endedBy === undefined) this.#end('stopped');
    if (!this.#isSteady()) return false;
    this.#startedAt = this.clock.now();
    this.#calls = 0;
    this.#injected = { latency: 0, error: 0, hang: 0, abort: 0 };
    this.#endedBy = undefined;
    this.#tell({ type: 'chaos_state', policy: this.name, at: this.#startedAt, running: true, endedBy: undefined });
    this.#await();
    return true;
  }

  stop(): void {
    if (this.#endedBy === undefined) this.#end('stopped');
  }

  /** By a timer, and not only as calls come: the callers may all be waiting. */
  #await(): void {
    const leftMs = this.#startedAt + this.#durationMs - this.clock.now();
    this.#timer = this.clock.setTimer(
      () => {
        this.#check();
        if (this.#endedBy === undefined) this.#await();
      },
      Math.min(this.#checkMs, leftMs),
      { keepAlive: false },
    );
  }

  #check(): void {
    if (this.#endedBy !== undefined) return;
    if (this.clock.now() - this.#startedAt >= this.#durationMs) this.#end('duration');
    else this.#endUnlessSteady();
  }

  #endUnlessSteady(): void {
    let steady = false;
    try {
      steady = this.#isSteady();
    } finally {
      if (!steady) this.#end('steady_state');
    }
  }

  #isSteady(): boolean {
    let holds: unknown;
    try {
      holds = this.#holds();
    } catch (error) {
      throwLater(error);
      return false;
    }
    // A promise would be as good as a yes, for ever.
    if (typeof holds === 'boolean') return holds;
    return invalid(this.name, 'what steadyState gives', 'true or false', holds, true);
  }

  #end(endedBy: ChaosEnd): void {
    this.#endedBy = endedBy;
    this.clock.clearTimer(this.#timer);
    for (const go of this.#held) go();
    this.#tell({ type: 'chaos_state', policy: this.name, at: this.clock.now(), running: false, endedBy });
  }

  #tell(event: Parameters<Observer>[0]): void {
    if (this.#observer !== undefined) notify(this.#observer, event);
  }

  steadyState(): Policy {
    if (this.#watch === undefined) throw new Error(`${this.name}: its steady state is a function, nothing is measured`);
    this.#watchTaken = true;
    return this.#watch;
  }

  snapshot(): ChaosSnapshot {
    return {
      running: this.#endedBy === undefined,
      endedBy: this.#endedBy,
      calls: this.#calls,
      injected: { ...this.#injected },
      held: this.#held.size,
    };
  }
}

function readSteadyState(read: OptionReader): SteadyState | (() => boolean) {
  const given = read.whatever('steadyState');
  if (given === undefined) return {};
  if (typeof given === 'function') return given as () => boolean;
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
  return invalid('chaos', 'steadyState', 'an object or a function', given, true);
}

/**
 * An experiment with faults, off until `start()`. It stands innermost, in the downstream's place, and its
 * {@link Chaos.steadyState} outermost; what stands between is put to the test. Ends after `durationMs`, when the steady
 * state breaks, or by `stop()`, whichever is first; then calls go through as if it were not there.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function chaos(options: ChaosOptions): Chaos {
  return new Experiment(options);
}
