/**
 * A server whose operators can put its own protection to the test: POST /chaos/start and /chaos/stop.
 * Run it: npx tsx examples/chaos-experiment.ts
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Clock, pipeline, type Random, ratioBudget, retry, systemClock } from 'evenkeel';
import { chaos } from 'evenkeel/chaos';

/** In place of a call to another service. */
const price = async (): Promise<string> => '42';

export function priceServer(clock: Clock = systemClock, random: Random = Math.random): Server {
  const experiment = chaos({
    clock,
    random,
    faults: [{ kind: 'error', ratio: 0.1 }],
    steadyState: { minGoodRatio: 0.98 },
    durationMs: 60_000,
  });
  const noDelay = (): number => 0;
  const guard = pipeline(
    experiment.steadyState(),
    retry({ maxRetries: 2, budget: ratioBudget({ clock }), backoff: noDelay, clock, random }),
    experiment,
  );
  return createServer(async (request, response) => {
    if (request.method === 'POST' && request.url === '/chaos/start') {
      response.writeHead(experiment.start() ? 200 : 409).end(JSON.stringify(experiment.snapshot()));
    } else if (request.method === 'POST' && request.url === '/chaos/stop') {
      experiment.stop();
      response.end(JSON.stringify(experiment.snapshot()));
    } else {
      try {
        response.end(await guard.execute(price));
      } catch {
        response.writeHead(502).end();
      }
    }
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = priceServer().listen(0, '127.0.0.1', async () => {
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await fetch(`${at}/chaos/start`, { method: 'POST' });
    const statuses: Record<number, number> = {};
    for (let i = 0; i < 1_000; i++) {
      const { status } = await fetch(at);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
    console.log(statuses, await (await fetch(`${at}/chaos/stop`, { method: 'POST' })).text());
    server.closeAllConnections();
    server.close();
  });
}
