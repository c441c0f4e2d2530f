import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { manualClock, seededRandom } from 'evenkeel/testing';
import { expect, it } from 'vitest';
import { priceServer } from '../../../examples/chaos-experiment.js';

it('examples/chaos-experiment.ts: a tenth of the calls fails, and nobody notices', async () => {
  const server = priceServer(manualClock(), seededRandom(3));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect((await fetch(`${at}/chaos/start`, { method: 'POST' })).status).toBe(200);
  for (let i = 0; i < 100; i++) expect((await fetch(at)).status).toBe(200);
  const end = await (await fetch(`${at}/chaos/stop`, { method: 'POST' })).json();
  expect(end).toMatchObject({ running: false, endedBy: 'stopped' });
  expect((end as { injected: { error: number } }).injected.error).toBeGreaterThanOrEqual(5);
  server.closeAllConnections();
  server.close();
});
