import type { Campaign } from './campaign.js';
import { refusedOf } from './counts.js';

const WIDTH = 30;
const duration = (ms: number): string => {
  const s = Math.round(ms / 1_000);
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
};

/** How a campaign goes, on stderr: a bar that is written over, or where that cannot be a line each twentieth. */
export class ProgressBar {
  readonly #campaign: Campaign;
  readonly #startMs = performance.now();
  /** What an earlier run had done. */
  readonly #before: number;
  #saidTwentieths = -1;

  constructor(campaign: Campaign) {
    this.#campaign = campaign;
    this.#before = campaign.counts.offered;
  }

  text(): string {
    const { count, counts } = this.#campaign;
    const { offered, admitted } = counts;
    const full = Math.floor((WIDTH * offered) / count);
    const perMs = (offered - this.#before) / (performance.now() - this.#startMs);
    return [
      `[${'█'.repeat(full)}${'·'.repeat(WIDTH - full)}] ${((offered / count) * 100).toFixed(1)} %`,
      `${(offered / 1e9).toFixed(2)} of ${(count / 1e9).toFixed(2)} billion`,
      `${(perMs / 1e3).toFixed(1)} M/s`,
      `${duration((count - offered) / perMs)} left`,
      `admitted ${((admitted / offered) * 100).toFixed(1)} %, refused ${((refusedOf(counts) / offered) * 100).toFixed(1)} %`,
    ].join(' · ');
  }

  draw(): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${this.text().slice(0, (process.stderr.columns ?? 80) - 1)}`);
      return;
    }
    const twentieths = Math.floor((this.#campaign.counts.offered / this.#campaign.count) * 20);
    if (twentieths === this.#saidTwentieths) return;
    this.#saidTwentieths = twentieths;
    process.stderr.write(`${this.text()}\n`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
  }
}
