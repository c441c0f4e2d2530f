import { checkNumber, invalid, optionalNumber } from '../../../core/options/validate.js';
import { Fields, inOrder } from './fields.js';
import type { ServerPlan, ServerState, ServicePlan } from './plan.js';
import type { CallInfo, ClientEnv, SimulatedPipeline } from './scenario.js';

/** What of a back-end's state is given. */
function readState(read: Fields): Partial<ServerState> {
  const errorRatio = read.whatever('errorRatio');
  const state = {
    workers: read.optionalCount('workers'),
    serviceTimeMs: read.optionalDuration('serviceTimeMs'),
    slowdown: optionalNumber(read, 'slowdown', { above: 0 }),
    queue: read.optionalCount('queue'),
    order: read.choice('order', ['fifo', 'lifo', 'adaptive']),
    errorRatio: errorRatio === undefined ? undefined : readErrorRatio(read.path, errorRatio),
    errorTimeMs: read.optionalDuration('errorTimeMs'),
    outage: read.choice('outage', ['none', 'refuse', 'hang']),
  };
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== undefined)) as Partial<ServerState>;
}

function readErrorRatio(owner: string, value: unknown): (call: CallInfo) => number {
  if (typeof value === 'function') {
    return (call) => checkNumber(`${owner}: errorRatio`, 'its result', value(call), { min: 0, max: 1 });
  }
  const ratio = checkNumber(owner, 'errorRatio', value, { min: 0, max: 1 });
  return () => ratio;
}

/** Reads services and back-ends; the same object in two places is read once. */
export class ServiceReader {
  readonly servers: ServerPlan[] = [];
  readonly #services = new Map<unknown, ServicePlan>();
  readonly #backends = new Map<unknown, ServerPlan>();
  readonly #names = new Set<string>();
  readonly #open = new Set<unknown>();

  /** What of `fields` makes a service; the others are the caller's. */
  read(fields: Fields, clientName: string): ServicePlan {
    const client = readClient(`${fields.path}: client`, fields.whatever('client', {}));
    const backends = fields.atLeastOne('backend', 'a back-end, or an array of them');
    return { ...client, name: clientName, servers: backends.map(([path, backend]) => this.#backend(path, backend)) };
  }

  #service(path: string, given: unknown, clientName: string): ServicePlan {
    const known = this.#services.get(given);
    if (known !== undefined) return known;
    const fields = new Fields(path, given);
    const service = this.read(fields, clientName);
    fields.done();
    this.#services.set(given, service);
    return service;
  }

  #backend(owner: string, given: unknown): ServerPlan {
    if (this.#open.has(given)) throw new TypeError(`${owner}: a back-end that calls itself`);
    const known = this.#backends.get(given);
    if (known !== undefined) return known;
    this.#open.add(given);
    const read = new Fields(owner, given);
    const name = read.name(this.servers.length === 0 ? 'backend' : `backend ${this.servers.length + 1}`);
    if (this.#names.has(name)) invalid(owner, 'name', 'another than that of a back-end before', name);
    this.#names.add(name);
    const state = readState(read);
    const { serviceTimeMs = read.duration('serviceTimeMs') } = state;
    const plan: ServerPlan = {
      name,
      state: { ...DEFAULT_STATE, ...state, serviceTimeMs },
      schedule: readSchedule(read),
      pipeline: read.fn('pipeline'),
      refusalTimeMs: read.number('refusalTimeMs', 0, { min: 0 }),
      calls: [],
    };
    const calls = read.list('calls', 'a service, or an array of them');
    read.done();
    this.servers.push(plan);
    this.#backends.set(given, plan);
    plan.calls = calls.map(([path, service]) => this.#service(path, service, `client of ${name}`));
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
      const fields = new Fields(path, given);
      const change = { path, atMs: fields.number('atMs', undefined, { min: 0 }), changes: readState(fields) };
      fields.done();
      return change;
    }),
  );
}

function readClient(owner: string, given: unknown): Omit<ServicePlan, 'name' | 'servers'> {
  const read = new Fields(owner, given);
  const route = read.whatever('route', 'round-robin');
  if (route !== 'round-robin' && route !== 'random' && typeof route !== 'function') {
    invalid(owner, 'route', "'round-robin', 'random' or a function", route);
  }
  const plan = {
    timeoutMs: read.number('timeoutMs', Infinity, { above: 0, infinite: true }),
    retries: read.number('retries', 0, { integer: true, min: 0 }),
    retryDelayMs: read.optionalDuration('retryDelayMs') ?? (() => 0),
    cancels: read.boolean('cancels', false),
    route: route as ServicePlan['route'],
    pipeline: read.fn<(env: ClientEnv) => SimulatedPipeline>('pipeline'),
  };
  read.done();
  return plan;
}
