import type { BackendStatus } from './backend.js';
import type { Call, Outcome } from './load.js';
import { arrivals, type Plan } from './plan.js';

/** A phase that was run. */
export interface Phase {
  name: string;
  plan: Plan;
  calls: readonly Call[];
  backend: BackendStatus;
}

/** What happened in a span of time: calls that became due in it, and calls that ended in it, by outcome. */
export interface Figures extends Record<Outcome, number> {
  offered: number;
  /** Of the answered, ms; undefined when there were none. */
  p50Ms: number | undefined;
  p99Ms: number | undefined;
}

export function figuresOf(phase: Pick<Phase, 'plan' | 'calls'>, fromMs: number, toMs: number): Figures {
  const within = (at: number): boolean => at >= fromMs && at < toMs;
  const ended = phase.calls.filter((call) => within(call.atMs + call.tookMs));
  const count = (outcome: Outcome): number => ended.filter((call) => call.outcome === outcome).length;
  const latencies = ended.filter((call) => call.outcome === 'answered').map((call) => call.tookMs);
  latencies.sort((a, b) => a - b);
  return {
    offered: arrivals(phase.plan).filter(within).length,
    answered: count('answered'),
    timedOut: count('timedOut'),
    refused: count('refused'),
    turnedAway: count('turnedAway'),
    failed: count('failed'),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  };
}

/** The smallest value that at least `share` of the values do not exceed. */
const percentile = (sorted: readonly number[], share: number): number | undefined =>
  sorted[Math.ceil(sorted.length * share) - 1];

/** Answers in time, a second. */
export function goodput(phase: Pick<Phase, 'plan' | 'calls'>, fromMs: number, toMs: number): number {
  return figuresOf(phase, fromMs, toMs).answered / ((toMs - fromMs) / 1_000);
}

export const overloadGoodput = (phase: Phase): number => goodput(phase, phase.plan.overloadAtMs, phase.plan.endMs);
