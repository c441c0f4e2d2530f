import type { Clock, RetryBudget } from 'evenkeel';

/** Settles `ms` from now, deaf to any signal. */
export const later = <R>(clock: Clock, ms: number, end: () => R): Promise<R> =>
  new Promise((resolve, reject) => {
    clock.setTimer(() => {
      try {
        resolve(end());
      } catch (error) {
        reject(error);
      }
    }, ms);
  });

export const fail = (message: string) => (): never => {
  throw new Error(message);
};

/** Gives leave as it is told to, and writes down what it is asked and told. */
export class RecordingBudget implements RetryBudget {
  readonly log: string[] = [];
  requests = 0;
  leaves = 0;
  /** Given leave and not yet told how that ended. */
  open = 0;

  constructor(public allow: () => boolean = () => true) {}

  onRequest(): void {
    this.requests++;
    this.log.push('request');
  }

  onFirstDone(ok: boolean): void {
    this.log.push(`first ${ok}`);
  }

  tryRetry(): boolean {
    const allowed = this.allow();
    this.log.push(`ask ${allowed}`);
    if (allowed) {
      this.leaves++;
      this.open++;
    }
    return allowed;
  }

  onRetryDone(ok: boolean | undefined): void {
    this.open--;
    this.log.push(`done ${ok}`);
  }
}
