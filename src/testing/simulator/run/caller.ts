import { AbortScope } from '../../../core/call/abort.js';
import { abortableOf, type Context, derive, deriveAbortable, type Init } from '../../../core/call/context.js';
import { isRejected, TimeoutError } from '../../../core/errors.js';
import type { Random } from '../../../core/numbers/random.js';
import { invalid } from '../../../core/options/validate.js';
import { pipeline } from '../../../core/pipeline/pipeline.js';
import type { Next, Policy } from '../../../core/policy.js';
import type { ServicePlan } from '../scenario/plan.js';
import type { CallInfo, ClientEnv, SimulatedPipeline } from '../scenario/scenario.js';
import type { Server } from './server.js';
import type { Timeline } from './timeline.js';
import type { Work } from './work.js';

const nothing = (): void => {};

/** Calls a service: its time limit and thoughtless retries, then the pipeline, then the way to one of the servers. */
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
    const { clock } = timeline;
    const careless: Policy[] = [];
    if (plan.retries > 0) careless.push({ name: 'retries', clock, run: (ctx, next) => this.#retry(ctx, next) });
    if (plan.timeoutMs < Infinity)
      careless.push({ name: 'timeout', clock, run: (ctx, next) => this.#limit(ctx, next) });
    this.#pipeline = careless.length === 0 ? guard : pipeline(...careless, ...((guard?.policies ?? []) as Policy[]));
  }

  /** Whether a call may have to wait for promises before it is sent. */
  get guarded(): boolean {
    return this.#pipeline !== undefined;
  }

  /** `init` is the context of the work that makes the call, or what is known of the call where there is none. */
  call(init: Init<Context>, onTry: () => void = nothing): Promise<unknown> {
    const send = (ctx: Context): Promise<void> => {
      onTry();
      return this.#send(ctx);
    };
    return this.#pipeline === undefined ? send(init as Context) : this.#pipeline.execute(send, init);
  }

  async #retry<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    const { retries, retryDelayMs } = this.#plan;
    const abortable = abortableOf(ctx);
    let current = ctx;
    for (let attempt = 1; ; attempt++) {
      try {
        return await next(current);
      } catch (error) {
        if (attempt > retries || isRejected(error) || abortable?.aborted) throw error;
      }
      const delayMs = this.#asked(() => retryDelayMs(this.#infoOf(ctx), this.#random));
      if (delayMs > 0) await new Promise<void>((resolve) => void ctx.clock.setTimer(resolve, delayMs));
      if (abortable?.aborted) throw abortable.reason;
      current = derive(ctx, { attempt, startedAt: ctx.clock.now() } as Partial<C>);
    }
  }

  #limit<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    const { timeoutMs } = this.#plan;
    const outer = abortableOf(ctx);
    const scope = new AbortScope();
    const deadline = Math.min(ctx.deadline, ctx.startedAt + timeoutMs);
    const limited = derive(deriveAbortable(ctx, scope), { deadline } as Partial<C>);
    return new Promise<R>((resolve, reject) => {
      const give = (error: unknown): void => {
        end();
        scope.abort(error);
        reject(error);
      };
      const onOuterAbort = (): void => give(outer?.reason);
      const timer = this.#timeline.at(this.#timeline.now() + timeoutMs, () => {
        this.#timeline.wake();
        give(new TimeoutError('client', timeoutMs));
      });
      const end = (): void => {
        this.#timeline.clear(timer);
        outer?.remove(onOuterAbort);
      };
      outer?.add(onOuterAbort);
      next(limited).then(
        (value) => {
          end();
          resolve(value);
        },
        (error: unknown) => {
          end();
          reject(error);
        },
      );
    });
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
      work = server.receive({ tier, key, cost, deadline, answer }, this.#plan.cancels);
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

  /** What a function of the scenario gives; a mistake in it is no failed call. */
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
