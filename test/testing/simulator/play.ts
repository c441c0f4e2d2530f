/** The run that the tests of the simulator vary. */
import type { Context, Policy } from 'evenkeel';
import { type Report, type Scenario, simulate } from 'evenkeel/testing';

export const BASE = {
  seed: 1,
  durationMs: 10_000,
  load: { arrivals: 'constant', ratePerSecond: 100 },
  backend: { workers: 4, serviceTimeMs: 20 },
} as const satisfies Scenario;

/** A run of ten seconds, but for `changes`. */
export const play = (changes: Partial<Scenario> = {}): Promise<Report> => simulate({ ...BASE, ...changes });

export const backendOf = (report: Report, name = 'backend') => {
  const figures = report.totals.backends[name];
  if (figures === undefined) throw new Error(`no back-end ${name}`);
  return figures;
};

/** A policy that shows each context to `see`. */
export const spy = (see: (ctx: Context) => void): Policy => ({
  name: 'spy',
  run: (ctx, next) => {
    see(ctx);
    return next(ctx);
  },
});
