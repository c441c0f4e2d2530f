/**
 * A client of two hosts, one of which dies: a breaker for each, a time limit, a cache to fall back on.
 * Run it: npx tsx examples/guarded-client.ts
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { circuitBreaker, dynamicTimeout, isRejected, isTimeout, keyed, pipeline } from 'evenkeel';

class HttpError extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

// Made once for the process: what they have counted is what they go by.
const breakers = keyed((host) =>
  circuitBreaker({
    name: `breaker of ${host}`,
    observer: (event) => {
      if (event.type === 'circuit_state') console.log(`${event.policy}: ${event.state}`);
    },
  }),
);
const guard = pipeline(breakers, dynamicTimeout({ limitMs: 500, maxMs: 2_000 }));

const get = guard.wrap(
  async (ctx, url: URL) => {
    const response = await fetch(url, { signal: ctx.signal });
    // A 404 is an answer: only what the server could not do counts against it.
    if (response.status >= 500) throw new HttpError(response.status);
    return { status: response.status, body: await response.text() };
  },
  (url) => ({ key: url.searchParams.get('host') ?? url.host }),
);

const cache = new Map<string, string>();

/** The page, or what it last was when its host does not answer. */
async function page(url: URL): Promise<string> {
  try {
    const { status, body } = await get(url);
    if (status === 200) cache.set(url.href, body);
    return status === 200 ? body : `status ${status}`;
  } catch (error) {
    if (!isRejected(error) && !isTimeout(error) && !(error instanceof HttpError)) throw error;
    return `${cache.get(url.href) ?? 'nothing'}, from the cache`;
  }
}

let dead = false;
let served = 0;
const server: Server = createServer((request, response) => {
  const isUnhealthy = dead && request.url?.includes('host=a');
  served++;
  response.writeHead(isUnhealthy ? 503 : 200).end(isUnhealthy ? '' : 'fresh');
}).listen(0);
const at = (host: string): URL => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?host=${host}`);

console.log(await page(at('a')), '|', await page(at('b'))); // → fresh | fresh

dead = true;
// → breaker of a: throttling
for (let i = 0; i < 100; i++) await page(at('a'));
console.log(served < 50); // → true
console.log(await page(at('a')), '|', await page(at('b'))); // → fresh, from the cache | fresh

server.close();
