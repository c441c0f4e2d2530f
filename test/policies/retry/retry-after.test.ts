import { RejectedError, retryAfterOf } from 'evenkeel';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

const at = (value: string, more: Record<string, string> = {}): object => ({
  headers: { 'Retry-After': value, ...more },
});

describe('what an error or an answer says of when to come back', () => {
  it('is retryAfterMs where it has that', () => {
    const refusal = new RejectedError({ policy: 'a', reason: 'rate_limited', retryAfterMs: 70 });
    expect(retryAfterOf(refusal)).toBe(70);
    expect(retryAfterOf({ retryAfterMs: Infinity })).toBe(Infinity);
    expect(retryAfterOf({ retryAfterMs: 0, headers: { 'retry-after': '5' } })).toBe(0);
    for (const bad of [-1, Number.NaN]) expect(retryAfterOf({ retryAfterMs: bad })).toBeUndefined();
  });

  it('is the seconds of Retry-After, in headers of any kind', () => {
    expect(retryAfterOf(at('120'))).toBe(120_000);
    expect(retryAfterOf(at(' 0 '))).toBe(0);
    expect(retryAfterOf(at('1.25'))).toBe(1_250);
    expect(retryAfterOf(new Response('', { status: 503, headers: { 'retry-after': '2' } }))).toBe(2_000);
    expect(retryAfterOf({ headers: new Map([['retry-after', '2']]) })).toBe(2_000);
    // As axios and got have it.
    expect(retryAfterOf(Object.assign(new Error('503'), { response: at('3') }))).toBe(3_000);
    expect(retryAfterOf({ headers: {}, response: at('3') })).toBe(3_000);
  });

  it('is the date of Retry-After, from the sender’s own where it has one', () => {
    const date = 'Fri, 31 Dec 1999 23:59:59 GMT';
    expect(retryAfterOf(at(date, { date: 'Fri, 31 Dec 1999 23:59:29 GMT' }))).toBe(30_000);
    expect(retryAfterOf(at(date, { date: 'Sat, 01 Jan 2000 00:00:00 GMT' }))).toBe(0);
    expect(retryAfterOf(at(date))).toBe(0);
    expect(retryAfterOf(at('Friday, 31-Dec-99 23:59:59 GMT', { date: 'Fri, 31 Dec 1999 23:59:58 GMT' }))).toBe(1_000);
    vi.spyOn(Date, 'now').mockReturnValue(Date.parse(date) - 5_000);
    expect(retryAfterOf(at(date, { date: 'long ago' }))).toBe(5_000);
    vi.restoreAllMocks();
  });

  it('is nothing where it makes no sense', () => {
    const LOCAL = 'Fri, 31 Dec 1999 23:59:59 GMT+0100';
    for (const bad of ['', 'soon', '-5', '1e3', '0x10', '2 s', '5, 10', 'GMT', 'never GMT', '2001-01-01', LOCAL])
      expect(retryAfterOf(at(bad)), bad).toBeUndefined();
    for (const bad of [
      undefined,
      null,
      5,
      'x',
      {},
      { headers: null },
      { headers: 5 },
      { response: null },
      { response: { headers: [] } },
    ])
      expect(retryAfterOf(bad)).toBeUndefined();
  });

  it('never throws, nor is it NaN or negative', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), (anything, text) => {
        for (const result of [
          anything,
          { headers: anything },
          { response: anything },
          at(text),
          at(text, { date: text }),
        ]) {
          const ms = retryAfterOf(result);
          if (ms !== undefined) expect(ms).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
