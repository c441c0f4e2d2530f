import { pipeline, type ResilienceEvent } from 'evenkeel';
import { type ChaosOptions, chaos, isInjected } from 'evenkeel/chaos';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';

export function experiment(options: ChaosOptions, seed = 1) {
  const clock = manualClock();
  const events: ResilienceEvent[] = [];
  const faults = chaos({
    clock,
    random: seededRandom(seed),
    observer: (event) => events.push(event),
    ...options,
  });
  const measured = typeof options.steadyState === 'function' ? [] : [faults.steadyState()];
  return { clock, events, faults, calls: pipeline(...measured, faults) };
}

/** How a call ends, and when. */
export async function ended(clock: ManualClock, call: Promise<unknown>): Promise<unknown[]> {
  return call.then(
    (value) => ['value', value, clock.now()],
    (error: unknown) => [isInjected(error) ? 'injected' : 'error', error, clock.now()],
  );
}
