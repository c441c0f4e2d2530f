import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a server tells its parent: once its port, then what it is asked for. */
export type ServerMessage = { port: number } | { cpuMs: number };

/** Listens on loopback, tells the parent where, and on any message how much CPU time the process has taken. */
export function serve(server: Server): void {
  // However the parent ended.
  process.on('disconnect', () => process.exit());
  process.on('SIGINT', () => {});
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMs: (user + system) / 1_000 } satisfies ServerMessage);
  });
  // An idle connection closed here just as a client reuses it would look like an error.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1', 4_096, () => {
    process.send?.({ port: (server.address() as AddressInfo).port } satisfies ServerMessage);
  });
}
