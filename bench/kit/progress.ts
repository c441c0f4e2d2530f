/** How far the run is, on stderr: one line that is written over, or plain lines now and then where that cannot be. */
export class Progress {
  readonly #startedAt = performance.now();
  #done = -1;

  constructor(readonly steps: number) {}

  /** Says what begins now. */
  step(what: string): void {
    this.#done++;
    const passedS = (performance.now() - this.#startedAt) / 1000;
    const left = this.#done > 3 ? `, ${Math.ceil((passedS / this.#done) * (this.steps - this.#done))} s left` : '';
    const text = `[${this.#done + 1}/${this.steps}${left}] ${what}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    else if (this.#done % 20 === 0) process.stderr.write(`${text}\n`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
