import {
  type Classify,
  type Clock,
  type Context,
  type Gate,
  isRejected,
  isTimeout,
  type Next,
  type Reason,
  type ReleaseDetails,
  runGate,
  type Verdict,
  type WorkPermits,
  workPermits,
} from 'evenkeel';
import { wasSent } from '../../src/core/call/context.js';

/**
 * What a {@link RecordingGate} does, step by step; each list starts over when it is used up. Every `ctx.key` has its own
 * place in the lists, so that what one call meets does not depend on what others do in the same instant.
 */
export interface GateScript {
  admit: readonly ('yes' | 'no' | 'throw')[];
  /** Of `answered` as well. */
  release: readonly ('ok' | 'throw')[];
  /** None = the default. */
  classify: readonly (Verdict | 'throw' | 'nonsense')[] | undefined;
  retryAfter: readonly (number | 'throw')[];
  reason: Reason;
  usesElapsed: boolean | undefined;
  captureStack: boolean;
  holds: 'work' | undefined;
  /** With `holds`. */
  abandonedMs: number | undefined;
}

export const ADMIT_ALL: GateScript = {
  admit: ['yes'],
  release: ['ok'],
  classify: undefined,
  retryAfter: [0],
  reason: 'rate_limited',
  usesElapsed: undefined,
  captureStack: false,
  holds: undefined,
  abandonedMs: undefined,
};

/** What can be compared of an error or value of two runs: everything but its identity. */
export function shapeOf(value: unknown): unknown {
  if (isRejected(value)) {
    const { policy, reason, retryAfterMs, code } = value;
    return { code, policy, reason, retryAfterMs, message: value.message, traced: Object.hasOwn(value, 'stack') };
  }
  if (isTimeout(value)) return { code: value.code, policy: value.policy, timeoutMs: value.timeoutMs };
  return value instanceof Error ? `${value.name}: ${value.message}` : value;
}

/** One thing that happened, and to which call. */
export interface LogEntry {
  key: string | undefined;
  event: string;
  at: number;
  ctx: unknown;
  rest: unknown[];
}

/** A gate that does as its script says and writes down all that it is told. */
export class RecordingGate implements Gate {
  readonly log: LogEntry[] = [];
  readonly reason: Reason;
  readonly usesElapsed: boolean | undefined;
  readonly captureStack: boolean;
  readonly classify: Classify | undefined;
  readonly holds: WorkPermits | undefined;
  permitsInUse = 0;
  readonly #script: GateScript;
  readonly #steps = new Map<string, number>();

  constructor(
    readonly name: string,
    readonly clock: Clock,
    script: Partial<GateScript> = {},
  ) {
    this.#script = { ...ADMIT_ALL, ...script };
    this.reason = this.#script.reason;
    this.usesElapsed = this.#script.usesElapsed;
    this.captureStack = this.#script.captureStack;
    const { holds, abandonedMs } = this.#script;
    if (holds !== undefined) this.holds = workPermits({ abandonedMs });
    const verdicts = this.#script.classify;
    if (verdicts !== undefined) {
      this.classify = (outcome, ctx) => {
        this.#note('classify', ctx, outcome.ok ? outcome.value : shapeOf(outcome.error));
        return this.#play('classify', verdicts, ctx) as Verdict;
      };
    }
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    this.#note('tryAcquire', ctx);
    const admitted = this.#play('tryAcquire', this.#script.admit, ctx) === 'yes';
    if (admitted) this.permitsInUse++;
    return admitted;
  }

  answered(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>): void {
    this.#note('answered', ctx, verdict, this.#seen(elapsedMs));
    this.#play('answered', this.#script.release, ctx);
  }

  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>, details?: ReleaseDetails): void {
    this.permitsInUse--;
    this.#note('release', ctx, verdict, this.#seen(elapsedMs), details?.abandoned === true, wasSent(ctx));
    this.#play('release', this.#script.release, ctx);
  }

  retryAfterMs(ctx?: Partial<Context>): number {
    this.#note('retryAfterMs', ctx);
    return this.#play('retryAfterMs', this.#script.retryAfter, ctx) as number;
  }

  run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return runGate(this, ctx, next);
  }

  /** The verdicts it was given, in order. */
  get verdicts(): unknown[] {
    return this.log.flatMap(({ event, rest }) => (event === 'release' ? [rest[0]] : []));
  }

  /** A gate that does not use the elapsed time may be given any. */
  #seen(elapsedMs: number): number | undefined {
    return this.usesElapsed === false ? undefined : elapsedMs;
  }

  #note(event: string, ctx: Partial<Context> | undefined, ...rest: unknown[]): void {
    this.log.push({ key: ctx?.key, event, at: this.clock.now(), ctx: facts(ctx), rest });
  }

  #play<T>(event: string, list: readonly T[], ctx: Partial<Context> | undefined): T {
    const place = `${event} of ${ctx?.key}`;
    const step = this.#steps.get(place) ?? firstStep(ctx?.key);
    this.#steps.set(place, step + 1);
    const action = list[step % list.length] as T;
    if (action === 'throw') throw new Error(`${this.name} ${event} ${step}`);
    return action;
  }
}

/** Where in its lists a key starts, so that calls and attempts differ; without a key, at the first. */
export function firstStep(key: string | undefined): number {
  return [...(key ?? '')].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
}

/** What a policy can see of a call, without making a signal. */
export function facts(ctx: Partial<Context> | undefined): unknown {
  if (ctx === undefined) return undefined;
  const { attempt, tier, cost, startedAt, receivedAt, deadline } = ctx;
  return [attempt, tier, cost, startedAt, receivedAt, deadline];
}
