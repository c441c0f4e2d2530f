import { checkNumber, invalid, type OptionReader } from '../../core/options/validate.js';
import type { CommonOptions } from '../../core/policy.js';
import type { HealthSettings } from './health.js';
import type { Probe } from './own-probes.js';

/** Options of a balancer. */
export interface BalancerOptions<T> extends CommonOptions {
  /** What to choose from: strings or objects of your own, no two the same. There may be none at first. */
  instances: readonly T[];
  /**
   * The static weight of an instance, 0.001 to 1,000,000; asked once, when it is added.
   * @default its `weight` if it has one, else 1
   */
  weightOf?: ((instance: T) => number) | undefined;
  /** `smooth` takes turns by weight; `latency`: of two drawn by weight, the one with less response time × calls in
   * flight. @default 'smooth' */
  choice?: 'smooth' | 'latency' | undefined;
  /** So many failures in a row mask an instance, a whole number ≥ 1. @default 5 */
  consecutiveFailures?: number | undefined;
  /** An instance with fewer calls than this is not judged by its success ratio, a whole number ≥ 1. @default 20 */
  minRequests?: number | undefined;
  /** A smaller success ratio than this masks an instance, 0 to 1; 0 = none does. @default 0.5 */
  maskRatio?: number | undefined;
  /** From this success ratio on an instance has its full weight, > 0 to 1. @default 0.98 */
  healthyRatio?: number | undefined;
  /** The share of the users' calls that may be probes, beyond one each `probeIntervalMs`; 0 to 1. @default 0.001 */
  probeRatio?: number | undefined;
  /**
   * At least so often an instance that is not up is tried, if there are ten calls in that time; with `probe`, each of
   * them; ms, > 0. @default 5_000
   */
  probeIntervalMs?: number | undefined;
  /**
   * Finds out whether an instance that is not up is healthy, so that no user's call has to. @default users' calls do
   */
  probe?: Probe<T> | undefined;
  /** How the weight of an instance comes back. @default 'linear' */
  ramp?: 'linear' | 'exponential' | undefined;
  /** How long that takes at least, ms, ≥ 0. @default 10_000 */
  rampMs?: number | undefined;
  /** When more than this share of the instances has less than half its weight, all get their full weight, 0 to 1;
   * 1 = only when all are masked. @default 0.5 */
  panicRatio?: number | undefined;
  /** Whether an instance that is added later begins at the bottom of the ramp. @default false */
  slowStart?: boolean | undefined;
  /**
   * How long a call whose work goes on after its answer counts as in flight, ms, ≥ 0; `Infinity` = until it ends.
   * @default 30_000
   */
  abandonedMs?: number | undefined;
}

/** What its `update` can change. */
export type BalancerUpdate = Pick<
  BalancerOptions<unknown>,
  | 'consecutiveFailures'
  | 'minRequests'
  | 'maskRatio'
  | 'healthyRatio'
  | 'probeRatio'
  | 'probeIntervalMs'
  | 'ramp'
  | 'rampMs'
  | 'panicRatio'
>;

export interface Settings extends HealthSettings {
  probeRatio: number;
  probeIntervalMs: number;
  panicRatio: number;
}

export function readSettings(read: OptionReader): Settings {
  return {
    consecutiveFailures: read.number('consecutiveFailures', 5, { min: 1, integer: true }),
    minRequests: read.number('minRequests', 20, { min: 1, integer: true }),
    maskRatio: read.number('maskRatio', 0.5, { min: 0, max: 1 }),
    healthyRatio: read.number('healthyRatio', 0.98, { above: 0, max: 1 }),
    probeRatio: read.number('probeRatio', 0.001, { min: 0, max: 1 }),
    probeIntervalMs: read.number('probeIntervalMs', 5_000, { above: 0 }),
    ramp: read.oneOf('ramp', 'linear', ['linear', 'exponential']),
    rampMs: read.number('rampMs', 10_000, { min: 0 }),
    panicRatio: read.number('panicRatio', 0.5, { min: 0, max: 1 }),
  };
}

const DISTINCT = 'an array of distinct instances';

export type WeightOf<T> = (instance: T, owner: string, option: string) => number;

const WEIGHT = { min: 0.001, max: 1_000_000 };

const ownWeight = (instance: unknown): unknown => (instance as { weight?: unknown } | null | undefined)?.weight;

/** Gives the static weight of an instance, checked. */
export function weightReader<T>(given: ((instance: T) => number) | undefined): WeightOf<T> {
  const of = given ?? ownWeight;
  return (instance, owner, option) => checkNumber(owner, option, of(instance) ?? 1, WEIGHT);
}

/** The instances to begin with, and their weights. */
export function readInstances<T>(read: OptionReader, weightOf: WeightOf<T>): Map<T, number> {
  const given = read.array('instances', DISTINCT) as T[] | undefined;
  if (given === undefined) return invalid('balancer', 'instances', DISTINCT, given, true);
  if (new Set(given).size < given.length) return invalid('balancer', 'instances', DISTINCT, given);
  return new Map(given.map((instance, i) => [instance, weightOf(instance, 'balancer', `instances[${i}].weight`)]));
}
