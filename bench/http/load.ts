/** The load generator, a process of its own: does what its parent's message says, and answers with what came of it. */
import autocannon from 'autocannon';
import { type ClientsOptions, runClients, type Tally } from './clients.js';

export interface CannonOptions {
  port: number;
  connections: number;
  /** How long, or how many. */
  until: { seconds: number } | { requests: number };
}

export interface Shots {
  /** Answers of status 2xx, by status alone. */
  answered: number;
  /** Other answers, errors and time-outs. */
  failed: number;
  perSecond: number;
  p99Ms: number;
}

export type Order = { cannon: CannonOptions } | { clients: ClientsOptions };
export type Report = { shots: Shots } | { tally: Tally };

/** autocannon's own latencies are whole milliseconds. */
function p99Of(tookMs: number[]): number {
  tookMs.sort((a, b) => a - b);
  return tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.NaN;
}

async function shoot({ port, connections, until }: CannonOptions): Promise<Shots> {
  const tookMs: number[] = [];
  const ends = 'seconds' in until ? { duration: until.seconds } : { amount: until.requests };
  const startMs = performance.now();
  // autocannon goes on for up to `sampleInt` after the last answer.
  let endMs = startMs;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const cannon = autocannon(
      { url: `http://127.0.0.1:${port}`, connections, sampleInt: 50, ...ends },
      (error: unknown, done) => (error ? reject(error) : resolve(done)),
    );
    cannon.on('response', (_client, _status, _bytes, took) => {
      tookMs.push(took);
      endMs = performance.now();
    });
  });
  const tookS = (endMs - startMs) / 1_000;
  const answered = result['2xx'];
  return {
    answered,
    failed: result.non2xx + result.errors + result.timeouts,
    perSecond: answered / tookS,
    p99Ms: p99Of(tookMs),
  };
}

process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {});
process.on('message', async (order: Order) => {
  const report: Report =
    'cannon' in order ? { shots: await shoot(order.cannon) } : { tally: await runClients(order.clients) };
  process.send?.(report);
});
