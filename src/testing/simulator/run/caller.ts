import { abortableOf, type Context, type Init } from '../../../core/call/context.js';
import type { Random } from '../../../core/numbers/random.js';
import { invalid } from '../../../core/options/validate.js';
import { pipeline } from '../../../core/pipeline/pipeline.js';
import type { Policy } from '../../../core/policy.js';
import type { ServicePlan } from '../scenario/plan.js';
import type { CallInfo, ClientEnv, SimulatedPipeline } from '../scenario/scenario.js';
import { naiveClient } from './naive-client.js';
import type { Server } from './server.js';
import type { Timeline } from './timeline.js';
import type { Work } from './work.js';

const nothing = (): void => {};

/** Calls a service: the naive client's time limit and retries, then the pipeline, then one of the servers. */
export class Caller {
  readonly #plan: ServicePlan;
  readonly #servers: readonly Server[];
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #env: ClientEnv;
  readonly #stopAt: (mistake: unknown) => void;
  /** The time limit and the retries around the guard; undefined = nothing of all that. */
  readonly #pipeline: SimulatedPipeline | undefined;
  #turn = 0;

  constructor(
    plan: ServicePlan,
    servers: readonly Server[],
    timeline: Timeline,
    random: Random,
    env: ClientEnv,
    guard: SimulatedPipeline | undefined,
    stopAt: (mistake: unknown) => void,
  ) {
    this.#plan = plan;
    this.#servers = servers;
    this.#timeline = timeline;
    this.#random = random;
    this.#env = env;
    this.#stopAt = stopAt;
    const { timeoutMs, retries } = plan;
    const retryDelayMs = (ctx: Context): number =>
      this.#asked(() => plan.retryDelayMs(this.#infoOf(ctx), this.#random));
    this.isGuarded = guard !== undefined;
    const isNaive = retries > 0 || timeoutMs < Infinity;
    this.#pipeline = isNaive
      ? pipeline(
          naiveClient({ timeoutMs, retries, retryDelayMs, isGuarded: this.isGuarded }, timeline),
          ...((guard?.policies ?? []) as Policy[]),
        )
      : guard;
  }

  /** Whether a call may have to wait for promises before it is sent. The naive client sends it at once. */
  readonly isGuarded: boolean;

  /** `init` is the context of the work that makes the call, or what is known of the call where there is none. */
  call(init: Init<Context>, onTry: () => void = nothing): Promise<unknown> {
    const send = (ctx: Context): Promise<void> => {
      onTry();
      return this.#send(ctx);
    };
    return this.#pipeline === undefined ? send(init as Context) : this.#pipeline.execute(send, init);
  }

  /** Sends one try to a server, and lets that know when the caller has gone. */
  #send(ctx: Context): Promise<void> {
    const server = this.#route(ctx);
    const abortable = abortableOf(ctx);
    return new Promise((resolve, reject) => {
      let work: Work | undefined;
      const onAbort = (): void => {
        if (work !== undefined) server.leave(work, abortable?.reason);
        reject(abortable?.reason);
      };
      abortable?.add(onAbort);
      const { tier = 3, key, cost = 1, deadline = Infinity } = ctx;
      const answer = (error: unknown): void => {
        abortable?.remove(onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      work = server.receive({ tier, key, cost, deadline }, answer, this.#plan.cancels);
    });
  }

  #route(ctx: Context & { readonly instance?: unknown }): Server {
    const servers = this.#servers;
    const chosen = this.#chosenBy(ctx.instance);
    if (chosen !== undefined) return chosen;
    const place = this.#place(ctx);
    const server = typeof place === 'number' ? servers[place] : undefined;
    return (
      server ??
      invalid(`simulate: ${this.#plan.name}: route`, 'its result', `a place from 0 to ${servers.length - 1}`, place)
    );
  }

  /** What a function of the scenario returns. What it throws ends the run: it is no failed call. */
  #asked(fn: () => number): number {
    try {
      return fn();
    } catch (error) {
      this.#stopAt(error);
      throw error;
    }
  }

  /** By a policy, which knows the servers by name. */
  #chosenBy(instance: unknown): Server | undefined {
    if (instance === undefined) return undefined;
    const name = typeof instance === 'object' ? (instance as { name?: unknown } | null)?.name : instance;
    const server = this.#servers.find((one, place) => one.name === name || place === name);
    if (server !== undefined) return server;
    throw new RangeError(
      `simulate: ${this.#plan.name}: there is no back-end ${String(name)}, which ctx.instance names`,
    );
  }

  #place(ctx: Context): number {
    const count = this.#servers.length;
    const { route } = this.#plan;
    if (count === 1 && typeof route !== 'function') return 0;
    if (route === 'round-robin') return this.#turn++ % count;
    if (route === 'random') return Math.floor(this.#random() * count);
    return this.#asked(() => route(this.#infoOf(ctx), this.#env));
  }

  #infoOf({ tier = 3, key, cost = 1 }: Context): CallInfo {
    return { tier, key, cost, atMs: this.#timeline.now() };
  }
}
