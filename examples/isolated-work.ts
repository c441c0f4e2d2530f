/**
 * An HTTP server that tries its customers' regular expressions, some of which never come to an end. Each customer belongs to
 * a set with a worker thread of its own: an expression that hangs delays only its own customer, and not the event loop.
 * Run it: npm run build; npx tsx examples/isolated-work.ts
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isRejected, isTimeout } from 'evenkeel';
import { createSets, isMessageLost, type Sets } from 'evenkeel/isolation';

const SETS = 4;
const MESSAGE_BYTES = 4_096;
/** What a request may cost its set. */
const MATCH_TIMEOUT_MS = 250;
const CLIENT_TIMEOUT_MS = 2_000;

export function matchSets(worker: URL, clientTimeoutMs = CLIENT_TIMEOUT_MS): Sets {
  return createSets({
    worker,
    sets: SETS,
    route: (message) => (message[0] as number) % SETS,
    messageTimeoutMs: MATCH_TIMEOUT_MS,
    messageBytes: MESSAGE_BYTES,
    maxAgeMs: clientTimeoutMs,
    // Tenants do not wait behind many others of their set.
    capacity: 32,
    // A pattern that has hung once hangs again.
    maxKills: 1,
    workerOptions: { resourceLimits: { maxOldGenerationSizeMb: 64 } },
  });
}

/** The set's number, then what the worker gets. */
function messageOf(customer: string, pattern: string, text: string): Uint8Array {
  const work = new TextEncoder().encode(JSON.stringify({ pattern, text }));
  const message = new Uint8Array(1 + work.length);
  message[0] = [...customer].reduce((sum, letter) => sum + (letter.codePointAt(0) as number), 0) % SETS;
  message.set(work, 1);
  return message;
}

/** The status that tells a client what to do, and why. */
function statusOf(error: unknown): [status: number, why: string] {
  if (isMessageLost(error))
    return error.reason === 'set_aside' ? [422, 'the pattern takes too long'] : [503, 'closing'];
  if (isRejected(error)) return [503, error.reason];
  if (isTimeout(error)) return [504, 'timed out'];
  return error instanceof Error && error.name === 'SyntaxError' ? [400, error.message] : [500, 'failed'];
}

export function matchServer(sets: Sets, clientTimeoutMs = CLIENT_TIMEOUT_MS): Server {
  return createServer(async (request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const [customer, pattern, text] = ['customer', 'pattern', 'text'].map((name) => searchParams.get(name) ?? '');
    const message = messageOf(customer as string, pattern as string, text as string);
    if (message.length > MESSAGE_BYTES) {
      response.writeHead(413).end();
      return;
    }
    const caller = new AbortController();
    response.once('close', () => caller.abort());
    try {
      const answer = await sets.call(message, { signal: caller.signal, timeoutMs: clientTimeoutMs });
      response.end(answer);
    } catch (error) {
      if (caller.signal.aborted) return;
      const [status, why] = statusOf(error);
      if (status === 500) console.error(error);
      response.writeHead(status, status === 503 ? { 'retry-after': '1' } : {}).end(why);
    }
  });
}

/** Asks whether `pattern` fits `text`, and gives status and answer. */
export async function ask(base: string, customer: string, pattern: string, text: string): Promise<string> {
  const response = await fetch(`${base}?${new URLSearchParams({ customer, pattern, text })}`);
  return `${response.status} ${await response.text()}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sets = matchSets(new URL('./isolated-work.worker.mjs', import.meta.url));
  const server = matchServer(sets).listen(0, '127.0.0.1', async () => {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const evil = ask(base, 'mallory', '^(a+)+$', `${'a'.repeat(40)}!`);
    console.log('ada, meanwhile:', await ask(base, 'ada', '^[a-z]+$', 'hello'));
    console.log('mallory:', await evil);
    console.log(sets.snapshot());
    server.close();
    await sets.close();
  });
}
