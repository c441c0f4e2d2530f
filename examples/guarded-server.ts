/**
 * An HTTP server that stays useful in overload: a limit for each user, tiers, a short queue, and no work for callers who
 * have gone. It says 429 to a user who asks too much and 503 when it is itself that cannot.
 * Run it: npx tsx examples/guarded-server.ts
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type Context,
  checkpoint,
  concurrencyLimiter,
  deadline,
  deadlineFrom,
  isRejected,
  keyedRateLimiter,
  pipeline,
  type Rejection,
  rateLimitHeaders,
  systemClock,
  tierFrom,
  tierShedder,
} from 'evenkeel';

const WORKERS = 2;
const STEP_MS = 10;
const ROOM = 25;
/** What the clients wait, less the way to them. */
const CLIENT_TIMEOUT_MS = 950;

/** The work: two steps, none of which is done for a caller who has gone. */
async function work(ctx: Context): Promise<string> {
  await sleep(STEP_MS, undefined, { signal: ctx.signal });
  checkpoint(ctx);
  await sleep(STEP_MS, undefined, { signal: ctx.signal });
  return 'done';
}

/** Come back in a second when the server is busy; a request that is lost has nothing to come back for. */
const retryHeaders = ({ reason }: Rejection): Record<string, string> =>
  reason === 'tier_shed' || reason === 'concurrency_limited' ? { 'retry-after': '1' } : {};

export function guardedServer(): Server {
  const perUser = keyedRateLimiter({ name: 'per user', limit: 20, windowMs: 60_000 });
  const workers = concurrencyLimiter({
    minLimit: WORKERS,
    maxLimit: WORKERS,
    load: () => 1,
    queue: { maxSize: ROOM, maxWaitMs: CLIENT_TIMEOUT_MS, targetWaitMs: CLIENT_TIMEOUT_MS },
  });
  const shedder = tierShedder({ load: () => workers.snapshot().queued / ROOM });
  // The deadline stands behind the queue: there it sees how long a request has waited.
  const guard = pipeline(perUser, shedder, workers, deadline({ maxAgeMs: CLIENT_TIMEOUT_MS }));

  return createServer(async (request, response) => {
    const receivedAt = systemClock.now();
    const key = request.headers['x-user'];
    if (typeof key !== 'string') {
      response.writeHead(401).end();
      return;
    }
    const caller = new AbortController();
    response.once('close', () => caller.abort());
    const init = {
      ...deadlineFrom(request.headers, { receivedAt, budgetMs: CLIENT_TIMEOUT_MS }),
      // Where the internet comes in, a gateway in front has to strip x-request-tier and priority.
      tier: tierFrom(request.headers),
      key,
      signal: caller.signal,
    };
    try {
      const result = await guard.tryExecute(work, init);
      if (result.ok) {
        response.end(result.value);
        return;
      }
      const { reason, retryAfterMs } = result.rejection;
      const limited = reason === 'rate_limited';
      const headers = limited
        ? rateLimitHeaders(perUser.peek(key), { name: perUser.name, retryAfterMs })
        : retryHeaders(result.rejection);
      response.writeHead(limited ? 429 : 503, { ...headers }).end(reason);
    } catch (error) {
      // The caller has disconnected: there is no one to answer.
      if (caller.signal.aborted) return;
      const late = isRejected(error);
      if (!late) console.error(error);
      response.writeHead(late ? 503 : 500).end(late ? error.reason : undefined);
    }
  });
}

/** `count` requests, one every `gapMs`, of all tiers in turn and many users; gives the status and tier of each. */
export async function load(url: string, count: number, gapMs: number): Promise<{ tier: number; response: Response }[]> {
  const answers: Promise<{ tier: number; response: Response }>[] = [];
  for (let i = 0; i < count; i++) {
    const tier = (i % 4) + 1;
    const headers = { 'x-user': `user ${i}`, 'x-request-tier': String(tier) };
    answers.push(fetch(url, { headers }).then((response) => ({ tier, response })));
    await sleep(gapMs);
  }
  return Promise.all(answers);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = guardedServer().listen(0, '127.0.0.1', async () => {
    const answers = await load(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, 600, 5);
    console.log(`${WORKERS * (500 / STEP_MS)} requests a second can be served, about 200 were sent`);
    for (const tier of [1, 2, 3, 4]) {
      const own = answers.filter((one) => one.tier === tier).map(({ response }) => response.status);
      console.log(`tier ${tier}: ${own.filter((status) => status === 200).length} of ${own.length} served`);
    }
    server.closeAllConnections();
    server.close();
  });
}
