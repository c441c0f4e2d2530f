/** A saturated callee in virtual time: what the issue asks of the limit. */
import { describe, expect, it } from 'vitest';
import { byWindow, type Saturation, saturate, tolerance } from '../../simulation/saturated-callee.js';

/** Short windows where a long one has millions of calls. */
const CALLEES = [
  { workers: 1, serviceMs: 1, windowMs: 1_000 },
  { workers: 1, serviceMs: 20, windowMs: 10_000 },
  { workers: 1, serviceMs: 200, windowMs: 10_000 },
  { workers: 2, serviceMs: 20, windowMs: 10_000 },
  { workers: 2, serviceMs: 200, windowMs: 10_000 },
  { workers: 10, serviceMs: 1, windowMs: 1_000 },
  { workers: 10, serviceMs: 20, windowMs: 10_000 },
  { workers: 10, serviceMs: 200, windowMs: 10_000 },
  { workers: 100, serviceMs: 20, windowMs: 2_000 },
  { workers: 100, serviceMs: 200, windowMs: 10_000 },
  { workers: 500, serviceMs: 50, windowMs: 2_000 },
];
const label = ({ workers, serviceMs }: { workers: number; serviceMs: number }): string =>
  `${workers} workers of ${serviceMs} ms`;

/** The first windows are the start. */
const SETTLED = 5;

describe('constant service times', () => {
  it.each(CALLEES.map((callee) => ({ ...callee, name: label(callee) })))(
    '$name: in flight within 20 % or one of capacity, goodput ≥ 95 %, no drift over 100 windows',
    ({ name: _, ...callee }) => {
      const { slices } = saturate({ ...callee, serviceTimes: 'constant', windows: 100 });
      const windows = byWindow(slices, SETTLED);
      for (const { inflight } of windows) {
        expect(Math.abs(inflight - callee.workers)).toBeLessThanOrEqual(tolerance(callee.workers));
      }
      const goodput = windows.reduce((sum, { goodputRatio }) => sum + goodputRatio, 0) / windows.length;
      expect(goodput).toBeGreaterThanOrEqual(0.95);
      const half = windows.length >> 1;
      const level = (of: typeof windows): number => of.reduce((sum, { inflight }) => sum + inflight, 0) / of.length;
      expect(level(windows.slice(half)) / level(windows.slice(0, half))).toBeCloseTo(1, 1);
    },
  );
});

/** Enough answers a window to tell a tenth more from noise. Those with fewer: docs/decisions/0003. */
const STEADY = CALLEES.filter(({ workers, serviceMs, windowMs }) => (workers / serviceMs) * windowMs >= 4_000);

describe('exponential service times', () => {
  it.each(STEADY.map((callee) => ({ ...callee, name: label(callee) })))(
    '$name: in flight within 20 % in 9 windows of 10, goodput ≥ 95 %',
    ({ name: _, ...callee }) => {
      const { slices } = saturate({ ...callee, serviceTimes: 'exponential', windows: 40 });
      const windows = byWindow(slices, SETTLED);
      const levels = windows.map(({ inflight }) => inflight / callee.workers);
      const within = levels.filter((level) => Math.abs(level - 1) <= 0.2).length;
      expect(within / levels.length).toBeGreaterThanOrEqual(0.9);
      for (const level of levels) expect(Math.abs(level - 1)).toBeLessThanOrEqual(0.4);
      const goodput = windows.reduce((sum, { goodputRatio }) => sum + goodputRatio, 0) / windows.length;
      expect(goodput).toBeGreaterThanOrEqual(0.95);
    },
  );
});

describe('a callee that changes', () => {
  const CHANGES: { name: string; to: (callee: Saturation) => Partial<Saturation> }[] = [
    { name: 'half the workers', to: ({ workers }) => ({ workers: workers / 2 }) },
    { name: 'twice the workers', to: ({ workers }) => ({ workers: workers * 2 }) },
    { name: 'half the speed', to: ({ serviceMs }) => ({ serviceMs: serviceMs * 2 }) },
    { name: 'twice the speed', to: ({ serviceMs }) => ({ serviceMs: serviceMs / 2 }) },
    { name: 'from 20 to 50 ms', to: ({ serviceMs }) => ({ serviceMs: serviceMs * 2.5 }) },
  ];
  const callees = CALLEES.filter(({ workers }) => workers > 1);
  const cases = callees.flatMap((callee) =>
    CHANGES.map((change) => ({ callee, change, name: `${label(callee)}: ${change.name}` })),
  );

  it.each(cases)('$name: followed within a window', ({ callee, change }) => {
    const scenario: Saturation = { ...callee, serviceTimes: 'constant', windows: 14 };
    const changeAt = 8 * callee.windowMs;
    const changed = change.to(scenario);
    const { slices } = saturate({ ...scenario, changes: [{ atMs: changeAt, ...changed }] });
    const { workers = callee.workers } = changed;
    const after = slices.filter(({ endMs }) => endMs > changeAt + callee.windowMs);
    for (const window of byWindow(after, 0))
      expect(Math.abs(window.inflight - workers)).toBeLessThanOrEqual(tolerance(workers));
  });

  it.each(callees.map((callee) => ({ ...callee, name: label(callee) })))(
    '$name: from a tenth of its capacity to 80 % within 30 s',
    ({ name: _, ...callee }) => {
      const tenth = Math.max(1, callee.workers / 10);
      const changeAt = 4 * callee.windowMs;
      const scenario: Saturation = { ...callee, serviceTimes: 'constant', windows: 4 + 30_000 / callee.windowMs };
      for (const start of [
        { options: { minLimit: 1, maxLimit: tenth }, changes: [{ atMs: changeAt, maxLimit: Infinity }] },
        { workers: tenth, changes: [{ atMs: changeAt, workers: callee.workers }] },
      ]) {
        const { slices } = saturate({ ...scenario, ...start });
        const before = slices.filter(({ endMs }) => endMs <= changeAt).at(-1);
        expect(before?.inflight).toBeLessThanOrEqual(tenth + Math.max(1, tenth * 0.2));
        const reached = slices.find(({ endMs, inflight }) => endMs > changeAt && inflight >= 0.8 * callee.workers);
        expect((reached?.endMs ?? Infinity) - changeAt).toBeLessThanOrEqual(30_000);
      }
    },
  );
});

it('what is refused costs the callee nothing: it never sees more calls than are in flight', () => {
  const { slices, refused } = saturate({ workers: 10, serviceMs: 20, serviceTimes: 'constant', windows: 6 });
  const answered = slices.reduce((sum, { goodputRatio }) => sum + goodputRatio * 500, 0);
  expect(refused).toBeGreaterThan(answered / 2);
  for (const { mostInflight, limit } of slices.slice(10)) expect(mostInflight).toBeLessThanOrEqual(Math.max(limit, 13));
});
