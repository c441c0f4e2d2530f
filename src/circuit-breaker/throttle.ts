import type { Random } from '../core/random.js';

/** How much of a right to `k` calls an accepted call earns: the few per cent that keep every second under 1.1·k·C. */
const EARN = 0.95;
/** Over how long an earned right is spread, ms. */
const SPREAD_MS = 40;
const PROBE_MIN_MS = 25;
const PROBE_MAX_MS = 550;
const FADE_MS = 1_000;
const SEE_MS = 150;
const DEBT_MS = 1_000;
const CALM_MS = 1_000;

export class Throttle {
  readonly #random: Random;
  #allowance = 0;
  #pending = 0;
  #decidedAt = 0;
  #sentAt = 0;
  #refusedAt = 0;
  #debtUntil = 0;
  #probeEveryMs = 0;
  #runOk = 0;
  #runFailed = 0;
  #offered = 0;
  #refused = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  enter(now: number, inFlight: number): void {
    this.#allowance = -inFlight;
    this.#pending = this.#runOk = this.#runFailed = this.#offered = this.#refused = 0;
    this.#decidedAt = this.#sentAt = this.#refusedAt = now;
    this.#debtUntil = now + DEBT_MS;
    this.#probeEveryMs = PROBE_MIN_MS;
  }

  admit(now: number): boolean {
    const dt = now - this.#decidedAt;
    if (dt > 0) {
      this.#decidedAt = now;
      const keep = SEE_MS / (SEE_MS + dt);
      this.#offered *= keep;
      this.#refused *= keep;
      if (this.#allowance > 1) this.#allowance = 1 + (this.#allowance - 1) * (FADE_MS / (FADE_MS + dt));
      const moved = (this.#pending * dt) / (SPREAD_MS + dt);
      this.#pending -= moved;
      this.#allowance += moved;
    }
    if (this.#allowance < -1 && now >= this.#debtUntil) this.#allowance = -1;
    this.#offered += 1;
    if (
      this.#allowance >= 1 ||
      (this.#allowance > 0 && this.#random() < this.#allowance) ||
      now - this.#sentAt >= (this.#allowance < -1 ? PROBE_MAX_MS : this.#probeEveryMs)
    ) {
      this.#allowance -= 1;
      this.#sentAt = now;
      return true;
    }
    this.#refused += 1;
    this.#refusedAt = now;
    this.#runOk = this.#runFailed = 0;
    return false;
  }

  settle(ok: boolean, sentAt: number, k: number): void {
    if (ok) this.#pending += 1 + (k - 1) * EARN;
    this.#probeEveryMs = ok ? PROBE_MIN_MS : Math.min(PROBE_MAX_MS, this.#probeEveryMs * 2);
    if (sentAt <= this.#refusedAt) return;
    if (ok) this.#runOk += 1;
    else this.#runFailed += 1;
  }

  over(now: number, k: number): boolean {
    return now - this.#refusedAt >= CALM_MS && this.#runOk > 0 && this.#runFailed <= ((k - 1) / 2) * this.#runOk;
  }

  get rejectProbability(): number {
    return this.#offered > 0 ? this.#refused / this.#offered : 0;
  }

  get nextProbeMs(): number {
    return this.#sentAt + this.#probeEveryMs;
  }
}
