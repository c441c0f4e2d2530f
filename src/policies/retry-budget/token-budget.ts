/**
 * gRPC's retry throttling (proposal A6): a failure costs a token, a success earns `tokenRatio` of one, and there are
 * retries while more than half of the tokens are left. It settles where `tokenRatio / (1 + tokenRatio)` of the tries
 * fail.
 */
import { OptionReader } from '../../core/options/validate.js';
import type { RetryBudget } from './budget.js';

/** Options of {@link tokenBudget}. */
export interface TokenBudgetOptions {
  /** Tokens at the start and at most; a whole number, 1 to 1,000,000. @default 10 */
  maxTokens?: number | undefined;
  /** What a success earns, in tokens; ≥ 0.001, of which three decimals count. @default 0.1 */
  tokenRatio?: number | undefined;
}

/** A {@link tokenBudget}. */
export interface TokenBudget extends Required<Omit<RetryBudget, 'clock' | 'onUnsent'>> {
  snapshot(): { tokens: number };
}

/** Counts in thousandths, so that ten tenths are one. */
const TOKEN = 1_000;

class Tokens implements TokenBudget {
  readonly #max: number;
  readonly #gain: number;
  #tokens: number;

  constructor(options: TokenBudgetOptions | undefined) {
    const read = new OptionReader('tokenBudget', options);
    this.#max = read.number('maxTokens', 10, { min: 1, max: 1_000_000, integer: true }) * TOKEN;
    this.#gain = Math.round(read.number('tokenRatio', 0.1, { min: 0.001 }) * TOKEN);
    this.#tokens = this.#max;
    read.done();
  }

  onRequest(): void {}

  onFirstDone(ok: boolean): void {
    this.#tokens = ok ? Math.min(this.#max, this.#tokens + this.#gain) : Math.max(0, this.#tokens - TOKEN);
  }

  canRetry(): boolean {
    return this.#tokens > this.#max / 2;
  }

  tryRetry(): boolean {
    return this.canRetry();
  }

  onRetryDone(ok: boolean | undefined): void {
    if (ok !== undefined) this.onFirstDone(ok);
  }

  snapshot(): { tokens: number } {
    return { tokens: this.#tokens / TOKEN };
  }
}

/**
 * A {@link RetryBudget} that stops retries while more than `tokenRatio / (1 + tokenRatio)` of the tries fail: gRPC's
 * retry throttling. `maxTokens / 2` failures in a row stop them from the best state.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function tokenBudget(options?: TokenBudgetOptions): TokenBudget {
  return new Tokens(options);
}
