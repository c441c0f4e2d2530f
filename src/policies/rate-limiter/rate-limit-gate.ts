import { type Context, wasSent } from '../../core/call/context.js';
import { GateBase, readMode } from '../../core/gates/gate-base.js';
import { COUNTED, UNCOUNTED } from '../../core/gates/ledger.js';
import type { Changes } from '../../core/options/common.js';
import { rankOf, readTierRatios, type TierRatios } from '../../core/options/tier-ratios.js';
import { checkNumber, OptionReader } from '../../core/options/validate.js';
import type { GateOptions, Mode, ReleaseDetails, Verdict } from '../../core/policy.js';
import type { Meter, Reading } from './meter.js';

/** Options of both limiters. */
export interface LimitOptions extends GateOptions {
  /** What may be admitted in `windowMs`, a whole number ≥ 1 of permits; a call takes `ctx.cost` of them. */
  limit: number;
  /** Length of the window, ms, > 0. */
  windowMs: number;
  /**
   * The share of `limit` that calls of tier 1, 2, 3 and 4 may fill: 1 for tier 1, then each > 0 and none larger than
   * the one before it; rounded to whole permits, one at least. When there is room for some, tier 1 goes first and tier
   * 4 is refused first. Without it tiers are not looked at. @default none
   */
  tierRatios?: readonly [number, number, number, number] | undefined;
}

/** What their `update` can change. */
export type LimitUpdate = Changes<Pick<LimitOptions, 'limit' | 'mode'>>;

/** Plain data on one limit. */
export interface RateLimiterSnapshot extends Reading {
  limit: number;
  windowMs: number;
}

const readLimit = (read: OptionReader, current?: number): number =>
  read.number('limit', current, { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true });

const costOf = (owner: string, ctx: Partial<Context> | undefined): number => {
  const cost = ctx?.cost ?? 1;
  return typeof cost === 'number' && cost >= 0 ? cost : checkNumber(owner, 'cost', cost, { min: 0 });
};

/** Enforces what a {@link Meter} says. */
export abstract class LimitGate extends GateBase {
  readonly reason = 'rate_limited';
  readonly usesElapsed = false;
  protected abstract readonly meter: Meter;
  protected readonly windowMs: number;
  #limit: number;
  readonly #tierRatios: TierRatios | undefined;

  /** The latest time of the clock: one that steps back stands still. */
  #now = -Infinity;

  constructor(read: OptionReader, name: string) {
    super(read, name);
    this.#limit = readLimit(read);
    this.windowMs = read.number('windowMs', undefined, { above: 0 });
    this.#tierRatios = readTierRatios(read);
  }

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.mode === 'off') {
      this.ledger.note(UNCOUNTED, ctx);
      return true;
    }
    const now = ctx?.startedAt ?? this.#clockNow();
    const cost = costOf(this.name, ctx);
    if (cost === 0 || this.meter.take(now, cost, this.#limitOf(ctx), ctx?.key)) {
      this.ledger.count(ctx);
      return true;
    }
    if (!this.refuse(now, ctx)) return false;
    // Not counted, as it would not have been either if it had been refused.
    this.ledger.note(UNCOUNTED, ctx);
    return true;
  }

  #clockNow(): number {
    const now = this.clock.now();
    if (now > this.#now) this.#now = now;
    return this.#now;
  }

  /** What all calls together may have used when one like `ctx` is admitted. */
  #limitOf(ctx: Partial<Context> | undefined): number {
    const ratios = this.#tierRatios;
    return ratios === undefined ? this.#limit : Math.max(1, Math.round(this.#limit * ratios[rankOf(ctx)]));
  }

  /** A quota counts what was sent, however it ends: refunds a call only if no function was called for it. */
  release(verdict: Verdict, elapsedMs: number, ctx?: Partial<Context>, details?: ReleaseDetails): void {
    if (this.ledger.end(ctx) !== COUNTED || verdict !== 'ignored') return;
    if (details?.sent === true || (ctx !== undefined && wasSent(ctx))) return;
    const cost = ctx?.cost ?? 1;
    if (cost > 0) this.meter.refund(ctx?.startedAt ?? this.clock.now() - elapsedMs, cost, ctx?.key);
  }

  /** Exact: waiting so long admits the call if no other is admitted before. Infinity: it costs more than its share. */
  retryAfterMs(ctx?: Partial<Context>): number {
    const cost = costOf(this.name, ctx);
    if (cost === 0 || this.mode === 'off') return 0;
    return this.#waitMs(cost, ctx);
  }

  #waitMs(cost: number, ctx: Partial<Context> | undefined): number {
    const limit = this.#limitOf(ctx);
    if (ctx?.startedAt !== undefined) return this.meter.waitMs(ctx.startedAt, cost, limit, ctx.key);
    return this.meter.waitMs(this.clock.now(), cost, limit, ctx?.key, this.#clockNow());
  }

  update(options: LimitUpdate): void {
    const read = new OptionReader(`${this.name}.update`, options);
    const limit = readLimit(read, this.#limit);
    const mode: Mode = readMode(read, this.mode);
    read.done();
    this.mode = mode;
    this.#limit = limit;
  }

  protected snapshotOf(key: string | undefined): RateLimiterSnapshot {
    const limit = this.#limit;
    return { ...this.meter.read(this.clock.now(), limit, key, this.#clockNow()), limit, windowMs: this.windowMs };
  }
}
