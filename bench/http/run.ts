/** `npm run bench:http`: what the five policies cost a real server, and what they save it in overload. */
import { buildBeside } from '../kit/build.js';
import { Progress } from '../kit/progress.js';
import { machine } from '../kit/results.js';
import { openSuite } from '../kit/suite.js';
import type { CannonOptions, Shots } from './load.js';
import { type LoadProcess, type ServerProcess, startLoad, startServer } from './processes.js';
import {
  GUARDS,
  type HttpRun,
  httpMarkdown,
  type OverloadRound,
  type Throughput,
  type ThroughputRound,
} from './report.js';
import type { Guard } from './server.js';

const USAGE = `npm run bench:http
  --rounds <n>       fresh servers so many times, default 8; half as many for the overload
  --markdown <file>  put the tables between the lines "<!-- http -->" and "<!-- /http -->" of the file
`;
const CONNECTIONS = 32;
const WARM_UP_S = 1;
/** Until V8 has compiled what is called for each request: by number, for a busy machine serves few a second. */
const WARM_UP_REQUESTS = 20_000;
/** A fifth of a second on a quiet machine: its slow phases are longer, and meet all servers. */
const SHOTS = 6_000;
/** How often each server has its turn before there are fresh ones. An even number: forwards, backwards. */
const TURNS = 6;
/** Enough that the server is never idle, few enough that all are answered in time. */
const CAPACITY_CONNECTIONS = 8;
const OVERLOAD = 3;
const CLIENT_PERIOD_MS = 1_000;
const OVERLOAD_WARM_UP_MS = 3_000;
const OVERLOAD_MS = 5_000;

interface Env {
  dir: string;
  load: LoadProcess;
  progress: Progress;
}

async function shoot(load: LoadProcess, cannon: CannonOptions): Promise<Shots> {
  const report = await load.run({ cannon });
  if (!('shots' in report)) throw new Error('the load generator answered another question');
  if (report.shots.failed > 0) throw new Error(`${report.shots.failed} requests failed where none should`);
  return report.shots;
}

/**
 * Fresh servers, warmed up; then each in turn, forwards and backwards, many short turns: what is compared was measured
 * within two seconds.
 */
async function throughputRounds({ dir, load, progress }: Env, upstream: ServerProcess): Promise<ThroughputRound[]> {
  const servers = new Map<Guard, ServerProcess>();
  const rounds: ThroughputRound[] = [];
  const shots = (server: ServerProcess, requests: number): Promise<Shots> =>
    shoot(load, { port: server.port, connections: CONNECTIONS, until: { requests } });
  async function measured(server: ServerProcess): Promise<Throughput> {
    const before = await server.cpuMs();
    const { answered, perSecond, p99Ms } = await shots(server, SHOTS);
    return { perSecond, p99Ms, cpuUs: (((await server.cpuMs()) - before) / answered) * 1_000 };
  }
  try {
    for (const guard of GUARDS) {
      const server = await startServer(dir, 'server.js', 'upstream', guard, String(upstream.port));
      servers.set(guard, server);
      await shots(server, WARM_UP_REQUESTS);
    }
    for (let turn = 0; turn < TURNS; turn++) {
      const round: Partial<ThroughputRound> = {};
      for (const guard of turn % 2 === 0 ? GUARDS : [...GUARDS].reverse()) {
        progress.step(`throughput, ${guard}`);
        round[guard] = await measured(servers.get(guard) as ServerProcess);
      }
      rounds.push(round as ThroughputRound);
    }
  } finally {
    for (const server of servers.values()) await server.stop();
  }
  return rounds;
}

async function withServer<T>(dir: string, guard: Guard, use: (server: ServerProcess) => Promise<T>): Promise<T> {
  const server = await startServer(dir, 'server.js', 'cpu', guard);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

async function overloadRound({ dir, load, progress }: Env): Promise<OverloadRound> {
  progress.step('capacity of the bare server');
  const capacity = await withServer(dir, 'bare', async ({ port }) => {
    const cannon = { port, connections: CAPACITY_CONNECTIONS };
    await shoot(load, { ...cannon, until: { seconds: WARM_UP_S } });
    return (await shoot(load, { ...cannon, until: { seconds: 2 * WARM_UP_S } })).perSecond;
  });
  const clients = Math.round((OVERLOAD * capacity * CLIENT_PERIOD_MS) / 1_000);
  const overload = (guard: Guard) =>
    withServer(dir, guard, async ({ port }) => {
      progress.step(`${OVERLOAD} × overload, ${guard}`);
      const report = await load.run({
        clients: { port, clients, periodMs: CLIENT_PERIOD_MS, warmUpMs: OVERLOAD_WARM_UP_MS, measureMs: OVERLOAD_MS },
      });
      if (!('tally' in report)) throw new Error('the load generator answered another question');
      return report.tally;
    });
  return { capacity, seconds: OVERLOAD_MS / 1_000, bare: await overload('bare'), guarded: await overload('guarded') };
}

async function measure(rounds: number): Promise<HttpRun> {
  const dir = await buildBeside('build-http', {
    server: 'http/server.ts',
    upstream: 'http/upstream.ts',
    load: 'http/load.ts',
  });
  const overloadRounds = Math.ceil(rounds / 2);
  const run: HttpRun = { startedAt: new Date().toISOString(), machine: machine(), throughput: [], overload: [] };
  const progress = new Progress(rounds * TURNS * GUARDS.length + overloadRounds * 3);
  const load = startLoad(dir);
  const env: Env = { dir, load, progress };
  try {
    const upstream = await startServer(dir, 'upstream.js');
    try {
      for (let i = 0; i < rounds; i++) run.throughput.push(...(await throughputRounds(env, upstream)));
    } finally {
      await upstream.stop();
    }
    for (let i = 0; i < overloadRounds; i++) run.overload.push(await overloadRound(env));
  } finally {
    await load.stop();
    progress.end();
  }
  return run;
}

const { rounds, publish } = openSuite('http', USAGE, 8);
// The children go with this process: processes.ts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const run = await measure(rounds);
publish(run, httpMarkdown(run));
