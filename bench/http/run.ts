/** `npm run bench:http`: what the five policies cost a real server, and what they save it in overload. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBeside, resultsDir } from '../build.js';
import { MarkedPlace } from '../marked-place.js';
import { Progress } from '../progress.js';
import { machine } from '../results.js';
import type { Shots } from './load.js';
import { type LoadProcess, type ServerProcess, startLoad, startServer } from './processes.js';
import { GUARDS, type HttpRun, httpMarkdown, type OverloadRound, type ThroughputRound } from './report.js';
import type { Guard } from './server.js';

const USAGE = `npm run bench:http
  --rounds <n>       of the throughput, default 8; the overload has half as many
  --markdown <file>  put the tables between the lines "<!-- http -->" and "<!-- /http -->" of the file
`;
const CONNECTIONS = 32;
const WARM_UP_S = 1;
const SHOTS_S = 1.5;
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

async function shoot(load: LoadProcess, port: number, connections: number, seconds: number): Promise<Shots> {
  const report = await load.run({ cannon: { port, connections, seconds } });
  if (!('shots' in report)) throw new Error('the load generator answered another question');
  if (report.shots.failed > 0) throw new Error(`${report.shots.failed} requests failed where none should`);
  return report.shots;
}

/** Fresh servers, warmed up; then each in turn, forwards and backwards: so each has its turn at the same time on average. */
async function throughputRound({ dir, load, progress }: Env, upstream: ServerProcess): Promise<ThroughputRound> {
  const servers = new Map<Guard, ServerProcess>();
  const shots = new Map<Guard, { found: Shots; cpuMs: number }[]>(GUARDS.map((guard) => [guard, []]));
  try {
    for (const guard of GUARDS) {
      const server = await startServer(dir, 'server.js', 'upstream', guard, String(upstream.port));
      servers.set(guard, server);
      await shoot(load, server.port, CONNECTIONS, WARM_UP_S);
    }
    for (const guard of [...GUARDS, ...[...GUARDS].reverse()]) {
      progress.step(`throughput, ${guard}`);
      const server = servers.get(guard) as ServerProcess;
      const before = await server.cpuMs();
      const found = await shoot(load, server.port, CONNECTIONS, SHOTS_S);
      shots.get(guard)?.push({ found, cpuMs: (await server.cpuMs()) - before });
    }
  } finally {
    for (const server of servers.values()) await server.stop();
  }
  const figures = (guard: Guard) => {
    const both = shots.get(guard) ?? [];
    const sum = (of: (one: (typeof both)[number]) => number): number => both.reduce((all, one) => all + of(one), 0);
    return {
      perSecond: sum((one) => one.found.perSecond) / both.length,
      p99Ms: sum((one) => one.found.p99Ms) / both.length,
      cpuUs: (sum((one) => one.cpuMs) / sum((one) => one.found.answered)) * 1_000,
    };
  };
  return { bare: figures('bare'), guarded: figures('guarded'), signal: figures('signal') };
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
    await shoot(load, port, CAPACITY_CONNECTIONS, WARM_UP_S);
    return (await shoot(load, port, CAPACITY_CONNECTIONS, 2 * WARM_UP_S)).perSecond;
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
  const progress = new Progress(rounds * 2 * GUARDS.length + overloadRounds * 3);
  const load = startLoad(dir);
  const env: Env = { dir, load, progress };
  try {
    const upstream = await startServer(dir, 'upstream.js');
    try {
      for (let i = 0; i < rounds; i++) run.throughput.push(await throughputRound(env, upstream));
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

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    markdown: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
if (values.help || !Number.isInteger(rounds) || rounds < 1) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
const page = values.markdown === undefined ? undefined : new MarkedPlace(values.markdown, 'http');
// The children go with this process: processes.ts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const run = await measure(rounds);
mkdirSync(resultsDir, { recursive: true });
writeFileSync(join(resultsDir, 'http.json'), `${JSON.stringify(run, null, 2)}\n`);
const tables = httpMarkdown(run);
page?.write(tables);
console.log(tables);
