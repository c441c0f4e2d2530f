/**
 * The back-end, a process of its own: one worker that takes requests off a FIFO queue. Like most servers it does not
 * look whether anybody still waits for the answer, so it also does the work of callers that have given up.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What it tells its parent: once its port, then every 100 ms how it is. */
export type Message = { port: number } | { status: BackendStatus };

export interface BackendStatus {
  queued: number;
  /** Requests worked on to the end, the ones in vain too. */
  served: number;
  /** Served when the caller had given up. */
  servedInVain: number;
}

/** What its parent tells it: from now on a request takes this long, ms. */
export type Order = { serviceTimeMs: number };

const MAX_QUEUE = 1_000;

let serviceTimeMs = 20;
const queue: ServerResponse[] = [];
const status: BackendStatus = { queued: 0, served: 0, servedInVain: 0 };
let busy = false;

/** Works on the head of the queue. By the schedule rather than by when the timer fired, so that capacity is exact. */
function work(startMs: number): void {
  const response = queue[0];
  busy = response !== undefined;
  if (response === undefined) return;
  const endMs = startMs + serviceTimeMs;
  setTimeout(() => {
    queue.shift();
    status.served += 1;
    if (response.destroyed) status.servedInVain += 1;
    response.end('done');
    work(endMs);
  }, endMs - performance.now());
}

const server = createServer((_request, response) => {
  if (queue.length >= MAX_QUEUE) {
    response.writeHead(503).end();
    return;
  }
  queue.push(response);
  if (!busy) work(performance.now());
});

function tell(message: Message): void {
  process.send?.(message);
}

process.on('message', (order: Order) => {
  serviceTimeMs = order.serviceTimeMs;
});
// However the parent ended, even by SIGKILL. Ctrl-C reaches both: the parent decides.
process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {});

// An idle connection closed here just as the client reuses it would look like a failure of the back-end.
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  tell({ port: (server.address() as AddressInfo).port });
  setInterval(() => tell({ status: { ...status, queued: queue.length } }), 100);
});
