/**
 * As many calls in flight as the downstream works on at a time, measured from the calls themselves, by Little's law:
 *
 *     limit = maxQps · minRtt · (1 + headroom)
 *
 * and a call is refused when the load is at the threshold, or was within the cool-down, and `inflight ≥ limit`.
 * Source: the BBR limiter of go-kratos/aegis and QQ Music's high-availability article, which is TCP BBR's (Cardwell et
 * al., 2016) model; little-law.ts says how theirs get stuck or drift, and this does not.
 */
import type { Context } from '../../core/call/context.js';
import { notify } from '../../core/events.js';
import { GateBase, readMode } from '../../core/gates/gate-base.js';
import { COUNTED, UNCOUNTED } from '../../core/gates/ledger.js';
import type { Complete } from '../../core/options/common.js';
import { rankOf, readTierRatios, type TierRatios } from '../../core/options/tier-ratios.js';
import { OptionReader } from '../../core/options/validate.js';
import { permitsFrom } from '../../core/pipeline/work-permits.js';
import type { Gate, GateOptions, Mode, Policy, ReleaseDetails, Verdict, WorkPermits } from '../../core/policy.js';
import { AdaptiveLimit } from './adaptive-limit.js';
import type { LimitBounds } from './little-law.js';
import { processLoad } from './process-load.js';
import { type QueueOptions, readQueueOptions } from './queue.js';
import { type QueueableGate, QueuedGate } from './queued-limiter.js';

/** Options of {@link concurrencyLimiter}. */
export interface ConcurrencyLimiterOptions extends GateOptions {
  /** How long what was learned holds in silence; a cohort of calls is measured for a tenth of it at most, ms; > 0.
   * @default 10_000 */
  windowMs?: number | undefined;
  /** A cohort is measured for `windowMs / buckets` at least, 1 to 10,000. @default 100 */
  buckets?: number | undefined;
  /**
   * How loaded the downstream is, 0 to 1; asked when a call meets the limit. `() => 1` limits always, which is what a
   * client wants. @default processLoad()
   */
  load?: (() => number) | undefined;
  /** From this load on the limit holds, 0 to 1. @default 0.8 */
  loadThreshold?: number | undefined;
  /** … and for so long after, ms; ≥ 0. @default 1_000 */
  coolDownMs?: number | undefined;
  /** The least limit, whole, ≥ 1. For a moment now and then it is down to half of it. @default 2 */
  minLimit?: number | undefined;
  /** The greatest limit, ≥ minLimit; it holds before there are data, too. @default Infinity */
  maxLimit?: number | undefined;
  /**
   * Share over the downstream's capacity that is admitted, to find out whether there is more, 0.01 to 1. @default 0.1
   */
  headroomRatio?: number | undefined;
  /** Share under it to which the limit drops for a moment now and then, to find out how fast the downstream is without
   * a queue, 0.05 to 0.5. @default 0.15 */
  drainRatio?: number | undefined;
  /** How exactly a cohort should know its mean response time, if there are calls enough: larger follows sooner and is
   * less steady, 0.01 to 1. @default 0.05 */
  precisionRatio?: number | undefined;
  /** The share of the limit that calls of tier 1, 2, 3 and 4 may fill: 1 for tier 1, then each > 0 and none larger than
   * the one before it. When there is room for some, tier 1 goes first and tier 4 is refused first. Without it tiers are
   * not looked at.
   * @default none */
  tierRatios?: readonly [number, number, number, number] | undefined;
  /**
   * How long after its answer a call keeps its permit while its work goes on, ms, ≥ 0; Infinity = until the work ends,
   * 0 = not at all. Then the permit is written off, and the observer is told. @default 30_000
   */
  abandonedMs?: number | undefined;
  /** Lets calls wait a moment where they would be refused. @default none */
  queue?: QueueOptions | undefined;
}

/** What {@link ConcurrencyLimiter.update} can change. */
export type ConcurrencyLimiterUpdate = Pick<
  ConcurrencyLimiterOptions,
  'loadThreshold' | 'coolDownMs' | 'minLimit' | 'maxLimit' | 'mode'
>;

/** Plain data on a concurrency limiter. */
export interface ConcurrencyLimiterSnapshot {
  /** Calls that may be in flight now; `maxLimit` before there are data. */
  limit: number;
  /** Permits in use, those of work that goes on after its call was answered included. */
  inflight: number;
  /** Successes per second at the downstream's capacity; 0 before there are data, and with a fixed limit. */
  maxQps: number;
  /** The downstream's response time without a queue, ms; 0 before there are data, and with a fixed limit. */
  minRttMs: number;
  /** As `load` has it now. */
  load: number;
  /** Whether a call would be refused now, of whatever tier; in shadow mode, would be. */
  limiting: boolean;
}

/** A {@link concurrencyLimiter}. */
export interface ConcurrencyLimiter extends Gate {
  /** Changes settings at once and keeps what was learned; all or nothing. */
  update(options: ConcurrencyLimiterUpdate): void;
  snapshot(): ConcurrencyLimiterSnapshot;
}

/** A {@link concurrencyLimiter} with a queue: a policy that may wait, and so no gate. */
export interface QueuedConcurrencyLimiter extends Policy {
  /** Changes settings at once and keeps what was learned; all or nothing. */
  update(options: ConcurrencyLimiterUpdate): void;
  snapshot(): QueuedConcurrencyLimiterSnapshot;
}

/** Plain data on a concurrency limiter with a queue. */
export interface QueuedConcurrencyLimiterSnapshot extends ConcurrencyLimiterSnapshot {
  /** Calls that wait. */
  queued: number;
}

interface Settings extends LimitBounds {
  loadThreshold: number;
  coolDownMs: number;
}

function readSettings(read: OptionReader): Settings {
  const minLimit = read.number('minLimit', 2, { min: 1, integer: true });
  return {
    loadThreshold: read.number('loadThreshold', 0.8, { min: 0, max: 1 }),
    coolDownMs: read.number('coolDownMs', 1_000, { min: 0 }),
    minLimit,
    maxLimit: read.number('maxLimit', Infinity, { min: minLimit, infinite: true }),
  };
}

const NO_QUEUE = {};

class LittleLimiter extends GateBase implements ConcurrencyLimiter, QueueableGate {
  readonly reason = 'concurrency_limited';
  readonly holds: WorkPermits;
  readonly #limit: AdaptiveLimit;
  readonly #load: () => number;
  readonly #tierRatios: TierRatios | undefined;
  #settings: Settings;
  /** With only one limit to choose from there is nothing to learn, and nothing is measured. */
  #fixed = false;
  #inflight = 0;
  /** When the mode was switched off, and whether calls came since: no throughput can be measured across them. */
  #offAt = -Infinity;
  #hasGap = false;
  onRoom: (() => void) | undefined;
  /** When the load was last seen at the threshold. */
  #loadedAt = -Infinity;

  constructor(read: OptionReader) {
    super(read, 'concurrencyLimiter');
    this.#settings = readSettings(read);
    this.#load = read.fn('load') ?? processLoad({ clock: this.clock });
    this.#tierRatios = readTierRatios(read);
    const measuring = {
      windowMs: read.number('windowMs', 10_000, { above: 0 }),
      buckets: read.number('buckets', 100, { min: 1, max: 10_000, integer: true }),
      headroomRatio: read.number('headroomRatio', 0.1, { min: 0.01, max: 1 }),
      drainRatio: read.number('drainRatio', 0.15, { min: 0.05, max: 0.5 }),
      precisionRatio: read.number('precisionRatio', 0.05, { min: 0.01, max: 1 }),
    };
    this.holds = permitsFrom(read);
    this.#limit = new AdaptiveLimit(measuring, this.#settings);
    this.#fixed = this.#isFixed(this.#settings);
  }

  /** Calls of tiers that fill a share only are told when to come back: by the response time. */
  #isFixed({ minLimit, maxLimit }: LimitBounds): boolean {
    return minLimit === maxLimit && this.#tierRatios === undefined;
  }

  get usesElapsed(): boolean {
    return !this.#fixed;
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.mode === 'off') {
      this.#hasGap = true;
      this.ledger.note(UNCOUNTED, ctx);
    } else {
      // With a fixed limit and room, no time is asked for.
      if (!this.#fixed || this.#inflight >= this.#limitFor(ctx)) {
        const now = ctx?.startedAt ?? this.clock.now();
        if (this.#isFull(now, ctx) && !this.refuse(now, ctx)) return false;
        if (!this.#fixed) this.#limit.admit(now, this.#inflight + 1);
      }
      this.ledger.count(ctx);
    }
    this.#inflight++;
    return true;
  }

  /** What the outcome says of the load counts now, while the permit stays in use. */
  answered(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>): void {
    if (this.#inflight === 0) return;
    this.#settle(verdict, elapsedMs, ctx);
    // The release that follows finds nothing left to learn.
    this.ledger.note(UNCOUNTED, ctx);
  }

  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>, details?: ReleaseDetails): void {
    if (this.#inflight === 0) return;
    this.#inflight--;
    this.#settle(verdict, elapsedMs, ctx);
    if (details?.abandoned === true && this.observer !== undefined) {
      const { abandonedMs } = this.holds;
      notify(this.observer, { type: 'abandoned', policy: this.name, at: this.clock.now(), abandonedMs });
    }
    this.onRoom?.();
  }

  #settle(verdict: Verdict, elapsedMs: number, ctx: Partial<Context> | undefined): void {
    if (this.ledger.end(ctx) !== COUNTED || this.#fixed) return;
    const startedAt = ctx?.startedAt ?? this.clock.now() - elapsedMs;
    this.#limit.end(startedAt, elapsedMs, verdict, this.mode !== 'off');
  }

  hasRoom(ctx: Context, now?: number): boolean {
    if (this.mode !== 'enforce' || (this.#fixed && this.#inflight < this.#limitFor(ctx))) return true;
    return !this.#isFull(now ?? ctx.clock.now(), ctx);
  }

  rankOf(ctx: Context): number {
    return this.#tierRatios === undefined ? 0 : rankOf(ctx);
  }

  reject(ctx: Context): boolean {
    return this.refuse(ctx.clock.now(), ctx);
  }

  /** How many in flight are enough for a call like `ctx` to be refused. */
  #limitFor(ctx: Partial<Context> | undefined): number {
    const { limit } = this.#limit.law;
    const ratios = this.#tierRatios;
    return ratios === undefined ? limit : limit * ratios[rankOf(ctx)];
  }

  /** Whether a call at `now` is one too many. */
  #isFull(now: number, ctx: Partial<Context> | undefined): boolean {
    const limit = this.#limit;
    if (!this.#fixed && limit.advance(now, this.#inflight)) this.#isLoaded(now);
    if (this.#inflight < this.#limitFor(ctx) || !this.#isLoaded(now)) return false;
    // In shadow mode nothing is held back, so that the calls show nothing of the limit; nor do those that a share of it
    // holds back.
    if (this.mode === 'enforce' && this.#inflight >= limit.law.limit) limit.refuse();
    return true;
  }

  /** A load that is not a number is ignored. */
  #isLoaded(now: number): boolean {
    if (this.#load() >= this.#settings.loadThreshold) {
      this.#loadedAt = now;
      return true;
    }
    return this.#coolsDown(now);
  }

  #coolsDown(now: number): boolean {
    return now - this.#loadedAt < this.#settings.coolDownMs;
  }

  /** A response time: by then the calls in flight will have ended. No advice where none is measured. */
  retryAfterMs(ctx?: Partial<Context>): number {
    const { law } = this.#limit;
    return law.isKnown && this.#inflight >= this.#limitFor(ctx) ? law.minRttMs : 0;
  }

  update(options: ConcurrencyLimiterUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options, this.#settings);
    const settings = readSettings(read);
    const mode = readMode(read, this.mode);
    read.done();
    const { minLimit, maxLimit } = this.#settings;
    const fixed = this.#isFixed(settings);
    const limit = this.#limit;
    this.#settings = settings;
    if (fixed !== this.#fixed) limit.startOver(this.clock.now());
    if (settings.minLimit !== minLimit || settings.maxLimit !== maxLimit) limit.law.setBounds(settings);
    this.#fixed = fixed;
    if (mode !== this.mode) this.#switchTo(mode);
    this.onRoom?.();
  }

  #switchTo(mode: Mode): void {
    const now = this.clock.now();
    if (mode === 'off') this.#offAt = now;
    else if (this.#hasGap) {
      if (now !== this.#offAt) this.#limit.restart(now);
      this.#hasGap = false;
    }
    this.mode = mode;
  }

  /** What a call would find now. Changes nothing: what there is to learn and to tell is for that call. */
  snapshot(): ConcurrencyLimiterSnapshot {
    const now = this.clock.now();
    const load = this.#load();
    const measures = !this.#fixed && this.mode !== 'off';
    const law = measures ? this.#limit.lawAt(now, this.#inflight) : this.#limit.law;
    const { limit, isKnown, maxQps, minRttMs } = law;
    const isLoaded = load >= this.#settings.loadThreshold || this.#coolsDown(now);
    return {
      limit,
      inflight: this.#inflight,
      maxQps: isKnown ? maxQps : 0,
      minRttMs: isKnown ? minRttMs : 0,
      load,
      limiting: this.mode !== 'off' && this.#inflight >= limit && isLoaded,
    };
  }
}

class QueuedLimiter extends QueuedGate implements QueuedConcurrencyLimiter {
  readonly #limiter: LittleLimiter;

  constructor(limiter: LittleLimiter, queue: Complete<QueueOptions>) {
    super(limiter, queue);
    this.#limiter = limiter;
  }

  update(options: ConcurrencyLimiterUpdate): void {
    this.#limiter.update(options);
  }

  snapshot(): QueuedConcurrencyLimiterSnapshot {
    return { ...this.#limiter.snapshot(), queued: this.queued };
  }
}

/**
 * Refuses calls beyond what the downstream works on at a time, a number that it measures, upwards as well as
 * downwards. A call counts as one, whatever its `cost`.
 *
 * With `queue` calls wait a moment before they are refused; then it is a policy and no gate, as gates do not wait.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function concurrencyLimiter(
  options: ConcurrencyLimiterOptions & { queue: QueueOptions },
): QueuedConcurrencyLimiter;
export function concurrencyLimiter(options?: ConcurrencyLimiterOptions & { queue?: undefined }): ConcurrencyLimiter;
/** For options that come from elsewhere. */
export function concurrencyLimiter(options?: ConcurrencyLimiterOptions): ConcurrencyLimiter | QueuedConcurrencyLimiter;
export function concurrencyLimiter(options?: ConcurrencyLimiterOptions): ConcurrencyLimiter | QueuedConcurrencyLimiter {
  const read = new OptionReader('concurrencyLimiter', options);
  const limiter = new LittleLimiter(read);
  const queue = read.object<object>('queue', NO_QUEUE, []);
  read.done();
  return queue === NO_QUEUE ? limiter : new QueuedLimiter(limiter, readQueueOptions(queue));
}
