import type { Random } from '../../core/numbers/random.js';

/**
 * Share of the `k − 1` further calls that an accepted call earns. At 1 the downstream gets up to 1.002 of the bound
 * `1.1 · k · capacity` in a second, at 0.95 up to 0.977.
 */
const EARNED_SHARE = 0.95;
/**
 * Over how long they are spread. Shorter recovers sooner, but under 1 / capacity they are all spent before the
 * downstream can take another; 20 to 160 ms all hold the bounds.
 */
const SPREAD_MS = 40;
/**
 * How soon after an accepted call the next probe comes: it starts the growth where round trips are long. 25 ms
 * would recover 0.1 to 0.4 s sooner, and be twice what the downstream of the demo, at 20 per second, can take.
 */
const FIRST_PROBE_MS = 100;
/** After each failed one it takes twice as long, up to this: over 500, so never three in a second; under 1,000. */
const LAST_PROBE_MS = 550;
/** How long unspent rights keep: a lull saves nothing up for a burst. */
const KEEP_MS = 1_000;
/** The bound is on any second: a second after the entry, what was sent before it no longer counts. */
const DEBT_MS = 1_000;
/**
 * A second of calls without a refusal while the downstream is healthy ends it. At half a second it flaps near
 * capacity = load / k.
 */
const CALM_MS = 1_000;
/** A longer time without a call counts as this much: silence tells nothing, and on-and-off traffic would close it. */
const CALM_GAP_MS = 200;
/** What an accepted call earns at least: with exactly one there would be no growth, and no recovery for k = 1. */
const LEAST_EARNED = 1.05;
/** How far back the reported share of refusals looks. */
const REPORT_MS = 150;

/**
 * What a circuit breaker does while it throttles with `recovery: 'fast'`: every call that the downstream takes earns it
 * about `k` more, spread over the next moments, and every call sent spends one. So the downstream gets no more than `k`
 * times what it has just taken, plus a probe now and then; how long it was unhealthy plays no part; and what it gets
 * can double (k = 2) with every round trip. Plain numbers, no timer. docs/decisions/0002 has what lost and the figures.
 */
export class Throttle {
  readonly #random: Random;
  /** Calls that may be sent now; below 0, that many were sent in advance. */
  #rights = 0;
  /** Earned, and not yet released into the rights. */
  #pending = 0;
  #decidedAt = 0;
  #enteredAt = 0;
  #sentAt = 0;
  #sentBeforeAt = 0;
  /** The latest refusal, or the entry: the present run without one began there. */
  #refusedAt = 0;
  /** How long calls have come since then. */
  #calmMs = 0;
  #debtUntil = 0;
  #probeAfterMs = 0;
  #runAccepts = 0;
  #runFailures = 0;
  /** Decisions and refusals, both fading. */
  #offered = 0;
  #refused = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Begins. The calls in flight were sent without a right: they are its first debt. */
  enter(now: number, inFlight: number): void {
    this.#rights = -inFlight;
    this.#pending = this.#runAccepts = this.#runFailures = this.#calmMs = this.#offered = this.#refused = 0;
    this.#enteredAt = this.#decidedAt = this.#sentAt = this.#sentBeforeAt = this.#refusedAt = now;
    this.#debtUntil = now + DEBT_MS;
    this.#probeAfterMs = FIRST_PROBE_MS;
  }

  /** Whether a call may be sent. */
  admit(now: number): boolean {
    this.#moveTo(now);
    this.#offered++;
    // A part of a right is drawn for, not saved up: of several callers that take turns, one would get them all.
    if (this.#rights >= 1 || (this.#rights > 0 && this.#random() < this.#rights) || now >= this.nextProbeMs) {
      this.#rights--;
      this.#sentBeforeAt = this.#sentAt;
      this.#sentAt = now;
      return true;
    }
    this.#refused++;
    this.#refusedAt = now;
    this.#runAccepts = this.#runFailures = this.#calmMs = 0;
    return false;
  }

  #moveTo(now: number): void {
    const passedMs = now - this.#decidedAt;
    if (passedMs > 0) {
      this.#decidedAt = now;
      this.#calmMs += Math.min(passedMs, CALM_GAP_MS);
      const kept = REPORT_MS / (REPORT_MS + passedMs);
      this.#offered *= kept;
      this.#refused *= kept;
      if (this.#rights > 1) this.#rights = 1 + ((this.#rights - 1) * KEEP_MS) / (KEEP_MS + passedMs);
      // An implicit Euler step: right for any length, and never more than there is.
      if (this.#pending > 0) {
        const released = (this.#pending * passedMs) / (SPREAD_MS + passedMs);
        this.#pending -= released;
        this.#rights += released;
      }
    }
    if (now >= this.#debtUntil) this.#rights = Math.max(-1, this.#rights);
  }

  /** A call admitted at `sentAt`, before or after the entry, has ended. */
  settle(accepted: boolean, sentAt: number, k: number): void {
    if (accepted) this.#pending += Math.max(LEAST_EARNED, 1 + (k - 1) * EARNED_SHARE);
    this.#probeAfterMs = accepted ? FIRST_PROBE_MS : Math.min(LAST_PROBE_MS, this.#probeAfterMs * 2);
    // Sent while calls were being refused, it does not say how the downstream handles the full load.
    if (sentAt <= this.#refusedAt) return;
    if (accepted) this.#runAccepts++;
    else this.#runFailures++;
  }

  /**
   * The call admitted at `sentAt` says nothing about the downstream. One from before the entry has not spent a right.
   */
  refund(sentAt: number): void {
    if (sentAt <= this.#enteredAt) return;
    this.#rights++;
    // It was no probe either: an inner gate that refuses nearly all would use up every one.
    if (sentAt === this.#sentAt) this.#sentAt = this.#sentBeforeAt;
  }

  /**
   * Whether the downstream has recovered. It may fail half of what the formula would tolerate: one that takes 1 / k of
   * the load and has room for a few more looks healthy for a second, and would flap.
   */
  isOver(k: number): boolean {
    return this.#calmMs >= CALM_MS && this.#runAccepts > 0 && this.#runFailures <= ((k - 1) / 2) * this.#runAccepts;
  }

  /** When a call gets through whatever the downstream does; while in debt, as rarely as in an outage. Clock ms. */
  get nextProbeMs(): number {
    const probeAt = this.#sentAt + this.#probeAfterMs;
    if (this.#rights >= -1) return probeAt;
    return Math.min(this.#sentAt + LAST_PROBE_MS, Math.max(probeAt, this.#debtUntil));
  }

  /** Share of the calls that are refused at present. */
  get rejectProbability(): number {
    return this.#offered > 0 ? this.#refused / this.#offered : 0;
  }
}
