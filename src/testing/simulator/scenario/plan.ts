import type { Tier } from '../../../core/call/context.js';
import type { Random } from '../../../core/numbers/random.js';
import type { Order } from '../run/work-queue.js';
import type { Stretch } from './arrivals.js';
import type { Draw } from './durations.js';
import type { BackendEnv, CallInfo, ClientEnv, SimulatedPipeline } from './scenario.js';

export interface LoadPlan {
  /** Where it stands in the scenario, for errors. */
  path: string;
  kind: 'constant' | 'poisson' | 'bursts' | 'users';
  fromMs: number;
  toMs: number;
  tier: (random: Random) => Tier;
  key: (random: Random) => string | undefined;
  cost: number;
  stretches: readonly Stretch[];
  /** In a burst, or of users. */
  count: number;
  everyMs: number;
  thinkTimeMs: Draw;
}

export interface ServerState {
  workers: number;
  serviceTimeMs: Draw;
  slowdown: number;
  queue: number;
  order: Order;
  errorRatio: (call: CallInfo) => number;
  errorTimeMs: Draw | undefined;
  outage: 'none' | 'refuse' | 'hang';
}

export interface ServerPlan {
  name: string;
  state: ServerState;
  schedule: readonly { atMs: number; changes: Partial<ServerState> }[];
  pipeline: ((env: BackendEnv) => SimulatedPipeline) | undefined;
  refusalTimeMs: number;
  calls: readonly ServicePlan[];
}

export interface ServicePlan {
  /** What the client is called in the report. */
  name: string;
  timeoutMs: number;
  retries: number;
  retryDelayMs: Draw;
  cancels: boolean;
  route: 'round-robin' | 'random' | ((call: CallInfo, env: ClientEnv) => number);
  pipeline: ((env: ClientEnv) => SimulatedPipeline) | undefined;
  servers: readonly ServerPlan[];
}

export interface Plan {
  name: string;
  seed: number;
  durationMs: number;
  intervalMs: number;
  loads: readonly LoadPlan[];
  clockSteps: readonly { atMs: number; byMs: number }[];
  service: ServicePlan;
  /** Each server once, in the order in which the scenario names them. */
  servers: readonly ServerPlan[];
}
