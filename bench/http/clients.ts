/**
 * Closed clients: each asks once a second over a connection of its own, and an answer that takes longer than that second
 * is of no use to it. It does not hang up then, as a proxy that keeps its connections does not: clients that connect anew
 * would spare the server, for Node takes in one new connection a turn of its loop, and the others wait outside.
 */
import { Agent, request } from 'node:http';

export interface ClientsOptions {
  port: number;
  clients: number;
  /** How long an answer is of use, and how often a client asks. */
  periodMs: number;
  /** What is not counted at the start. */
  warmUpMs: number;
  measureMs: number;
}

/** How many requests began and how they ended, while it was measured. */
export interface Tally {
  sent: number;
  /** In time. */
  answered: number;
  late: number;
  refused: number;
  failed: number;
  /** Of the answers, late ones too, ms. */
  tookMs: number[];
}

/** The status, or 0 for an error. */
function ask(port: number, agent: Agent, path: string): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, agent, path }, (response) => {
      response.resume();
      response.on('error', () => resolve(0));
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    asked.on('error', () => resolve(0));
    asked.end();
  });
}

const until = (atMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));

export async function runClients(options: ClientsOptions): Promise<Tally> {
  const { port, clients, periodMs, warmUpMs, measureMs } = options;
  const agents = Array.from({ length: clients }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  // All are connected before there is any work.
  await Promise.all(agents.map((agent) => ask(port, agent, '/ready')));
  const startMs = performance.now();
  const fromMs = startMs + warmUpMs;
  const endMs = fromMs + measureMs;
  const tally: Tally = { sent: 0, answered: 0, late: 0, refused: 0, failed: 0, tookMs: [] };

  function count(status: number, tookMs: number): void {
    if (status === 503) tally.refused++;
    else if (status !== 200) tally.failed++;
    else {
      tally.tookMs.push(tookMs);
      tally[tookMs <= periodMs ? 'answered' : 'late']++;
    }
  }

  async function client(agent: Agent, index: number): Promise<void> {
    // Spread over the period, also after an answer that came late.
    for (let dueMs = startMs + (periodMs * index) / clients; dueMs < endMs; ) {
      await until(dueMs);
      const sentMs = performance.now();
      const status = await ask(port, agent, '/');
      const endedMs = performance.now();
      if (sentMs >= fromMs && sentMs < endMs) {
        tally.sent++;
        count(status, endedMs - sentMs);
      }
      dueMs += periodMs * Math.max(1, Math.ceil((endedMs - dueMs) / periodMs));
    }
  }

  await Promise.all(agents.map(client));
  for (const agent of agents) agent.destroy();
  return tally;
}
