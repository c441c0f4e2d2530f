/**
 * The measured server, a process of its own: `node server.js <work> <guard> [port of the upstream]`. Its work is a
 * request to the upstream, or some milliseconds of CPU; its guard none or the five policies.
 */
import { Agent, createServer, request, type ServerResponse } from 'node:http';
import { type Context, isRejected } from 'evenkeel';
import { fivePolicyPipeline } from '../five-policies.js';
import { serve } from './serve.js';

export type Work = 'upstream' | 'cpu';
/** `signal`: the five policies, and the request to the upstream ends with the call. */
export type Guard = 'bare' | 'guarded' | 'signal';

/** More than the load generator has under way, where nothing is to be refused. */
const PLENTY = 256;
/** About 4 ms. */
const STEPS = 4_000_000;

const [work, guard, upstreamPort] = process.argv.slice(2) as [Work, Guard, string | undefined];
const agent = new Agent({ keepAlive: true, maxSockets: PLENTY });
const sink = { last: 0 };

function askUpstream(signal: AbortSignal | undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: Number(upstreamPort), agent };
    const asked = request(signal === undefined ? options : { ...options, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Holds the thread, as rendering or serialising does. Before that other requests are read, as after any I/O. */
async function burn(): Promise<Buffer> {
  await new Promise((resolve) => setImmediate(resolve));
  let state = sink.last | 1;
  for (let i = 0; i < STEPS; i++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  sink.last = state;
  return Buffer.from('{"ok":true}');
}

const plainWork: () => Promise<Buffer> = work === 'cpu' ? burn : () => askUpstream(undefined);

function fail(response: ServerResponse, error: unknown): void {
  const refused = isRejected(error);
  if (!refused) console.error(error);
  response.writeHead(refused ? 503 : 500).end();
}

function handler(): (response: ServerResponse) => unknown {
  if (guard === 'bare') {
    return (response) =>
      plainWork().then(
        (body) => response.end(body),
        (error: unknown) => fail(response, error),
      );
  }
  const guarded = fivePolicyPipeline(work === 'cpu' ? 2 : PLENTY);
  const guardedWork: (ctx: Context) => Promise<Buffer> =
    guard === 'signal' ? (ctx) => askUpstream(ctx.signal) : () => plainWork();
  return (response) =>
    guarded.tryExecute(guardedWork).then(
      (result) => (result.ok ? response.end(result.value) : response.writeHead(503).end()),
      (error: unknown) => fail(response, error),
    );
}

const handle = handler();
serve(
  createServer(({ url }, response) => {
    if (url === '/ready') response.end();
    else handle(response);
  }),
);
