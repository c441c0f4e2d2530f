/**
 * A client of three servers, one of which dies and comes back. No user's request has to find out: a probe of its own does.
 * Run it: npx tsx examples/balanced-client.ts
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { balancer, pipeline } from 'evenkeel';

const serverAt = async (port = 0): Promise<Server> => {
  const server = createServer((_, response) => response.end('ok')).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
};
const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const kill = async (server: Server): Promise<void> => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
};

const servers = await Promise.all([serverAt(), serverAt(), serverAt()]);
const hosts = servers.map((server, i) => ({ name: 'abc'.charAt(i), url: `http://127.0.0.1:${portOf(server)}` }));

const pool = balancer({
  instances: hosts,
  // So short for the example only.
  probeIntervalMs: 250,
  rampMs: 250,
  probe: async ({ url }, { signal }) => (await fetch(url, { signal })).ok,
  observer: (event) => {
    if (event.type !== 'instance_state') return;
    console.log(`${(event.instance as (typeof hosts)[0]).name} is ${event.state}`);
  },
});
const get = pipeline(pool.policy()).wrap(async (ctx, path: string) => {
  const response = await fetch(ctx.instance.url + path, { signal: ctx.signal });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.text();
});

/** How many of so many requests, one after the other, fail. */
async function failures(requests: number): Promise<number> {
  let failed = 0;
  for (let i = 0; i < requests; i++) await get('/').catch(() => failed++);
  return failed;
}

/** The same, until all servers are up. */
async function failuresUntilUp(): Promise<number> {
  let failed = 0;
  while (pool.snapshot().instances.some(({ state }) => state !== 'up')) failed += await failures(10);
  return failed;
}

console.log(await failures(30)); // → 0

const dead = servers[2] as Server;
await kill(dead);
// → c is masked
console.log(await failures(100)); // → 5
console.log(await failures(100)); // → 0

servers[2] = await serverAt(Number(new URL((hosts[2] as { url: string }).url).port));
// → c is recovering
// → c is up
console.log(await failuresUntilUp()); // → 0

pool.close();
await Promise.all(servers.map(kill));
