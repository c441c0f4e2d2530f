/**
 * The measured server, a process of its own: `node server.js <work> <guard> [port of the upstream]`. Its work is a
 * request to the upstream, or some milliseconds of CPU; its guard none or the five policies.
 */
import { Agent, createServer, request, type ServerResponse } from 'node:http';
import { AbortScope, type Context, isRejected, onAbort } from 'evenkeel';
import { fivePolicyPipeline } from '../kit/five-policies.js';
import { serve } from './serve.js';

export type Work = 'upstream' | 'cpu';
/**
 * `control` is bare, too: what it seems to lose is the run's error. With `scope` and `signal` the five policies hear of the
 * client's hanging up, and the request to the upstream ends with the call: as docs/http.md has it, and by `AbortSignal`s.
 */
export type Guard = 'bare' | 'control' | 'guarded' | 'scope' | 'signal';

/** More than the load generator has under way, where nothing is to be refused. */
const PLENTY = 256;
/** About 4 ms. */
const STEPS = 4_000_000;

const [work, guard, upstreamPort] = process.argv.slice(2) as [Work, Guard, string | undefined];
const agent = new Agent({ keepAlive: true, maxSockets: PLENTY });
const sink = { last: 0 };

function askUpstream(ctx?: Context): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: Number(upstreamPort), agent };
    const withSignal = ctx !== undefined && guard === 'signal';
    const asked = request(withSignal ? { ...options, signal: ctx.signal } : options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    });
    asked.on('error', reject);
    if (ctx !== undefined && guard === 'scope') {
      asked.on(
        'close',
        onAbort(ctx, () => asked.destroy()),
      );
    }
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

const plainWork: () => Promise<Buffer> = work === 'cpu' ? burn : () => askUpstream();

function fail(response: ServerResponse, error: unknown): void {
  const refused = isRejected(error);
  if (!refused) console.error(error);
  response.writeHead(refused ? 503 : 500).end();
}

type Handler = (response: ServerResponse) => unknown;

function bare(): Handler {
  return (response) =>
    plainWork().then(
      (body) => response.end(body),
      (error: unknown) => fail(response, error),
    );
}

/** What aborts the call when the client hangs up. */
type Hear = (response: ServerResponse) => { signal: AbortScope | AbortSignal } | undefined;

const byScope: Hear = (response) => {
  const gone = new AbortScope();
  response.on('close', () => gone.abort('the client has hung up'));
  return { signal: gone };
};

const bySignal: Hear = (response) => {
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return { signal: gone.signal };
};

function guarded(): Handler {
  const policies = fivePolicyPipeline(work === 'cpu' ? 2 : PLENTY);
  const guardedWork = guard === 'guarded' ? () => plainWork() : (ctx: Context) => askUpstream(ctx);
  const hear: Hear = guard === 'scope' ? byScope : guard === 'signal' ? bySignal : () => undefined;
  return (response) =>
    policies.tryExecute(guardedWork, hear(response)).then(
      (result) => (result.ok ? response.end(result.value) : response.writeHead(503).end()),
      (error: unknown) => fail(response, error),
    );
}

const handle = guard === 'bare' || guard === 'control' ? bare() : guarded();
serve(
  createServer(({ url }, response) => {
    if (url === '/ready') response.end();
    else handle(response);
  }),
);
