import type { Context, Init, Tier } from '../../../core/call/context.js';
import type { Random } from '../../../core/numbers/random.js';
import type { Clock } from '../../../core/time/clock.js';

/** What a policy of a simulated service uses: hand both to every policy. */
export interface Env {
  /** Virtual time. */
  readonly clock: Clock;
  /** Seeded; each pipeline has one of its own. */
  readonly random: Random;
  /**
   * Has the report follow the state of something that is no policy of the pipeline: a balancer, a retry budget.
   * Policies with a `snapshot` are followed without it.
   */
  watch(name: string, snapshot: () => object): void;
}

/** What of a pipeline the simulator uses: any `Pipeline` whose context has no fields that the caller has to give. */
export interface SimulatedPipeline {
  readonly policies: readonly { readonly name: string; readonly clock?: Clock | undefined }[];
  execute<R>(fn: (ctx: Context) => R | PromiseLike<R>, init?: Init<Context>): Promise<R>;
}

/** For a pipeline around calls. */
export interface ClientEnv extends Env {
  /** The names of the back-ends that the calls go to, for a balancer. */
  readonly instances: readonly string[];
}

/** For a pipeline around a back-end's work: what such a server can measure of itself. */
export interface BackendEnv extends Env {
  /** Share of the workers that are busy now, 0–1; 0 where there is no end of workers. */
  busyRatio(): number;
  /** How many calls wait in the queue. */
  queueLength(): number;
  /** How long the call that waits longest has waited, ms; 0 = none waits. */
  queueWaitMs(): number;
}

/** What a function of a scenario sees of a call. */
export interface CallInfo {
  readonly tier: Tier;
  readonly key: string | undefined;
  readonly cost: number;
  /** Simulated ms since the start. */
  readonly atMs: number;
}

/**
 * A time, ms: always the same one, drawn from a distribution, or made by a function. `p99Ms` is the time that 99 of 100
 * stay under.
 */
export type Duration =
  | number
  | { readonly distribution: 'exponential'; readonly meanMs: number }
  | { readonly distribution: 'lognormal'; readonly medianMs: number; readonly p99Ms: number }
  | { readonly distribution: 'uniform'; readonly minMs: number; readonly maxMs: number }
  | ((call: CallInfo, random: Random) => number);

/** What every kind of load has. */
export interface LoadOptions {
  /** When it begins, ms. @default 0 */
  fromMs?: number | undefined;
  /** When it ends, ms. @default the scenario's durationMs */
  toMs?: number | undefined;
  /** Of its calls; a function draws one per call. @default 3 */
  tier?: Tier | ((random: Random) => Tier) | undefined;
  /** Of its calls; a function draws one per call. @default none */
  key?: string | ((random: Random) => string) | undefined;
  /** Permits that a call takes, ≥ 0. @default 1 */
  cost?: number | undefined;
}

/** From `atMs` on so many calls per second. */
export interface RateChange {
  atMs: number;
  /** ≥ 0. */
  ratePerSecond: number;
  /**
   * Reached in a straight line from the change before (or from no calls at 0 ms) instead of in one step. @default false
   */
  ramp?: boolean | undefined;
}

/** Calls that come whatever the outcome of those before. */
export interface OpenLoad extends LoadOptions {
  /** At even distances, or at random as those of many independent users. */
  arrivals: 'constant' | 'poisson';
  /** Calls per second, ≥ 0; or how that changes, in order of time. */
  ratePerSecond: number | readonly RateChange[];
}

/** So many calls in the same instant, again and again: cron jobs, caches that run out together. */
export interface BurstLoad extends LoadOptions {
  arrivals: 'bursts';
  /** In one burst, a whole number ≥ 1. */
  calls: number;
  /** From one burst to the next, ms, > 0. */
  everyMs: number;
}

/** Users who wait for their answer, think, and call again: the slower the answers, the fewer their calls. */
export interface ClosedLoad extends LoadOptions {
  arrivals: 'users';
  /** A whole number ≥ 1. */
  users: number;
  /**
   * Between an answer, of whatever kind, and the next call; also before the first. Not 0 where calls may fail at once.
   */
  thinkTimeMs: Duration;
}

export type Load = OpenLoad | BurstLoad | ClosedLoad;

/** How calls are made to the back-ends. */
export interface Client {
  /**
   * Gives a try up after so long, ms, > 0; its deadline goes with the call. The pipeline is inside: each try passes
   * through it.
   * @default Infinity
   */
  timeoutMs?: number | undefined;
  /**
   * How many more tries are made when one fails or times out, whatever the state of the back-end: what a naive
   * client does. What the client's own pipeline refuses is not tried again. For a careful one put a retry policy into
   * the pipeline.
   * @default 0
   */
  retries?: number | undefined;
  /** Before each of those. @default 0 */
  retryDelayMs?: Duration | undefined;
  /**
   * Whether the back-end notices that the caller has gone, and drops the call from its queue or stops its work.
   * @default false
   */
  cancels?: boolean | undefined;
  /**
   * Which of several back-ends gets a call; a function returns its place in the list. Where a policy of the pipeline
   * has set `ctx.instance` to a back-end's name or place, that counts.
   * @default 'round-robin'
   */
  route?: 'round-robin' | 'random' | ((call: CallInfo, env: ClientEnv) => number) | undefined;
  /** Guards each try, before the queue. Made once; the code that runs in production. */
  pipeline?: ((env: ClientEnv) => SimulatedPipeline) | undefined;
}

/** What of a back-end may change in mid-run. */
export interface BackendState {
  /** How many calls it works on at a time, a whole number ≥ 0 or Infinity. @default 1 */
  workers?: number | undefined;
  /** How long a worker takes. */
  serviceTimeMs?: Duration | undefined;
  /** What that is multiplied by, > 0: 2.5 makes 50 ms of 20. @default 1 */
  slowdown?: number | undefined;
  /**
   * How many calls may wait, a whole number ≥ 0 or Infinity; one more is answered `queue_full` at once.
   * @default Infinity
   */
  queue?: number | undefined;
  /**
   * Who is next: the first come, the last come, or `adaptive`: the first come, but the last once the queue has not been
   * empty for 100 ms (B. Maurer, Fail at Scale, ACM Queue 2015).
   * @default 'fifo'
   */
  order?: 'fifo' | 'lifo' | 'adaptive' | undefined;
  /** Share of the calls that it fails, 0–1, also by call. @default 0 */
  errorRatio?: number | ((call: CallInfo) => number) | undefined;
  /** How long a worker takes for a call that fails. @default as for the others */
  errorTimeMs?: Duration | undefined;
  /**
   * `refuse`: as if its process was gone; new calls fail at once, and so does what is waiting or under way when it
   * begins. `hang`: as if the network was cut; calls and answers get lost on the way, without an error.
   * @default 'none'
   */
  outage?: 'none' | 'refuse' | 'hang' | undefined;
}

/** From `atMs` on the back-end is like this, in what is given. */
export interface BackendChange extends BackendState {
  atMs: number;
}

/** A simulated server: a queue in front of workers. The same object in two places is the same server. */
export interface Backend extends BackendState {
  serviceTimeMs: Duration;
  /** In the report. @default backend, backend 2 … in the order of the scenario */
  name?: string | undefined;
  /** In order of time. */
  schedule?: readonly BackendChange[] | undefined;
  /**
   * Guards the work, as a worker takes it off the queue: `ctx.receivedAt` is when the call arrived, `ctx.deadline` the
   * caller's. A call that it refuses takes no worker's time except `refusalTimeMs`.
   */
  pipeline?: ((env: BackendEnv) => SimulatedPipeline) | undefined;
  /** What a refusal by that pipeline costs a worker, ms. @default 0 */
  refusalTimeMs?: number | undefined;
  /**
   * The services that each call's work asks when its own service time is over, one after the other; the worker waits.
   */
  calls?: Service | readonly Service[] | undefined;
}

/** Back-ends, and how they are called. The same object in two places is the same client and the same servers. */
export interface Service {
  client?: Client | undefined;
  /** Several = instances of one service. */
  backend: Backend | readonly Backend[];
}

/** What {@link simulate} plays. All times are simulated ms since the start. */
export interface Scenario extends Service {
  /** In the report and above the picture. @default 'simulation' */
  name?: string | undefined;
  /**
   * A whole number, ±2^53: the same seed, the same run. Scenarios that differ in their policies alone get the same
   * calls.
   */
  seed: number;
  /** > 0. */
  durationMs: number;
  /**
   * Length of the report's steps, ms; at most 100,000 of them.
   * @default 1, 2 or 5 × 10ⁿ ms, so that there are 50 to 125 of them
   */
  intervalMs?: number | undefined;
  load: Load | readonly Load[];
  /** Steps of the clock that the policies see, as on a broken host: so many ms at once, also backwards. */
  clockSteps?: readonly { atMs: number; byMs: number }[] | undefined;
}

/** What a call to a simulated back-end fails with, besides the client's own refusals and time-outs. */
export interface BackendError extends Error {
  /**
   * `failed` by its errorRatio or by what it calls itself; `refused` by its pipeline; `queue_full`; `unreachable` in an
   * outage.
   */
  readonly kind: 'failed' | 'refused' | 'queue_full' | 'unreachable';
  /** The back-end's name. */
  readonly backend: string;
  /** Of a refusal: what the server's `Retry-After` says, ms. */
  readonly retryAfterMs: number;
  /** Of a refusal: what the server's gate gave for a reason. */
  readonly reason: string | undefined;
}
