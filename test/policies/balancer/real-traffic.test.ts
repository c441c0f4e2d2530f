/** Three HTTP servers on loopback, one of which is killed and started again under load. Everything is counted in requests. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { balancer, pipeline } from 'evenkeel';
import { afterAll, expect, it } from 'vitest';

const AT_ONCE = 8;
const NEVER = 1e9;

const servers: Server[] = [];
const served = [0, 0, 0];

async function start(i: number, port: number): Promise<number> {
  const server = createServer((_, response) => {
    (served[i] as number)++;
    response.end('ok');
  }).listen(port, '127.0.0.1');
  servers[i] = server;
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function kill(i: number): Promise<void> {
  const server = servers[i] as Server;
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

afterAll(() => Promise.all(servers.map((_, i) => kill(i))));

it('a server that is killed and started again under load costs a few requests', { timeout: 30_000 }, async () => {
  const ports = [await start(0, 0), await start(1, 0), await start(2, 0)];
  const states: string[] = [];
  const pool = balancer({
    instances: ports,
    probeIntervalMs: NEVER,
    rampMs: 0,
    observer: (event) =>
      void (
        event.type === 'instance_state' && states.push(`${ports.indexOf(event.instance as number)} ${event.state}`)
      ),
  });
  const get = pipeline(pool.policy()).wrap(async (ctx) => {
    const response = await fetch(`http://127.0.0.1:${ctx.instance}/`, { signal: ctx.signal });
    return response.text();
  });
  /** Failures of so many requests, AT_ONCE under way; `during` runs when half are done. */
  async function load(requests: number, during?: () => Promise<unknown>): Promise<number> {
    let started = 0;
    let failed = 0;
    const worker = async (): Promise<void> => {
      while (started < requests) {
        if (started++ === Math.floor(requests / 2)) await during?.();
        await get().catch(() => failed++);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return failed;
  }

  expect(await load(150)).toBe(0);
  expect(served).toEqual([50, 50, 50]);

  // Killed in the middle of it: what masks it, and what was on its way.
  const lost = await load(300, () => kill(2));
  expect(lost).toBeGreaterThanOrEqual(5);
  expect(lost).toBeLessThanOrEqual(5 + AT_ONCE);
  expect(states).toEqual(['2 masked']);

  // From now on only the others are asked.
  const before = [...served];
  expect(await load(200)).toBe(0);
  expect(served.map((count, i) => count - (before[i] as number))).toEqual([100, 100, 0]);

  await start(2, ports[2] as number);
  pool.update({ probeIntervalMs: 0.001 });
  let requests = 0;
  for (; requests < 2_000 && states.length < 3; requests += 50) expect(await load(50)).toBe(0);
  expect(states).toEqual(['2 masked', '2 recovering', '2 up']);
  const after = [...served];
  expect(await load(150)).toBe(0);
  for (const [i, count] of served.entries()) expect(Math.abs(count - (after[i] as number) - 50)).toBeLessThanOrEqual(2);
  for (const { inFlight } of pool.snapshot().instances) expect(inFlight).toBe(0);
});
