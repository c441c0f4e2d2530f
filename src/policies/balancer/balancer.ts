/**
 * Spreads calls over instances by weight, keeps them away from those that fail, and lets these come back slowly.
 * Source: MSEC's nlb (Tencent), with its bugs left out; docs/decisions/0005 says what is different and why.
 */

import type { Context } from '../../core/call/context.js';
import { RejectedError } from '../../core/errors.js';
import { notify, type Observer, type ResilienceEvent } from '../../core/events.js';
import { readCommon } from '../../core/options/common.js';
import { invalid, OptionReader } from '../../core/options/validate.js';
import { permitsFrom } from '../../core/pipeline/work-permits.js';
import type { Classify, Policy, Verdict, WorkPermits } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import { Instance } from './instance.js';
import {
  type BalancerOptions,
  type BalancerUpdate,
  readInstances,
  readSettings,
  type Settings,
  type WeightOf,
  weightReader,
} from './options.js';
import { OwnProbes, type Probe } from './own-probes.js';
import { type BalancedContext, BalancerPolicy, type Picker } from './policy.js';
import { type BalancerSnapshot, Pool } from './pool.js';
import { SmoothChoice } from './smooth-choice.js';
import { TwoChoices } from './two-choices.js';
import { UserProbes } from './user-probes.js';

/** A {@link balancer}. */
export interface Balancer<T> {
  readonly name: string;
  /**
   * The instance for a call; report how the call ended.
   * @throws RejectedError with the reason `no_instance` when there is none.
   */
  pick(ctx?: Partial<Context>): T;
  /**
   * How a call to `instance` ended, once per call; `elapsedMs` after it began. One that is not there any more is
   * ignored.
   * @throws TypeError for anything that is not a verdict.
   */
  report(instance: T, verdict: Verdict, elapsedMs: number): void;
  /**
   * Adds an instance; the others keep all that is known of them. One that is there already gets the weight that it has
   * now, and `false` is returned.
   * @throws TypeError or RangeError for a bad weight.
   */
  add(instance: T): boolean;
  /** Forgets an instance. Returns whether it was there. */
  remove(instance: T): boolean;
  /** Picks an instance for each call, sets it as `ctx.instance`, and reports how the call ended, exactly once. */
  policy(): Policy<BalancedContext<T>>;
  /** Changes settings at once and keeps what is known of the instances; all or nothing. */
  update(options: BalancerUpdate): void;
  snapshot(): BalancerSnapshot<T>;
  /** Stops the balancer's own probes permanently; users' calls are the probes from then on. */
  close(): void;
}

const NO_SUCCESS: readonly Verdict[] = ['failure', 'dropped', 'ignored'];
const VERDICT_NAMES = "'success', 'failure', 'dropped' or 'ignored'";

/** A clock that falls back by more was set; by less, it stands still until it has caught up. */
const SET_BACK_MS = 60_000;

class MaskingBalancer<T> implements Balancer<T>, Picker<Instance<T>> {
  readonly name: string;
  readonly #clock: Clock;
  readonly #classify: Classify | undefined;
  readonly #observer: Observer | undefined;
  readonly #pool: Pool<T>;
  readonly #weightOf: WeightOf<T>;
  readonly #byLatency: boolean;
  readonly #slowStart: boolean;
  readonly #permits: WorkPermits;
  /** Knows those that are not up also while it is not their turn to make the probes. */
  readonly #userProbes = new UserProbes<T>();
  #ownProbes: OwnProbes<T> | undefined;
  #settings: Settings;
  /** The latest time seen. */
  #latest: number;

  constructor(options: BalancerOptions<T>) {
    const read = new OptionReader('balancer', options);
    this.#settings = readSettings(read);
    this.#weightOf = weightReader(read.fn('weightOf'));
    const instances = readInstances(read, this.#weightOf);
    this.#byLatency = read.oneOf('choice', 'smooth', ['smooth', 'latency']) === 'latency';
    this.#slowStart = read.boolean('slowStart', false);
    this.#permits = permitsFrom(read);
    const probe = read.fn<Probe<T>>('probe');
    const { name, clock, random, classify, observer } = readCommon(read, 'balancer');
    read.done();
    this.name = name;
    this.#clock = clock;
    this.#classify = classify;
    this.#observer = observer;
    const now = clock.now();
    this.#latest = Number.isFinite(now) ? now : 0;
    const choice = this.#byLatency ? new TwoChoices<T>(random) : new SmoothChoice<T>(random);
    this.#pool = new Pool(choice, this.#settings.panicRatio);
    for (const [value, weight] of instances) this.#pool.add(new Instance(value, weight));
    if (probe === undefined) return;
    const intervalMs = (): number => this.#settings.probeIntervalMs;
    this.#ownProbes = new OwnProbes(probe, clock, intervalMs, (...probed) => this.#probed(...probed));
  }

  pick(ctx?: Partial<Context>): T {
    const picked = this.choose(ctx);
    if (picked === undefined) throw this.refuse(ctx);
    return picked.value;
  }

  choose(ctx?: Partial<Context>): Instance<T> | undefined {
    // While all are up, it needs no time.
    const timed = this.#userProbes.size > 0 || this.#byLatency;
    const picked = timed ? this.#chooseAt(this.#timeOf(ctx)) : this.#pool.next(0);
    if (picked !== undefined) picked.inFlight++;
    return picked;
  }

  #chooseAt(now: number): Instance<T> | undefined {
    const probes = this.#userProbes;
    if (this.#ownProbes === undefined && !this.#pool.panic) {
      const { probeIntervalMs, probeRatio } = this.#settings;
      const probed = probes.next(now, this.#pool.size, probeIntervalMs, probeRatio);
      if (probed !== undefined) return probed;
    }
    const picked = this.#pool.next(now);
    if (picked !== undefined) probes.touch(picked, now);
    return picked;
  }

  refuse(ctx: Partial<Context> | undefined): RejectedError {
    const rejection = { policy: this.name, reason: 'no_instance', retryAfterMs: 0 } as const;
    this.#tell({ type: 'rejected', at: this.#timeOf(ctx), ...rejection, shadow: false });
    return new RejectedError(rejection);
  }

  report(instance: T, verdict: Verdict, elapsedMs: number): void {
    if (verdict !== 'success' && !NO_SUCCESS.includes(verdict)) {
      invalid(`${this.name}.report`, 'verdict', VERDICT_NAMES, verdict, true);
    }
    const reported = this.#pool.get(instance);
    if (reported === undefined) return;
    this.leave(reported, false);
    this.#judge(reported, verdict, elapsedMs, undefined);
  }

  learn(picked: Instance<T>, verdict: Verdict, ctx: Context): void {
    this.#judge(picked, verdict, 0, ctx.startedAt);
  }

  leave(picked: Instance<T>, abandoned: boolean): void {
    if (picked.inFlight > 0) picked.inFlight--;
    if (!abandoned) return;
    const at = this.#timeOf(undefined);
    this.#tell({ type: 'abandoned', policy: this.name, at, abandonedMs: this.#permits.abandonedMs });
  }

  /** A call has ended that began at `startedAt`; if that is not known, `elapsedMs` ago. */
  #judge(instance: Instance<T>, verdict: Verdict, elapsedMs: number, startedAt: number | undefined): void {
    if (verdict === 'ignored' || instance.removed) return;
    const { health } = instance;
    const ok = verdict === 'success';
    if (ok && health.maskedAt === -Infinity && health.state === 'up' && !this.#byLatency) {
      health.succeed(0, this.#settings);
      if (instance.weight !== health.weight) this.#pool.weigh(instance);
      return;
    }
    const now = this.#timeOf(undefined);
    // A broken clock may tell anything.
    const tookMs = startedAt === undefined ? elapsedMs : now - startedAt;
    // A quick failure must not attract more calls.
    if (this.#byLatency && verdict !== 'failure' && tookMs >= 0 && tookMs < Infinity)
      instance.recordLatency(tookMs, now);
    const beganAt = startedAt ?? now - (Math.max(0, tookMs) || 0);
    // One that began before the mask tells nothing new.
    if (beganAt > health.maskedAt) this.#learn(instance, ok, now);
  }

  #probed(instance: Instance<T>, ok: boolean, error: unknown): void {
    const now = this.#timeOf(undefined);
    this.#learn(instance, ok, now);
    this.#tell({ type: 'instance_probed', policy: this.name, at: now, instance: instance.value, ok, error });
  }

  #learn(instance: Instance<T>, ok: boolean, now: number): void {
    const { health } = instance;
    const before = health.state;
    if (ok) health.succeed(now, this.#settings);
    else health.fail(now, this.#settings);
    this.#pool.weigh(instance);
    if (health.state !== before) this.#changed(instance, now);
  }

  #changed(instance: Instance<T>, now: number): void {
    const { state } = instance.health;
    if (state === 'up') {
      this.#userProbes.delete(instance);
      this.#ownProbes?.stop(instance);
    } else {
      this.#userProbes.add(instance, now);
      this.#ownProbes?.start(instance);
    }
    this.#tell({ type: 'instance_state', policy: this.name, at: now, instance: instance.value, state });
  }

  add(instance: T): boolean {
    const staticWeight = this.#weightOf(instance, `${this.name}.add`, 'weight');
    const known = this.#pool.get(instance);
    if (known !== undefined) {
      known.staticWeight = staticWeight;
      this.#pool.weigh(known);
      return false;
    }
    const added = new Instance(instance, staticWeight);
    this.#pool.add(added);
    if (this.#slowStart) {
      const now = this.#timeOf(undefined);
      added.health.beginRamp(now, this.#settings);
      this.#pool.weigh(added);
      this.#changed(added, now);
    }
    return true;
  }

  remove(instance: T): boolean {
    const removed = this.#pool.remove(instance);
    if (removed === undefined) return false;
    this.#userProbes.delete(removed);
    this.#ownProbes?.stop(removed);
    return true;
  }

  policy(): Policy<BalancedContext<T>> {
    return new BalancerPolicy<T, Instance<T>>(this.name, this.#clock, this.#classify, this.#permits, this);
  }

  /** A clock that fails stands still; so does one that falls back, unless it was set. */
  #timeOf(ctx: Partial<Context> | undefined): number {
    let now = ctx?.startedAt ?? this.#clock.now();
    if (now < this.#latest - SET_BACK_MS) {
      // It may be an old context.
      now = this.#clock.now();
      if (now < this.#latest - SET_BACK_MS && now > -Infinity) this.#setBack(now);
    }
    // Not by `Math.max`, which makes a number of its own: 24 bytes per call.
    if (now > this.#latest && now < Infinity) this.#latest = now;
    return this.#latest;
  }

  #setBack(now: number): void {
    const byMs = now - this.#latest;
    this.#latest = now;
    this.#userProbes.shift(byMs);
    for (const instance of this.#pool.values()) instance.shift(byMs);
  }

  #tell(event: ResilienceEvent): void {
    if (this.#observer !== undefined) notify(this.#observer, event);
  }

  update(options: BalancerUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#settings);
    const settings = readSettings(read);
    read.done();
    this.#settings = settings;
    this.#pool.panicRatio = settings.panicRatio;
  }

  snapshot(): BalancerSnapshot<T> {
    return this.#pool.snapshot();
  }

  close(): void {
    this.#ownProbes?.close();
    this.#ownProbes = undefined;
  }
}

/**
 * Spreads calls over instances, masks those that fail and lets them come back slowly: a probe succeeds, and the weight
 * climbs in twenty steps, each of which takes a success and a twentieth of `rampMs`.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function balancer<T>(options: BalancerOptions<T>): Balancer<T> {
  return new MaskingBalancer(options);
}
