import { keyedRateLimiter, type RateLimiterSnapshot, rateLimiter, rateLimitHeaders } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** An Item with parameters of RFC 8941, as far as these headers use it. */
function parse(field: string | undefined): { name: string; parameters: Record<string, number> } {
  const [, name = '', parameters = ''] =
    /^"((?:[ !#-[\]-~]|\\["\\])*)"((?:;[a-z]+=\d{1,15})*)$/.exec(field ?? '') ?? [];
  expect(name, `${field} is an Item`).not.toBe('');
  return {
    name: name.replace(/\\(.)/g, '$1'),
    parameters: Object.fromEntries([...parameters.matchAll(/;([a-z]+)=(\d+)/g)].map(([, k = '', v]) => [k, Number(v)])),
  };
}

const snapshot = (given: Partial<RateLimiterSnapshot>): RateLimiterSnapshot => ({
  used: 0,
  remaining: 100,
  resetMs: 0,
  limit: 100,
  windowMs: 60_000,
  ...given,
});

describe('rateLimitHeaders', () => {
  it('are those of the draft, from a snapshot', () => {
    const clock = manualClock();
    const limiter = rateLimiter({ limit: 100, windowMs: 60_000, clock });
    for (let i = 0; i < 50; i++) limiter.tryAcquire();
    clock.jump(30_000);
    expect(rateLimitHeaders(limiter.snapshot())).toEqual({
      'RateLimit-Policy': '"default";q=100;w=60',
      RateLimit: '"default";r=50;t=30',
    });
  });

  it('tell when to come back once the limit is used up', () => {
    const clock = manualClock();
    const limiter = keyedRateLimiter({ limit: 2, windowMs: 1_500, clock });
    while (limiter.tryAcquire({ key: 'a' }));
    expect(rateLimitHeaders(limiter.peek('a'), { name: 'per user' })).toEqual({
      'RateLimit-Policy': '"per user";q=2;w=2',
      RateLimit: '"per user";r=0;t=3',
      'Retry-After': '3',
    });
  });

  it('tell when the refused call may come back, though there was room for a smaller one', () => {
    const given = snapshot({ remaining: 5, resetMs: 1_000 });
    expect(rateLimitHeaders(given, { retryAfterMs: 30_001 })).toMatchObject({
      RateLimit: '"default";r=5;t=1',
      'Retry-After': '31',
    });
    expect(rateLimitHeaders(given, { retryAfterMs: 0 })).not.toHaveProperty('Retry-After');
    expect(rateLimitHeaders(given, { retryAfterMs: Infinity })).not.toHaveProperty('Retry-After');
    expect(rateLimitHeaders(given, { retryAfterMs: 10 })).toMatchObject({ 'Retry-After': '1' });
  });

  it('are well formed and never promise too much', () => {
    const whole = fc.oneof(fc.nat(10), fc.maxSafeNat());
    const ms = fc.oneof(fc.nat(5_000), fc.double({ min: 1e-9, max: 1e300, noNaN: true }));
    const text = fc.string({ unit: 'grapheme-ascii', minLength: 1 });
    fc.assert(
      fc.property(
        whole,
        whole,
        ms,
        ms.map((one) => one || 1),
        fc.option(ms, { nil: undefined }),
        text,
        (a, b, reset, windowMs, retry, name) => {
          const [remaining, limit] = a < b ? [a, b] : [b, a];
          const given = snapshot({ remaining, limit: Math.max(1, limit), resetMs: reset, windowMs });
          const headers = rateLimitHeaders(given, { name, ...(retry !== undefined && { retryAfterMs: retry }) });
          const { q, w } = parse(headers['RateLimit-Policy']).parameters;
          const { r, t } = parse(headers.RateLimit).parameters;
          expect([parse(headers['RateLimit-Policy']).name, parse(headers.RateLimit).name]).toEqual([name, name]);
          expect(q).toBeLessThanOrEqual(given.limit);
          expect(r).toBeLessThanOrEqual(remaining);
          const most = 999_999_999_999_999;
          expect(w).toBeGreaterThanOrEqual(Math.min(most, windowMs / 1_000));
          expect(w).toBeGreaterThan(0);
          expect(t).toBeGreaterThanOrEqual(Math.min(most, reset / 1_000));
          const after = headers['Retry-After'];
          if (after !== undefined) {
            expect(after).toMatch(/^\d{1,15}$/);
            expect(Number(after)).toBeGreaterThanOrEqual(t as number);
            expect(Number(after)).toBeGreaterThanOrEqual(Math.min(most, (retry ?? reset) / 1_000));
          }
        },
      ),
    );
  });

  it.each(['', 'é', 'a\nb', '\u0000', 'a\r\nSet-Cookie: b'])('refuse the name %j', (name) => {
    expect(() => rateLimitHeaders(snapshot({}), { name })).toThrow(
      `rateLimitHeaders: name must be printable ASCII, got ${JSON.stringify(name)}`,
    );
  });

  it('refuse a name that is no string', () => {
    expect(() => rateLimitHeaders(snapshot({}), { name: 5 as unknown as string })).toThrow(
      new TypeError('rateLimitHeaders: name must be a string, got 5'),
    );
  });
});
