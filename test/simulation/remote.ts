import { dynamicTimeout, pipeline, type ResilienceEvent, type RetryWindowOptions, retry, retryWindow } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';

export interface Remote {
  /** Calls a second that the remote site bears; it fails those beyond, or leaves them without an answer. */
  perSecond: (at: number) => number;
  tooMany: 'fail' | 'hang';
  latencyMs: number;
  /** Calls a second, all of which the local site fails. */
  offeredPerSecond: number;
  durationMs: number;
  options?: RetryWindowOptions;
}

/** One second of it. */
export interface Second {
  at: number;
  /** The retry window as the second begins. */
  window: number;
  sent: number;
  failed: number;
}

/** Calls come so many times a second, several at once: turns of the event loop are what takes the time. */
const TICKS = 20;

/** The local site is down, and the second try goes to a remote one that bears only so much: in virtual time. */
export async function overflow(remote: Remote): Promise<{ seconds: Second[]; events: ResilienceEvent[] }> {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const window = retryWindow({ clock, observer: (event) => events.push(event), ...remote.options });
  const guard = pipeline(
    retry({ clock, budget: window, backoff: () => 0 }),
    dynamicTimeout({ limitMs: 4_000, maxMs: 4_000, clock }),
  );
  const seconds: Second[] = [];
  const answer = async (): Promise<void> => {
    const second = seconds.at(-1) as Second;
    const taken = second.sent++ < remote.perSecond(clock.now());
    if (!taken) second.failed++;
    if (!taken && remote.tooMany === 'hang') return new Promise(() => {});
    if (remote.latencyMs > 0) await new Promise<void>((resolve) => void clock.setTimer(resolve, remote.latencyMs));
    if (!taken) throw new Error('HTTP 503');
  };
  for (let at = 0; at < remote.durationMs; at += 1_000) {
    seconds.push({ at, window: window.snapshot().window, sent: 0, failed: 0 });
    for (let tick = 1; tick <= TICKS; tick++) {
      for (let i = 0; i < remote.offeredPerSecond / TICKS; i++) {
        guard.execute((ctx) => (ctx.attempt === 0 ? Promise.reject(new Error('local')) : answer())).catch(() => {});
      }
      await clock.run(at + (tick * 1_000) / TICKS);
    }
  }
  return { seconds, events };
}
