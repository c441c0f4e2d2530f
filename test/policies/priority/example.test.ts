import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guardedServer, load } from '../../../examples/guarded-server.js';

let server: Server;
let url: string;

beforeEach(async () => {
  server = guardedServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe('examples/guarded-server.ts', () => {
  it('twice the load that it can take: every request is answered, the important ones with what they ask for', async () => {
    const answers = await load(url, 400, 5);
    const served = [1, 2, 3, 4].map(
      (tier) => answers.filter((one) => one.tier === tier && one.response.status === 200).length,
    );
    const refused = answers.filter(({ response }) => response.status !== 200);
    expect(refused.every(({ response }) => response.status === 503)).toBe(true);
    const reasons = await Promise.all(refused.map(({ response }) => response.text()));
    expect(reasons).toContain('tier_shed');
    const known = ['tier_shed', 'concurrency_limited', 'too_old', 'deadline_exceeded'];
    expect(reasons.filter((reason) => !known.includes(reason))).toEqual([]);
    refused.forEach(({ response }, i) => {
      const busy = reasons[i] === 'tier_shed' || reasons[i] === 'concurrency_limited';
      expect(response.headers.get('retry-after')).toBe(busy ? '1' : null);
    });
    const [first = 0, second = 0, third = 0, fourth = 0] = served;
    expect(first + second).toBeGreaterThan(third + fourth);
    expect(first).toBeGreaterThan(fourth);
  });

  it('a user who asks too much gets 429, and is told the limit and when to come back', async () => {
    const statuses: number[] = [];
    let last = new Response();
    for (let i = 0; i < 25; i++) {
      last = await fetch(url, { headers: { 'x-user': 'Ada' } });
      statuses.push(last.status);
      await last.text();
    }
    expect(statuses).toEqual([...Array(20).fill(200), ...Array(5).fill(429)]);
    expect(last.headers.get('ratelimit-policy')).toBe('"per user";q=20;w=60');
    expect(last.headers.get('ratelimit')).toMatch(/^"per user";r=0;t=\d+$/);
    const seconds = Number(last.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect((await fetch(url, { headers: { 'x-user': 'Grace' } })).status).toBe(200);
  });

  it('a request without time left is refused before any work is done', async () => {
    const response = await fetch(url, { headers: { 'x-user': 'Ada', 'x-request-timeout-ms': '0' } });
    expect([response.status, await response.text(), response.headers.get('retry-after')]).toEqual([
      503,
      'deadline_exceeded',
      null,
    ]);
    expect((await fetch(url)).status).toBe(401);
  });
});
