import type { Context } from '../call/context.js';
import type { Reason } from '../errors.js';
import { notify, type Observer } from '../events.js';
import type { Random } from '../numbers/random.js';
import { readCommon } from '../options/common.js';
import type { OptionReader } from '../options/validate.js';
import { GateStep } from '../pipeline/gate-step.js';
import type { Classify, Gate, Mode, Next, ReleaseDetails, Verdict } from '../policy.js';
import type { Clock } from '../time/clock.js';
import { Ledger } from './ledger.js';

const MODES = ['enforce', 'shadow', 'off'] as const;

export const readMode = (read: OptionReader, current: Mode = 'enforce'): Mode => read.oneOf('mode', current, MODES);

/** What the library's gates have in common: the options of every gate, `run`, and how a refusal is told. */
export abstract class GateBase implements Gate {
  readonly name: string;
  readonly clock: Clock;
  readonly classify: Classify | undefined;
  readonly captureStack: boolean;
  protected readonly random: Random;
  protected readonly observer: Observer | undefined;
  protected mode: Mode;
  /** Each `true` of `tryAcquire` is entered here, and each `release` asks it first what to settle. */
  protected readonly ledger = new Ledger();
  readonly #step: GateStep;

  abstract readonly reason: Reason;
  abstract tryAcquire(ctx?: Partial<Context>): boolean;
  abstract release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>, details?: ReleaseDetails): void;
  abstract retryAfterMs(ctx?: Partial<Context>): number;

  constructor(read: OptionReader, name: string) {
    const common = readCommon(read, name);
    this.name = common.name;
    this.clock = common.clock;
    this.random = common.random;
    this.observer = common.observer;
    this.classify = common.classify;
    this.mode = readMode(read);
    this.captureStack = read.boolean('captureStack', false);
    this.#step = new GateStep([this], [this.name]);
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return this.#step.run(ctx, next);
  }

  /**
   * Tells the observer that a call is refused, or in shadow mode would be; returns whether it may go on all the same.
   */
  protected refuse(at: number, ctx: Partial<Context> | undefined): boolean {
    const shadow = this.mode === 'shadow';
    if (this.observer !== undefined) {
      const { name: policy, reason } = this;
      notify(this.observer, { type: 'rejected', policy, at, reason, retryAfterMs: this.retryAfterMs(ctx), shadow });
    }
    return shadow;
  }
}
