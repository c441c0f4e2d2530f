/**
 * Closed clients: each sends a request a second, waits for its answer for that second at most, then hangs up. However the
 * server does, they offer it the same; what counts is answers in time.
 */
import { Agent, request } from 'node:http';

export interface ClientsOptions {
  port: number;
  clients: number;
  /** How long a client waits, and how often it asks. */
  periodMs: number;
  /** What is not counted at the start. */
  warmUpMs: number;
  measureMs: number;
}

/** How many requests began and how they ended, while it was measured. */
export interface Tally {
  sent: number;
  answered: number;
  refused: number;
  timedOut: number;
  failed: number;
  /** Of the answers, ms. */
  tookMs: number[];
}

type End = 'answered' | 'refused' | 'timedOut' | 'failed';

function ask(port: number, agent: Agent, timeoutMs: number): Promise<End> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, agent }, (response) => {
      response.resume();
      response.on('error', () => resolve('failed'));
      response.on('end', () => {
        clearTimeout(timer);
        resolve(response.statusCode === 200 ? 'answered' : response.statusCode === 503 ? 'refused' : 'failed');
      });
    });
    const timer = setTimeout(() => {
      resolve('timedOut');
      asked.destroy();
    }, timeoutMs);
    asked.on('error', () => {
      clearTimeout(timer);
      resolve('failed');
    });
    asked.end();
  });
}

const until = (atMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));

export async function runClients(options: ClientsOptions): Promise<Tally> {
  const { port, clients, periodMs, warmUpMs, measureMs } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  const startMs = performance.now();
  const endMs = startMs + warmUpMs + measureMs;
  const tally: Tally = { sent: 0, answered: 0, refused: 0, timedOut: 0, failed: 0, tookMs: [] };

  async function client(index: number): Promise<void> {
    // Spread over the period.
    for (let dueMs = startMs + (periodMs * index) / clients; dueMs < endMs; dueMs += periodMs) {
      await until(dueMs);
      const sentMs = performance.now();
      const end = await ask(port, agent, periodMs);
      if (dueMs < startMs + warmUpMs) continue;
      tally.sent++;
      tally[end]++;
      if (end === 'answered') tally.tookMs.push(performance.now() - sentMs);
    }
  }

  await Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  agent.destroy();
  return tally;
}
