import { deadlineFrom, deadlineHeaders, formatGrpcTimeout, type HeaderSource, parseGrpcTimeout } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const LONGEST_MS = 2 ** 31 - 1;
const NEVER = { receivedAt: 1_000, deadline: Infinity };
const from = (headers: HeaderSource) => deadlineFrom(headers, { receivedAt: 1_000 });
const waits = (headers: HeaderSource): number => from(headers).deadline - 1_000;

describe('grpc-timeout', () => {
  it.each([
    ['100m', 100],
    ['1S', 1_000],
    ['2M', 120_000],
    ['3H', 10_800_000],
    ['5u', 0.005],
    ['7n', 0.000_007],
    ['99999999n', 99.999_999],
    ['00000001S', 1_000],
    ['0n', 0],
    ['596H', 2_145_600_000],
  ])('%s is %d ms', (value, ms) => {
    expect(parseGrpcTimeout(value)).toBe(ms);
  });

  it.each([
    '',
    'S',
    '1',
    '1s',
    '1h',
    '-1S',
    '+1S',
    '1.5S',
    '1e3m',
    ' 1S',
    '1S ',
    '1 S',
    '1S\n',
    '123456789m',
    '1SS',
    '1ms',
    '1us',
    '0x1S',
    '١S',
    'NaNm',
    'Infinitym',
    '1S, 2S',
    '597H',
    '99999999H',
    '35792M',
    '99999999S',
  ])('%j is ignored', (value) => {
    expect(parseGrpcTimeout(value)).toBeUndefined();
    expect(from({ 'grpc-timeout': value })).toEqual(NEVER);
  });

  it('is a number from 0 to the longest or undefined, for any text', () => {
    const digits = fc.stringMatching(/^[-+ ]?\d{0,10}(\.\d)?[HMSmunsx]{0,2}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), digits), (value) => {
        const ms = parseGrpcTimeout(value) ?? 0;
        expect(ms >= 0 && ms <= LONGEST_MS).toBe(true);
      }),
    );
  });

  it('round trip: valid, never longer than it was, and exact to a hundred-thousandth or a nanosecond', () => {
    const times = fc.oneof(
      fc.double({ min: 0, max: LONGEST_MS, noNaN: true }),
      fc.double({ min: 0, max: 200, noNaN: true }),
      fc.nat(LONGEST_MS),
      fc.nat(99_999_999).map((ns) => ns / 1e6),
    );
    fc.assert(
      fc.property(times, (ms) => {
        const value = formatGrpcTimeout(ms) as string;
        expect(value).toMatch(/^\d{1,8}[HMSmun]$/);
        const back = parseGrpcTimeout(value) as number;
        expect(back).toBeLessThanOrEqual(ms);
        expect(ms - back).toBeLessThanOrEqual(Math.max(1.01e-6, ms * 1.01e-5));
      }),
      { numRuns: 2_000 },
    );
  });

  it('a whole number of a unit comes back as it was', () => {
    fc.assert(
      fc.property(fc.nat(99_999_999), fc.constantFrom('n', 'u', 'm'), (count, unit) => {
        const ms = parseGrpcTimeout(`${count}${unit}`) as number;
        expect(parseGrpcTimeout(formatGrpcTimeout(ms) as string)).toBe(ms);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    [0, '0n'],
    [0.000_000_9, '0n'],
    [100, '100000u'],
    [99.999_999, '99999999n'],
    [1_000, '1000000u'],
    [100_000, '100000m'],
    [LONGEST_MS, '2147483S'],
  ])('%d ms is written as %s', (ms, value) => {
    expect(formatGrpcTimeout(ms)).toBe(value);
  });

  it('nothing is written for what nobody waits for, and what is no time is refused', () => {
    expect([formatGrpcTimeout(Infinity), formatGrpcTimeout(LONGEST_MS + 1)]).toEqual([undefined, undefined]);
    expect(() => formatGrpcTimeout(NaN)).toThrow(RangeError);
    expect(() => formatGrpcTimeout(-1)).toThrow('formatGrpcTimeout: ms must be a number ≥ 0, got -1');
  });
});

describe('x-request-timeout-ms', () => {
  it.each([
    ['250', 250],
    ['0', 0],
    ['1.5', 1.5],
    ['0.125', 0.125],
    ['2147483647', LONGEST_MS],
  ])('%s is %d ms', (value, ms) => {
    expect(waits({ 'x-request-timeout-ms': value })).toBe(ms);
  });

  it.each([
    '',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '1e3',
    '0x10',
    'NaN',
    'Infinity',
    '1,000',
    '.5',
    '5.',
    '250ms',
    '2147483648',
    '9'.repeat(400),
  ])('%j is ignored', (value) => {
    expect(from({ 'x-request-timeout-ms': value })).toEqual(NEVER);
  });
});

describe('deadlineFrom', () => {
  it('is the time of reception and of the deadline, for the init of a pipeline', () => {
    expect(from({ 'grpc-timeout': '2S' })).toEqual({ receivedAt: 1_000, deadline: 3_000 });
  });

  it('takes the shorter of two, and the valid one of two', () => {
    expect(waits({ 'grpc-timeout': '2S', 'x-request-timeout-ms': '300' })).toBe(300);
    expect(waits({ 'grpc-timeout': '200m', 'x-request-timeout-ms': '300' })).toBe(200);
    expect(waits({ 'grpc-timeout': 'soon', 'x-request-timeout-ms': '300' })).toBe(300);
  });

  it('takes the budget where there is none that is valid, and only there', () => {
    const budget = { receivedAt: 1_000, budgetMs: 500 };
    expect(deadlineFrom({}, budget).deadline).toBe(1_500);
    expect(deadlineFrom({ 'grpc-timeout': '-1S' }, budget).deadline).toBe(1_500);
    expect(deadlineFrom({ 'grpc-timeout': '9S' }, budget).deadline).toBe(10_000);
  });

  const sources: [string, (name: string, value: string) => HeaderSource][] = [
    ['Headers', (name, value) => new Headers([[name, value]])],
    ['a Map', (name, value) => new Map([[name, value]])],
    ['an object with get', (name, value) => ({ get: (asked: string) => (asked === name ? value : null) })],
    ['a Map of lists', (name, value) => new Map([[name, [value]]])],
    ["Node's headers", (name, value) => ({ host: 'example.org', [name]: value })],
    ["Node's headers, a list", (name, value) => ({ [name]: [value] })],
    ['other capitals', (name, value) => ({ [name.toUpperCase()]: value })],
    ['no prototype', (name, value) => Object.assign(Object.create(null), { [name]: value })],
    ['a header called get', (name, value) => ({ get: 'x', [name]: value })],
  ];
  it.each(sources)('reads %s', (_, make) => {
    expect(waits(make('grpc-timeout', '2S'))).toBe(2_000);
    expect(waits(make('x-request-timeout-ms', '25'))).toBe(25);
    expect(waits(make('x-other', '25'))).toBe(Infinity);
  });

  it('a header that came twice is malformed, as it is in HTTP', () => {
    expect(from({ 'grpc-timeout': ['1S', '2S'] })).toEqual(NEVER);
    expect(
      from(
        new Headers([
          ['grpc-timeout', '1S'],
          ['grpc-timeout', '2S'],
        ]),
      ),
    ).toEqual(NEVER);
  });

  it('never throws for a header, whatever it holds', () => {
    const value = fc.oneof(fc.anything(), fc.string(), fc.array(fc.anything()));
    const name = fc.constantFrom('grpc-timeout', 'x-request-timeout-ms', 'Grpc-Timeout', 'get', '__proto__');
    fc.assert(
      fc.property(fc.dictionary(name, value), (headers) => {
        const { receivedAt, deadline } = from(headers as HeaderSource);
        expect([receivedAt, deadline >= 1_000]).toEqual([1_000, true]);
      }),
    );
    for (const none of [undefined, null, 5, 'grpc-timeout'])
      expect(from(none as unknown as HeaderSource)).toEqual(NEVER);
  });

  it('refuses bad options', () => {
    expect(() => deadlineFrom({}, {} as never)).toThrow(
      'deadlineFrom: receivedAt must be a finite number, got undefined',
    );
    expect(() => deadlineFrom({}, { receivedAt: 0, budgetMs: 0 })).toThrow(
      'deadlineFrom: budgetMs must be a number > 0, got 0',
    );
    expect(() => deadlineFrom({}, { receivedAt: 0, budget: 1 } as never)).toThrow(
      'deadlineFrom: unknown option budget',
    );
  });
});

describe('deadlineHeaders', () => {
  const headersAt = (now: number, deadline: number) => deadlineHeaders({ clock: manualClock(now), deadline });

  it('tells the next hop what is left', () => {
    expect(headersAt(400, 1_000.5)).toEqual({ 'grpc-timeout': '600500u', 'x-request-timeout-ms': '600' });
    expect(headersAt(2_000, 1_000)).toEqual({ 'grpc-timeout': '0n', 'x-request-timeout-ms': '0' });
    expect(headersAt(0, Infinity)).toEqual({});
  });

  it('hop by hop the deadline never moves back', () => {
    const hops = fc.array(fc.double({ min: 0, max: 500, noNaN: true }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 3_000, noNaN: true }), hops, (firstMs, stays) => {
        let leftMs = firstMs;
        // Each host has a clock of its own.
        for (const [i, stayMs] of stays.entries()) {
          const receivedAt = i * 1e6;
          const { deadline } = deadlineFrom(headersAt(0, leftMs), { receivedAt });
          expect(deadline - receivedAt).toBeLessThanOrEqual(leftMs + 1e-9);
          leftMs = Math.max(0, deadline - (receivedAt + stayMs));
        }
        expect(leftMs).toBeLessThanOrEqual(Math.max(0, firstMs - stays.reduce((a, b) => a + b)) + 1e-6);
      }),
    );
  });
});
