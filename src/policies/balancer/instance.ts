import { Ema } from '../../core/numbers/ema.js';
import { Health } from './health.js';

/** How many response times the average looks back on. */
const LATENCY_SAMPLES = 20;
/** An average without new values fades, or a slow answer would keep calls away permanently. */
const FADE_MS = 10_000;

/** What is kept of one instance. */
export class Instance<T> {
  readonly health = new Health();
  readonly #latency = new Ema(LATENCY_SAMPLES, undefined);
  #latencyAt = -Infinity;
  inFlight = 0;
  /** Its calls in flight outlive it. */
  removed = false;
  /** When a call or a probe last went to it while it was not up. */
  triedAt = 0;
  /** Its health's weight, as it has taken effect. */
  weight = 1;
  /** Whether it counts for the panic threshold. */
  low = false;
  /** By what weight it is chosen at present. */
  share = 0;
  /** Its place in what chooses; −1 = not there. */
  place = -1;

  constructor(
    readonly value: T,
    public staticWeight: number,
  ) {}

  get latencyMs(): number {
    return this.#latency.value;
  }

  recordLatency(elapsedMs: number, now: number): void {
    this.#latency.record(elapsedMs);
    this.#latencyAt = now;
  }

  /** Response time × calls in flight with one more. An instance that has not answered yet gets one call at a time. */
  cost(now: number): number {
    if (this.#latencyAt === -Infinity) return this.inFlight === 0 ? 0 : Infinity;
    return this.#latency.value * Math.exp(Math.min(0, this.#latencyAt - now) / FADE_MS) * (this.inFlight + 1);
  }

  /** The clock was set by so much. */
  shift(byMs: number): void {
    this.health.shift(byMs);
    this.triedAt += byMs;
    this.#latencyAt += byMs;
  }
}
