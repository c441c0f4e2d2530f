/**
 * Spreads calls over instances by weight, keeps them away from those that fail, and lets these come back slowly.
 * Source: MSEC's nlb (Tencent), with its bugs left out; docs/decisions/0005 says what is different and why.
 */
import type { Clock } from '../core/clock.js';
import { type Common, readCommon } from '../core/common.js';
import type { Context } from '../core/context.js';
import { RejectedError } from '../core/errors.js';
import { notify, type ResilienceEvent } from '../core/events.js';
import type { Policy, Verdict } from '../core/policy.js';
import { invalid, OptionReader } from '../core/validate.js';
import type { Choice } from './choice.js';
import type { InstanceState } from './health.js';
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
import { SmoothChoice } from './smooth-choice.js';
import { TwoChoices } from './two-choices.js';
import { UserProbes } from './user-probes.js';

/** Plain data on one instance. */
export interface InstanceSnapshot<T> {
  /** The one that was given. */
  instance: T;
  state: InstanceState;
  staticWeight: number;
  /** By its health, 0 to `staticWeight`. */
  weight: number;
  /** Of all calls but the probes, the share that it gets at present. */
  shareRatio: number;
  /** Of its latest calls; 1 = there was none since it was added or began to recover. */
  successRatio: number;
  inFlight: number;
  /** Average response time, ms; 0 = not known. Measured with `choice: 'latency'` only. */
  latencyMs: number;
}

/** Plain data on a balancer. */
export interface BalancerSnapshot<T> {
  instances: InstanceSnapshot<T>[];
  /** Whether too many are ill, so that all get their full weight. */
  panic: boolean;
}

/** A {@link balancer}. */
export interface Balancer<T> {
  readonly name: string;
  /**
   * The instance for a call; report how the call ended.
   * @throws RejectedError with the reason `no_instance` when there is none.
   */
  pick(ctx?: Partial<Context>): T;
  /**
   * How a call to `instance` ended, once a call; `elapsedMs` after it began. One that is not there any more is let be.
   * @throws TypeError for what is no verdict.
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
  /** Stops the balancer's own probes for good; users' calls are the probes from then on. */
  close(): void;
}

const VERDICTS: readonly Verdict[] = ['success', 'failure', 'dropped', 'ignored'];
const VERDICT_NAMES = "'success', 'failure', 'dropped' or 'ignored'";

/** A clock that falls back by more was set; by less, it stands still until it has caught up. */
const SET_BACK_MS = 60_000;
/** An instance is low under the one share of its weight, and no longer from the other on: it must not flap between. */
const LOW_RATIO = 0.5;
const NOT_LOW_RATIO = 0.6;

class MaskingBalancer<T> implements Balancer<T>, Picker<Instance<T>> {
  readonly name: string;
  readonly #common: Common;
  readonly #clock: Clock;
  readonly #weightOf: WeightOf<T>;
  readonly #instances = new Map<T, Instance<T>>();
  readonly #choice: Choice<T>;
  readonly #byLatency: boolean;
  readonly #slowStart: boolean;
  /** Also of those that are not up while there are probes of our own. */
  readonly #userProbes = new UserProbes<T>();
  #ownProbes: OwnProbes<T> | undefined;
  #settings: Settings;
  #panic = false;
  #low = 0;
  #masked = 0;
  /** The latest time seen. */
  #latest: number;

  constructor(options: BalancerOptions<T>) {
    const read = new OptionReader('balancer', options);
    this.#settings = readSettings(read);
    this.#weightOf = weightReader(read.fn('weightOf'));
    const instances = readInstances(read, this.#weightOf);
    this.#byLatency = read.oneOf('choice', 'smooth', ['smooth', 'latency']) === 'latency';
    this.#slowStart = read.boolean('slowStart', false);
    const probe = read.fn<Probe<T>>('probe');
    this.#common = readCommon(read, 'balancer');
    read.done();
    const { name, clock, random } = this.#common;
    this.name = name;
    this.#clock = clock;
    const now = clock.now();
    this.#latest = Number.isFinite(now) ? now : 0;
    this.#choice = this.#byLatency ? new TwoChoices(random) : new SmoothChoice(random);
    if (probe !== undefined) {
      const intervalMs = (): number => this.#settings.probeIntervalMs;
      this.#ownProbes = new OwnProbes(probe, clock, intervalMs, (...probed) => this.#probed(...probed));
    }
    for (const [value, weight] of instances) this.#insert(new Instance(value, weight));
  }

  pick(ctx?: Partial<Context>): T {
    const picked = this.choose(ctx);
    if (picked instanceof RejectedError) throw picked;
    return picked.value;
  }

  choose(ctx?: Partial<Context>): Instance<T> | RejectedError {
    const probes = this.#userProbes;
    const picked = probes.size === 0 && !this.#byLatency ? this.#choice.next(0) : this.#chooseAt(this.#timeOf(ctx));
    if (picked === undefined) return this.#refuse(ctx);
    picked.inFlight++;
    return picked;
  }

  #chooseAt(now: number): Instance<T> | undefined {
    const probes = this.#userProbes;
    if (this.#ownProbes === undefined && !this.#panic) {
      const { probeIntervalMs, probeRatio } = this.#settings;
      const probed = probes.next(now, probeIntervalMs, probeRatio);
      if (probed !== undefined) return probed;
    }
    const picked = this.#choice.next(now);
    if (picked !== undefined && probes.size > 0) probes.touch(picked, now);
    return picked;
  }

  #refuse(ctx: Partial<Context> | undefined): RejectedError {
    const rejection = { policy: this.name, reason: 'no_instance', retryAfterMs: 0 } as const;
    this.#tell({ type: 'rejected', at: this.#timeOf(ctx), ...rejection, shadow: false });
    return new RejectedError(rejection);
  }

  report(instance: T, verdict: Verdict, elapsedMs: number): void {
    if (!VERDICTS.includes(verdict)) invalid(`${this.name}.report`, 'verdict', VERDICT_NAMES, verdict, true);
    const reported = this.#instances.get(instance);
    if (reported !== undefined) this.#end(reported, verdict, elapsedMs, undefined);
  }

  settle(picked: Instance<T>, verdict: Verdict, ctx: Context): void {
    this.#end(picked, verdict, undefined, ctx.startedAt);
  }

  /** A call has ended that began at `startedAt`, or took `elapsedMs`. */
  #end(instance: Instance<T>, verdict: Verdict, elapsedMs: number | undefined, startedAt: number | undefined): void {
    if (instance.inFlight > 0) instance.inFlight--;
    if (verdict === 'ignored' || instance.removed) return;
    const { health } = instance;
    const ok = verdict === 'success';
    if (ok && health.state === 'up' && health.maskedAt === -Infinity && !this.#byLatency) {
      health.succeed(0, this.#settings);
      if (instance.weight !== health.weight) this.#weigh(instance);
      return;
    }
    const now = this.#timeOf(undefined);
    // A broken clock may tell anything.
    const tookMs = Math.max(0, elapsedMs ?? now - (startedAt as number)) || 0;
    if (this.#byLatency && verdict !== 'failure') instance.recordLatency(tookMs, now);
    // Begun before it was masked: it tells of what is known.
    if ((startedAt ?? now - tookMs) <= health.maskedAt) return;
    this.#learn(instance, ok, now);
  }

  #probed(instance: Instance<T>, ok: boolean, error: unknown): void {
    const now = this.#timeOf(undefined);
    this.#tell({ type: 'instance_probed', policy: this.name, at: now, instance: instance.value, ok, error });
    this.#learn(instance, ok, now);
  }

  #learn(instance: Instance<T>, ok: boolean, now: number): void {
    const { health } = instance;
    const before = health.state;
    if (ok) health.succeed(now, this.#settings);
    else health.fail(now, this.#settings);
    this.#weigh(instance);
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

  /** Has its health, or its static weight, take effect. */
  #weigh(instance: Instance<T>): void {
    const { weight } = instance.health;
    this.#masked += Number(weight === 0) - Number(instance.weight === 0);
    instance.weight = weight;
    const low = weight < (instance.low ? NOT_LOW_RATIO : LOW_RATIO);
    this.#low += Number(low) - Number(instance.low);
    instance.low = low;
    this.#offer(instance);
    this.#checkPanic();
  }

  #checkPanic(): void {
    const { size } = this.#instances;
    const panic = size > 0 && (this.#low > this.#settings.panicRatio * size || this.#masked === size);
    if (panic === this.#panic) return;
    this.#panic = panic;
    for (const instance of this.#instances.values()) this.#offer(instance);
  }

  #offer(instance: Instance<T>): void {
    this.#choice.set(instance, instance.staticWeight * (this.#panic ? 1 : instance.weight));
  }

  add(instance: T): boolean {
    const staticWeight = this.#weightOf(instance, 'add:');
    const known = this.#instances.get(instance);
    if (known !== undefined) {
      known.staticWeight = staticWeight;
      this.#offer(known);
      return false;
    }
    const added = new Instance(instance, staticWeight);
    this.#insert(added);
    if (this.#slowStart) {
      const now = this.#timeOf(undefined);
      added.health.beginRamp(now, this.#settings);
      this.#weigh(added);
      this.#changed(added, now);
    }
    return true;
  }

  #insert(added: Instance<T>): void {
    this.#instances.set(added.value, added);
    this.#weigh(added);
  }

  remove(instance: T): boolean {
    const removed = this.#instances.get(instance);
    if (removed === undefined) return false;
    this.#instances.delete(instance);
    removed.removed = true;
    this.#choice.set(removed, 0);
    this.#userProbes.delete(removed);
    this.#ownProbes?.stop(removed);
    this.#low -= Number(removed.low);
    this.#masked -= Number(removed.weight === 0);
    this.#checkPanic();
    return true;
  }

  policy(): Policy<BalancedContext<T>> {
    return new BalancerPolicy<T, Instance<T>>(this.name, this.#clock, this.#common.classify, this);
  }

  /** A clock that fails stands still; so does one that falls back, unless it was set. */
  #timeOf(ctx: Partial<Context> | undefined): number {
    const now = ctx?.startedAt ?? this.#clock.now();
    if (now >= this.#latest && now < Infinity) {
      this.#latest = now;
    } else if (now < this.#latest - SET_BACK_MS && now > -Infinity) {
      const byMs = now - this.#latest;
      this.#latest = now;
      this.#userProbes.shift(byMs);
      for (const instance of this.#instances.values()) instance.shift(byMs);
    }
    return this.#latest;
  }

  #tell(event: ResilienceEvent): void {
    const { observer } = this.#common;
    if (observer !== undefined) notify(observer, event);
  }

  update(options: BalancerUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#settings);
    const settings = readSettings(read);
    read.done();
    this.#settings = settings;
    this.#checkPanic();
  }

  snapshot(): BalancerSnapshot<T> {
    const all = [...this.#instances.values()];
    const total = all.reduce((sum, { share }) => sum + share, 0);
    const instances = all.map(({ value, health, staticWeight, share, inFlight, latencyMs }) => ({
      instance: value,
      state: health.state,
      staticWeight,
      weight: staticWeight * health.weight,
      shareRatio: share / total,
      successRatio: health.successRatio,
      inFlight,
      latencyMs,
    }));
    return { instances, panic: this.#panic };
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
