/** Reads a scenario: every field once, checked, never kept. A wrong one gets an error that names it. */
import type { Tier } from '../core/context.js';
import type { Random } from '../core/random.js';
import { checkNumber, invalid, type NumberRule, OptionReader, optionalNumber } from '../core/validate.js';
import { type Change, type Stretch, stretchesOf } from './arrivals.js';
import { type Draw, readDuration } from './durations.js';
import type { BackendEnv, CallInfo, ClientEnv, Scenario, Service, SimulatedPipeline } from './scenario.js';
import type { Order } from './work-queue.js';

/** The fields of one object of the scenario; those that are no plain option are read by `value`. */
class Fields extends OptionReader {
  readonly #given: Record<string, unknown>;

  constructor(
    readonly path: string,
    given: unknown,
    others: readonly string[] = [],
  ) {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      const cut = path.lastIndexOf(': ');
      if (cut < 0) invalid(path, 'scenario', 'an object', given, true);
      invalid(path.slice(0, cut), path.slice(cut + 2), 'an object', given, true);
    }
    const plain = Object.entries(given).filter(([name]) => !others.includes(name));
    super(path, Object.fromEntries(plain));
    this.#given = given as Record<string, unknown>;
  }

  value(name: string): unknown {
    return this.#given[name];
  }

  /** An array, or one that stands for itself; with the path of each. */
  list(name: string, allowed: string): [path: string, given: unknown][] {
    const value = this.value(name);
    if (value === undefined) return [];
    if (Array.isArray(value)) return value.map((one, i) => [`${this.path}: ${name}[${i}]`, one]);
    if (typeof value !== 'object' || value === null) invalid(this.path, name, allowed, value, true);
    return [[`${this.path}: ${name}`, value]];
  }

  /** One of `allowed`; undefined = not given. */
  choice<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.oneOf(name, allowed[0] as T, allowed);
    return this.value(name) === undefined ? undefined : value;
  }

  duration(name: string): Draw {
    return readDuration(this.path, name, this.value(name));
  }
}

export interface LoadPlan {
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

/** @throws TypeError or RangeError that names the field. */
export function readScenario(scenario: Scenario): Plan {
  const read = new Fields('simulate', scenario, ['load', 'client', 'backend', 'clockSteps']);
  const name = read.name('simulation');
  const seed = read.number('seed', undefined, { integer: true, min: -(2 ** 53), max: 2 ** 53 });
  const durationMs = read.number('durationMs', undefined, { above: 0 });
  const intervalMs = read.number('intervalMs', niceInterval(durationMs), { above: 0, max: durationMs });
  read.done();
  const loads = read
    .list('load', 'a load, or an array of them')
    .map(([path, load]) => readLoad(path, load, durationMs));
  if (loads.length === 0) invalid('simulate', 'load', 'a load, or an array of them', scenario.load, true);
  const clockSteps = read.list('clockSteps', 'an array').map(([path, step]) => {
    const fields = new Fields(path, step);
    const read = { atMs: fields.number('atMs', undefined, { min: 0 }), byMs: fields.number('byMs', undefined, {}) };
    fields.done();
    return read;
  });
  const services = new ServiceReader();
  const service = services.read('simulate', scenario, 'client');
  return { name, seed, durationMs, intervalMs, loads, clockSteps, service, servers: services.servers };
}

/** 1, 2 or 5 × 10ⁿ ms, so that 50 to 125 of them make `durationMs`. */
function niceInterval(durationMs: number): number {
  const power = 10 ** Math.floor(Math.log10(durationMs / 50));
  return ([5, 2, 1].find((digit) => digit * power <= durationMs / 50) ?? 1) * power;
}

const TIERS = [1, 2, 3, 4];

function readLoad(owner: string, given: unknown, durationMs: number): LoadPlan {
  const read = new Fields(owner, given, ['tier', 'key', 'ratePerSecond', 'thinkTimeMs']);
  const kind = read.oneOf('arrivals', undefined as never, ['constant', 'poisson', 'bursts', 'users'] as const);
  const toMs = read.number('toMs', durationMs, { min: 0 });
  const plan: LoadPlan = {
    kind,
    fromMs: read.number('fromMs', 0, { min: 0 }),
    toMs: Math.min(toMs, durationMs),
    tier: readTier(owner, read.value('tier')),
    key: readKey(owner, read.value('key')),
    cost: read.number('cost', 1, { min: 0 }),
    stretches: [],
    count: 1,
    everyMs: 0,
    thinkTimeMs: () => 0,
  };
  if (plan.fromMs > toMs) invalid(owner, 'toMs', `≥ fromMs, which is ${plan.fromMs}`, toMs);
  if (kind === 'constant' || kind === 'poisson') plan.stretches = readRate(read, toMs);
  else if (read.value('ratePerSecond') !== undefined) unknownField(owner, 'ratePerSecond', kind);
  if (kind === 'users') plan.thinkTimeMs = read.duration('thinkTimeMs');
  else if (read.value('thinkTimeMs') !== undefined) unknownField(owner, 'thinkTimeMs', kind);
  if (kind === 'users') plan.count = read.number('users', undefined, { integer: true, min: 1 });
  if (kind === 'bursts') {
    plan.count = read.number('calls', undefined, { integer: true, min: 1 });
    plan.everyMs = read.number('everyMs', undefined, { above: 0 });
  }
  read.done();
  return plan;
}

function unknownField(owner: string, field: string, kind: string): never {
  throw new TypeError(`${owner}: ${field} has no meaning where arrivals is '${kind}'`);
}

function readTier(owner: string, value: unknown): (random: Random) => Tier {
  if (typeof value === 'function') return value as (random: Random) => Tier;
  if (value !== undefined && !TIERS.includes(value as number))
    invalid(owner, 'tier', '1, 2, 3, 4 or a function', value);
  const tier = (value ?? 3) as Tier;
  return () => tier;
}

function readKey(owner: string, value: unknown): (random: Random) => string | undefined {
  if (typeof value === 'function') return value as (random: Random) => string;
  if (value !== undefined && typeof value !== 'string') invalid(owner, 'key', 'a string or a function', value, true);
  return () => value as string | undefined;
}

function readRate(read: Fields, toMs: number): Stretch[] {
  const value = read.value('ratePerSecond');
  if (!Array.isArray(value)) {
    const ratePerSecond = checkNumber(read.path, 'ratePerSecond', value, { min: 0 });
    return stretchesOf([{ atMs: 0, ratePerSecond, ramp: false }], 0, toMs);
  }
  const changes: Change[] = inOrder(
    read.list('ratePerSecond', '').map(([path, given]) => {
      const fields = new Fields(path, given);
      const change = {
        path,
        atMs: fields.number('atMs', undefined, { min: 0 }),
        ratePerSecond: fields.number('ratePerSecond', undefined, { min: 0 }),
        ramp: fields.boolean('ramp', false),
      };
      fields.done();
      return change;
    }),
  );
  return stretchesOf(changes, 0, toMs);
}

function inOrder<T extends { path: string; atMs: number }>(list: readonly T[]): Omit<T, 'path'>[] {
  let before = 0;
  return list.map(({ path, ...rest }) => {
    if (rest.atMs < before) invalid(path, 'atMs', `≥ the one before, ${before}`, rest.atMs);
    before = rest.atMs;
    return rest;
  });
}

const STATE = ['serviceTimeMs', 'errorRatio', 'errorTimeMs'];

/** What of a back-end's state is given. */
function readState(read: Fields): Partial<ServerState> {
  const state: Partial<ServerState> = {};
  const number = (name: 'workers' | 'slowdown' | 'queue', rule: NumberRule): void => {
    const value = optionalNumber(read, name, rule);
    if (value !== undefined) state[name] = value;
  };
  number('workers', { min: 0, infinite: true });
  number('slowdown', { above: 0 });
  number('queue', { min: 0, infinite: true });
  const order = read.choice('order', ['fifo', 'lifo', 'adaptive']);
  if (order !== undefined) state.order = order;
  const outage = read.choice('outage', ['none', 'refuse', 'hang']);
  if (outage !== undefined) state.outage = outage;
  if (read.value('serviceTimeMs') !== undefined) state.serviceTimeMs = read.duration('serviceTimeMs');
  if (read.value('errorTimeMs') !== undefined) state.errorTimeMs = read.duration('errorTimeMs');
  const errorRatio = read.value('errorRatio');
  if (errorRatio !== undefined) state.errorRatio = readErrorRatio(read.path, errorRatio);
  return state;
}

function readErrorRatio(owner: string, value: unknown): (call: CallInfo) => number {
  if (typeof value === 'function') {
    return (call) => checkNumber(`${owner}: errorRatio`, 'its result', value(call), { min: 0, max: 1 });
  }
  const ratio = checkNumber(owner, 'errorRatio', value, { min: 0, max: 1 });
  return () => ratio;
}

/** Reads services and back-ends; the same object in two places is read once. */
class ServiceReader {
  readonly servers: ServerPlan[] = [];
  readonly #services = new Map<unknown, ServicePlan>();
  readonly #backends = new Map<unknown, ServerPlan>();
  readonly #names = new Set<string>();
  readonly #open = new Set<unknown>();

  read(owner: string, given: Service, clientName: string): ServicePlan {
    const known = this.#services.get(given);
    if (known !== undefined) return known;
    const fields = new Fields(owner, given, ['client', 'backend', ...Object.keys(given)]);
    const backends = fields.list('backend', 'a back-end, or an array of them');
    if (backends.length === 0) invalid(owner, 'backend', 'a back-end, or an array of them', given.backend, true);
    const servers = backends.map(([path, backend]) => this.#backend(path, backend));
    const service = { ...readClient(`${owner}: client`, given.client ?? {}), name: clientName, servers };
    this.#services.set(given, service);
    return service;
  }

  #backend(owner: string, given: unknown): ServerPlan {
    if (this.#open.has(given)) throw new TypeError(`${owner}: a back-end that calls itself`);
    const known = this.#backends.get(given);
    if (known !== undefined) return known;
    this.#open.add(given);
    const read = new Fields(owner, given, [...STATE, 'calls', 'schedule']);
    const name = read.name(this.servers.length === 0 ? 'backend' : `backend ${this.servers.length + 1}`);
    if (this.#names.has(name)) invalid(owner, 'name', 'another than that of a back-end before', name);
    this.#names.add(name);
    const state = readState(read);
    const { serviceTimeMs = read.duration('serviceTimeMs') } = state;
    const plan: ServerPlan = {
      name,
      state: { ...DEFAULT_STATE, ...state, serviceTimeMs },
      schedule: read.list('schedule', 'an array').length === 0 ? [] : readSchedule(read),
      pipeline: read.fn('pipeline'),
      refusalTimeMs: read.number('refusalTimeMs', 0, { min: 0 }),
      calls: [],
    };
    read.done();
    this.servers.push(plan);
    this.#backends.set(given, plan);
    plan.calls = read.list('calls', 'a service, or an array of them').map(([path, service]) => {
      const fields = new Fields(path, service, ['client', 'backend']);
      fields.done();
      return this.read(path, service as Service, `client of ${name}`);
    });
    this.#open.delete(given);
    return plan;
  }
}

const DEFAULT_STATE = {
  workers: 1,
  slowdown: 1,
  queue: Infinity,
  order: 'fifo',
  errorRatio: () => 0,
  errorTimeMs: undefined,
  outage: 'none',
} as const satisfies Omit<ServerState, 'serviceTimeMs'>;

function readSchedule(read: Fields): ServerPlan['schedule'] {
  return inOrder(
    read.list('schedule', 'an array').map(([path, given]) => {
      const fields = new Fields(path, given, STATE);
      const change = { path, atMs: fields.number('atMs', undefined, { min: 0 }), changes: readState(fields) };
      fields.done();
      return change;
    }),
  );
}

function readClient(owner: string, given: unknown): Omit<ServicePlan, 'name' | 'servers'> {
  const read = new Fields(owner, given, ['retryDelayMs', 'route']);
  const route = read.value('route') ?? 'round-robin';
  if (route !== 'round-robin' && route !== 'random' && typeof route !== 'function') {
    invalid(owner, 'route', "'round-robin', 'random' or a function", route);
  }
  const plan = {
    timeoutMs: read.number('timeoutMs', Infinity, { above: 0, infinite: true }),
    retries: read.number('retries', 0, { integer: true, min: 0 }),
    retryDelayMs: read.value('retryDelayMs') === undefined ? () => 0 : read.duration('retryDelayMs'),
    cancels: read.boolean('cancels', false),
    route: route as ServicePlan['route'],
    pipeline: read.fn<(env: ClientEnv) => SimulatedPipeline>('pipeline'),
  };
  read.done();
  return plan;
}
