import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { apiServer } from '../../../examples/keyed-limiter.js';

describe('examples/keyed-limiter.ts', () => {
  const clock = manualClock();
  const server = apiServer(clock);
  beforeEach(() => once(server.listen(0, '127.0.0.1'), 'listening'));
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  async function get(path: string, key?: string): Promise<[status: number, headers: Record<string, string | null>]> {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { ...(key && { 'x-api-key': key }) } });
    await response.text();
    const { headers } = response;
    const names = ['ratelimit-policy', 'ratelimit', 'retry-after'];
    return [response.status, Object.fromEntries(names.map((name) => [name, headers.get(name)]))];
  }

  it('limits each key by itself, and says when to come back', async () => {
    const policy = '"per key";q=10;w=60';
    const of = (ratelimit: string, after: string | null) => ({
      'ratelimit-policy': policy,
      ratelimit: `"per key";${ratelimit}`,
      'retry-after': after,
    });
    expect((await get('/list'))[0]).toBe(401);
    expect((await get('/list', 'invented'))[0]).toBe(401);
    expect(await get('/report', 'key of Ada')).toEqual([200, of('r=5;t=72', null)]);
    expect(await get('/list', 'key of Ada')).toEqual([200, of('r=4;t=70', null)]);
    expect(await get('/report', 'key of Ada')).toEqual([429, of('r=4;t=70', '70')]);
    expect(await get('/report', 'key of Grace')).toEqual([200, of('r=5;t=72', null)]);
    expect(await get('/report', 'key of Grace')).toEqual([200, of('r=0;t=66', null)]);
    clock.jump(70_000);
    expect((await get('/report', 'key of Ada'))[0]).toBe(200);
    expect((await get('/report', 'key of Ada'))[0]).toBe(429);
  });
});
