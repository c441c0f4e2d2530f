/** Plays a scenario: discrete events in virtual time around the very pipelines that run in production. */
import type { Random } from '../../../core/numbers/random.js';
import { invalid, OptionReader } from '../../../core/options/validate.js';
import { promiseTurns, type Turn } from '../../../core/time/turns.js';
import { inVirtualTime } from '../../properties/in-virtual-time.js';
import { seededRandom } from '../../random.js';
import { makeReport } from '../report/make-report.js';
import type { Report } from '../report/report.js';
import type { Plan, ServerPlan, ServicePlan } from '../scenario/plan.js';
import { readScenario } from '../scenario/read-scenario.js';
import type { Env, Scenario, SimulatedPipeline } from '../scenario/scenario.js';
import { Caller } from './caller.js';
import { LoadGenerator } from './load-generator.js';
import { Meter, type PolicyState, ServerTally } from './meter.js';
import { Server } from './server.js';
import { Timeline } from './timeline.js';

/** How far a simulation has come. */
export interface Progress {
  /** Simulated ms so far. */
  atMs: number;
  durationMs: number;
  /** Calls offered so far. */
  offered: number;
}

/** Options of {@link simulate}. */
export interface SimulateOptions {
  /** Called at the end of each interval of the report. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Something whose state the report follows. */
interface Watched {
  readonly name: string;
  readonly snapshot: () => object;
}

class Simulation {
  readonly #plan: Plan;
  readonly #timeline: Timeline;
  readonly #meter = new Meter();
  readonly #newRandom: () => Random;
  readonly #servers = new Map<ServerPlan, Server>();
  readonly #callers = new Map<ServicePlan, Caller>();
  readonly #watched: Watched[] = [];
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  #mistake: { error: unknown } | undefined;

  constructor(plan: Plan, onProgress: ((progress: Progress) => void) | undefined, turn: Turn) {
    this.#plan = plan;
    this.#timeline = new Timeline(turn);
    this.#onProgress = onProgress;
    const seeds = seededRandom(plan.seed);
    this.#newRandom = () => seededRandom(Math.floor(seeds() * 2 ** 53));
    // The loads and the back-ends first: they meet the same chances whatever the policies are.
    const loads = plan.loads.map((load) => ({ load, random: this.#newRandom() }));
    for (const server of plan.servers) {
      this.#servers.set(server, new Server(server, this.#timeline, this.#newRandom(), this.#stopAt));
    }
    const caller = this.#callerOf(plan.service);
    for (const [from, server] of this.#servers) {
      server.calls = from.calls.map((service) => this.#callerOf(service));
      if (from.pipeline === undefined) continue;
      const env = { ...this.#env(from.name), ...methodsOf(server) };
      server.pipeline = this.#linked(from.name, from.pipeline(env));
    }
    for (const { atMs, byMs } of plan.clockSteps) this.#timeline.at(atMs, () => this.#timeline.stepClock(byMs));
    this.#divide();
    const generator = new LoadGenerator(this.#timeline, this.#meter, caller, this.#stopAt);
    for (const { load, random } of loads) generator.begin(load, random);
  }

  async run(): Promise<Report> {
    await this.#timeline.run(this.#plan.durationMs);
    if (this.#mistake !== undefined) throw this.#mistake.error;
    for (const server of this.#servers.values()) server.countInto(new ServerTally());
    this.#end();
    const { name, seed, durationMs, intervalMs, servers } = this.#plan;
    const names = { backends: servers.map((server) => server.name), policies: this.#watched.map((one) => one.name) };
    return makeReport({ name, seed, durationMs, intervalMs }, names, this.#meter.intervals);
  }

  #env(owner: string): Env {
    const watch = (name: string, snapshot: () => object): void => {
      if (typeof snapshot !== 'function')
        invalid(`simulate: ${owner}: watch(${JSON.stringify(name)})`, 'snapshot', 'a function', snapshot, true);
      this.#watched.push({ name: this.#unusedName(`${owner}: ${name}`), snapshot });
    };
    return { clock: this.#timeline.clock, random: this.#newRandom(), watch };
  }

  #unusedName(name: string): string {
    let unused = name;
    for (let n = 2; this.#watched.some((one) => one.name === unused); n++) unused = `${name}#${n}`;
    return unused;
  }

  #callerOf(plan: ServicePlan): Caller {
    let caller = this.#callers.get(plan);
    if (caller === undefined) {
      const servers = plan.servers.map((server) => this.#servers.get(server) as Server);
      const random = this.#newRandom();
      const env = { ...this.#env(plan.name), instances: Object.freeze(servers.map(({ name }) => name)) };
      const guard = plan.pipeline && this.#linked(plan.name, plan.pipeline(env));
      caller = new Caller(plan, servers, this.#timeline, random, env, guard, this.#stopAt);
      this.#callers.set(plan, caller);
    }
    return caller;
  }

  /** A pipeline that lives in the simulation's time, and whose policies the report follows. */
  #linked(owner: string, given: SimulatedPipeline): SimulatedPipeline {
    const linked = inVirtualTime(`simulate: ${owner}`, given, this.#timeline.clock);
    for (const policy of given.policies) {
      const { snapshot } = policy as { snapshot?: () => object };
      if (typeof snapshot !== 'function') continue;
      this.#watched.push({
        name: this.#unusedName(`${owner}: ${policy.name}`),
        snapshot: () => snapshot.call(policy),
      });
    }
    return linked;
  }

  /** The report's intervals. They come first: what happens at a boundary belongs to what follows it. */
  #divide(): void {
    const { durationMs, intervalMs } = this.#plan;
    this.#begin(0);
    const count = Math.ceil(durationMs / intervalMs - 1e-9);
    for (let i = 1; i < count; i++) {
      this.#timeline.at(i * intervalMs, () => {
        this.#end();
        this.#begin(i * intervalMs);
      });
    }
  }

  #begin(fromMs: number): void {
    const { durationMs, intervalMs, servers } = this.#plan;
    const counted = this.#meter.begin(fromMs, Math.min(durationMs, fromMs + intervalMs));
    counted.servers = servers.map((server) => {
      const tally = new ServerTally();
      this.#servers.get(server)?.countInto(tally);
      return tally;
    });
  }

  #end(): void {
    const counted = this.#meter.current;
    counted.policies = this.#watched.map(({ snapshot }) => plainOf(snapshot()));
    this.#onProgress?.({ atMs: counted.toMs, durationMs: this.#plan.durationMs, offered: this.#meter.offered });
  }

  readonly #stopAt = (error: unknown): void => {
    this.#mistake ??= { error };
    this.#timeline.stop();
  };
}

const methodsOf = (server: Server): Pick<Server, 'busyRatio' | 'queueLength' | 'queueWaitMs'> => ({
  busyRatio: () => server.busyRatio(),
  queueLength: () => server.queueLength(),
  queueWaitMs: () => server.queueWaitMs(),
});

/** What of a snapshot can be drawn or listed. */
function plainOf(snapshot: object): PolicyState {
  const plain: Record<string, number | string | boolean> = {};
  for (const [field, value] of Object.entries(snapshot)) {
    if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') plain[field] = value;
  }
  return plain;
}

/**
 * Plays `scenario` in virtual time: at 100 calls per second more than a thousand times as fast as real time. The same
 * seed makes the same report, byte for byte.
 *
 * @throws TypeError or RangeError that names the field, for a scenario that is wrong; what the scenario's own functions
 * threw (`serviceTimeMs`, `route` …); and what a policy threw, if that is a mistake in it (TypeError, RangeError,
 * ReferenceError).
 */
export async function simulate(scenario: Scenario, options: SimulateOptions = {}): Promise<Report> {
  return simulateBy(promiseTurns(), scenario, options);
}

/** {@link simulate} with another way to let promise chains run to their end: any exact one makes the same report. */
export async function simulateBy(turn: Turn, scenario: Scenario, options: SimulateOptions = {}): Promise<Report> {
  const read = new OptionReader('simulate', options);
  const onProgress = read.fn<(progress: Progress) => void>('onProgress');
  read.done();
  const plan = readScenario(scenario);
  return new Simulation(plan, onProgress, turn).run();
}
