/**
 * A client of two sites: the near one first, the far one when that refuses, fails or hangs, as far as the far one can
 * handle it. Run it: npx tsx examples/two-sites.ts
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  type Clock,
  type Context,
  circuitBreaker,
  dynamicTimeout,
  type Failover,
  failover,
  pipeline,
  retryWindow,
  systemClock,
} from 'evenkeel';

/** What the sites have to know of a call, besides what every call has. */
export interface Call extends Context {
  readonly path: string;
}

/** Each site has a breaker and a time limit of its own: what ails one says nothing about the other. */
function site(name: string, url: string, clock: Clock): (ctx: Call) => Promise<string> {
  const guard = pipeline<Call>(
    circuitBreaker({ name: `breaker of ${name}`, clock }),
    dynamicTimeout({ name: `limit of ${name}`, limitMs: 250, maxMs: 1_000, clock }),
  );
  const get = async ({ path, signal }: Call): Promise<string> => {
    const response = await fetch(url + path, { signal });
    // A 404 is an answer, and the other site would give the same.
    if (response.status >= 500) throw new Error(`${name}: HTTP ${response.status}`);
    return `${name}: ${response.status} ${await response.text()}`;
  };
  // With `ctx` the guard takes over the caller's abort and the deadline.
  return (ctx) => guard.execute(get, ctx);
}

export function twoSites(local: string, remote: string, clock: Clock = systemClock): Failover<Call, string> {
  return failover({
    local: site('local', local, clock),
    remote: site('remote', remote, clock),
    // Remote has users of its own: what it gets of ours grows while it answers, and halves when it does not.
    budget: retryWindow({ clock }),
    clock,
  });
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const servers = ['near', 'far'].map((name) =>
    createServer((request, response) => response.end(`${name} ${request.url}`)),
  ) as [Server, Server];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const sites = twoSites(urlOf(servers[0]), urlOf(servers[1]));
  console.log(await sites.execute({ path: '/hello' }));

  servers[0].closeAllConnections();
  servers[0].close();
  for (let i = 0; i < 3; i++) {
    // The window lets one call per second through to remote at first.
    console.log(await sites.execute({ path: '/hello' }).catch((error: Error) => error.message));
  }
  console.log(sites.snapshot());
  servers[1].closeAllConnections();
  servers[1].close();
}
