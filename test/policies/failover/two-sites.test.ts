import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Failover, isRejected } from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Call, twoSites } from '../../../examples/two-sites.js';

class Site {
  readonly #server: Server;
  answer: RequestListener = (request, response) => void response.end(request.url);

  constructor() {
    this.#server = createServer((request, response) => this.answer(request, response));
  }

  async start(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The next request gets no answer; resolves when it is here. */
  hang(): Promise<void> {
    return new Promise((resolve) => {
      this.answer = () => resolve();
    });
  }
}

describe('examples/two-sites.ts', () => {
  let clock: ManualClock;
  let local: Site;
  let remote: Site;
  let sites: Failover<Call, string>;
  beforeEach(async () => {
    clock = manualClock();
    local = new Site();
    remote = new Site();
    sites = twoSites(await local.start(), await remote.start(), clock);
  });
  afterEach(() => {
    local.stop();
    remote.stop();
  });

  it('asks the near site, and the far one where that fails or is gone; a 404 is an answer', async () => {
    expect(await sites.execute({ path: '/a' })).toBe('local: 200 /a');
    local.answer = (_, response) => void response.writeHead(404).end();
    expect(await sites.execute({ path: '/a' })).toBe('local: 404 ');
    local.answer = (_, response) => void response.writeHead(503).end();
    expect(await sites.execute({ path: '/b' })).toBe('remote: 200 /b');
    local.stop();
    await clock.advance(1_000);
    expect(await sites.execute({ path: '/c' })).toBe('remote: 200 /c');
    expect(sites.snapshot()).toEqual({ frozenMs: 0, calls: 4, failovers: 2, refused: 0 });
  });

  it('keeps remote to the window, which grows while remote answers', async () => {
    local.stop();
    const answered: number[] = [];
    for (let second = 0; second < 4; second++) {
      const calls = await Promise.allSettled(Array.from({ length: 10 }, () => sites.execute({ path: '/a' })));
      answered.push(calls.filter(({ status }) => status === 'fulfilled').length);
      await clock.advance(1_000);
    }
    expect(answered[0]).toBe(1);
    expect(answered.at(-1)).toBeGreaterThan(1);
    expect(answered.at(-1)).toBeLessThanOrEqual(4);
  });

  it('stops calling for a while once both have hung, and then serves again', async () => {
    const calls = [local.hang(), remote.hang()] as const;
    const hung = sites.execute({ path: '/a' }).catch((error: unknown) => error);
    for (const here of calls) {
      await here;
      await clock.advance(1_000);
    }
    expect(await hung).toMatchObject({ code: 'EVENKEEL_TIMEOUT', policy: 'limit of remote' });
    const refusal = await sites.execute({ path: '/a' }).catch((error: unknown) => error);
    expect(isRejected(refusal) && [refusal.reason, refusal.retryAfterMs]).toEqual(['no_instance', 5_000]);
    await clock.advance(5_000);
    local.answer = (request, response) => void response.end(request.url);
    expect(await sites.execute({ path: '/b' })).toBe('local: 200 /b');
  });

  it("ends with the caller's abort, and asks nobody else", async () => {
    const here = local.hang();
    const caller = new AbortController();
    const call = sites.execute({ path: '/a', signal: caller.signal }).catch((error: unknown) => error);
    await here;
    caller.abort('enough');
    expect(await call).toBe('enough');
    expect(sites.snapshot().failovers).toBe(0);
  });
});
