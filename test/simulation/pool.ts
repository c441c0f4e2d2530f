import { type Balancer, type BalancerOptions, balancer, type Clock, type ResilienceEvent } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';

/** What an instance does with a call that reaches it at `at`. */
export type Answer = (at: number, random: () => number) => { ok: boolean; takesMs: number };

export interface PoolRun {
  instances: Record<string, Answer>;
  durationMs: number;
  perSecond: number;
  /** @default constant */
  arrivals?: 'constant' | 'poisson';
  seed?: number;
  options?: Partial<BalancerOptions<string>>;
  /** Called before each call. */
  before?: (at: number, pool: Balancer<string>) => void;
}

export interface PoolCall {
  at: number;
  endsAt: number;
  instance: string;
  ok: boolean;
}

export interface PoolReport {
  calls: PoolCall[];
  states: { at: number; instance: unknown; state: string }[];
  pool: Balancer<string>;
}

export const well =
  (takesMs = 20): Answer =>
  () => ({ ok: true, takesMs });
/** Fails a share of its calls. */
export const failing =
  (ratio: number, takesMs = 20): Answer =>
  (_, random) => ({ ok: random() >= ratio, takesMs });
/** Well but from `fromMs` to `toMs`, when each call fails after `takesMs`. */
export const dead =
  (fromMs: number, toMs = Infinity, takesMs = 1): Answer =>
  (at) =>
    at >= fromMs && at < toMs ? { ok: false, takesMs } : { ok: true, takesMs: 20 };

/** A clock that is set by hand, with the timers of own probes run when time passes them. */
export interface PoolClock extends Clock {
  at: number;
}

/** Offers calls to a balancer one by one in virtual time, without promises: a minute takes milliseconds. */
export function runPool(run: PoolRun): PoolReport {
  const { seed = 1, perSecond, durationMs } = run;
  const random = seededRandom(seed);
  const none = (): never => {
    throw new Error('the balancer sets no timers');
  };
  const clock: PoolClock = { at: 0, now: () => clock.at, setTimer: none, clearTimer: none };
  const states: PoolReport['states'] = [];
  const observer = (event: ResilienceEvent): void => {
    if (event.type === 'instance_state') states.push({ at: event.at, instance: event.instance, state: event.state });
  };
  const instances = Object.keys(run.instances);
  const options = { clock, random: seededRandom(seed + 1_000_000), observer, ...run.options };
  const pool = balancer({ instances, ...options });
  const calls: PoolCall[] = [];
  /** By the time of their end. */
  const open: PoolCall[] = [];
  const endUntil = (until: number): void => {
    for (let call = open[0]; call !== undefined && call.endsAt <= until; call = open[0]) {
      open.shift();
      clock.at = call.endsAt;
      pool.report(call.instance, call.ok ? 'success' : 'failure', call.endsAt - call.at);
    }
  };
  const gap = 1_000 / perSecond;
  for (let at = gap; at < durationMs; at += run.arrivals === 'poisson' ? -Math.log(1 - random()) * gap : gap) {
    endUntil(at);
    clock.at = at;
    run.before?.(at, pool);
    const instance = pool.pick({ startedAt: at });
    const { ok, takesMs } = (run.instances[instance] as Answer)(at, random);
    const call = { at, endsAt: at + takesMs, instance, ok };
    calls.push(call);
    open.splice(open.findLastIndex((other) => other.endsAt <= call.endsAt) + 1, 0, call);
  }
  endUntil(durationMs);
  return { calls, states, pool };
}

/** Share of the calls from `fromMs` to `toMs` that succeeded. */
export function okRatio(calls: readonly PoolCall[], fromMs = 0, toMs = Infinity): number {
  const inside = calls.filter(({ at }) => at >= fromMs && at < toMs);
  return inside.filter(({ ok }) => ok).length / inside.length;
}

/** The least share of successes in any stretch of `lengthMs` that begins from `fromMs` on. */
export function leastOkRatio(calls: readonly PoolCall[], lengthMs: number, fromMs: number, toMs = Infinity): number {
  const inside = calls.filter(({ at }) => at >= fromMs && at < toMs);
  let least = 1;
  let failures = 0;
  for (let first = 0, last = 0; first < inside.length; first++) {
    const end = (inside[first] as PoolCall).at + lengthMs;
    for (; last < inside.length && (inside[last] as PoolCall).at < end; last++) if (!inside[last]?.ok) failures++;
    if (last === inside.length) break;
    least = Math.min(least, 1 - failures / (last - first));
    if (!inside[first]?.ok) failures--;
  }
  return least;
}

/** Calls a second to `instance` from `fromMs` to `toMs`. */
export function perSecondTo(calls: readonly PoolCall[], instance: string, fromMs: number, toMs: number): number {
  const to = calls.filter((call) => call.instance === instance && call.at >= fromMs && call.at < toMs);
  return (to.length * 1_000) / (toMs - fromMs);
}
