/**
 * An HTTP API with a limit for each API key. It answers 429 with the headers that tell a client how to behave.
 * Run it: npx tsx examples/keyed-limiter.ts
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Clock, keyedRateLimiter, pipeline, rateLimitHeaders, systemClock } from 'evenkeel';

/**
 * The keys that were given out. Without such a check a client can invent keys, and with each a limit of its own.
 */
const KEYS = new Set(['key of Ada', 'key of Grace']);

/** What a request takes of the limit. */
const costOf = (path: string | undefined): number => (path === '/report' ? 5 : 1);

export function apiServer(clock: Clock = systemClock): Server {
  const limiter = keyedRateLimiter({ name: 'per key', limit: 10, windowMs: 60_000, maxKeys: 100_000, clock });
  const guard = pipeline(limiter);
  return createServer(async (request, response) => {
    const key = request.headers['x-api-key'];
    if (typeof key !== 'string' || !KEYS.has(key)) {
      response.writeHead(401).end();
      return;
    }
    const result = await guard.tryExecute(() => `${request.url} served`, { key, cost: costOf(request.url) });
    const headers = rateLimitHeaders(limiter.peek(key), {
      name: limiter.name,
      retryAfterMs: result.ok ? 0 : result.rejection.retryAfterMs,
    });
    response.writeHead(result.ok ? 200 : 429, { ...headers }).end(result.ok ? result.value : result.rejection.reason);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = apiServer().listen(0, '127.0.0.1', async () => {
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const path of ['/list', '/report', '/list', '/report']) {
      const response = await fetch(at + path, { headers: { 'x-api-key': 'key of Ada' } });
      const { status, headers } = response;
      console.log(status, await response.text(), '|', headers.get('ratelimit'), '|', headers.get('retry-after'));
    }
    server.closeAllConnections();
    server.close();
  });
}
