/** The figures that the library set out to reach. */
import { BASE_VERSION } from './base.js';
import { bestPeer, find, type Run, ratios } from './results.js';
import { median } from './stats.js';
import { missedAtLeast, missedAtMost } from './verdict.js';

export interface Target {
  path: string;
  text: string;
  /** One figure a round; undefined = not part of this run. */
  measure(run: Run): number[] | undefined;
  bound: number;
  isAtMost: boolean;
}

export interface Verdict {
  target: Target;
  measured: number;
  least: number;
  most: number;
  /** By what share the bound is missed; ≤ 0 = met. */
  missedByRatio: number;
}

function timesAsLong(run: Run, id: string, thanId: string | undefined): number[] | undefined {
  const a = find(run, id);
  const b = find(run, thanId);
  return a && b && ratios(a, b);
}

const slower = (path: string, id: string, floorId: string, bound: number): Target => ({
  path,
  text: `≤ ${bound} × ${floorId.split(' / ')[1]}`,
  measure: (run) => timesAsLong(run, id, floorId),
  bound,
  isAtMost: true,
});

const faster = (path: string, id: string, peerId: string, bound: number): Target => ({
  path,
  text: `≥ ${bound} × faster than ${peerId.split(' / ')[1]}`,
  measure: (run) => timesAsLong(run, peerId, id),
  bound,
  isAtMost: false,
});

const fasterThanPeers = (path: string, id: string, bound: number): Target => ({
  path,
  text: `≥ ${bound} × faster than the best peer`,
  measure: (run) => {
    const peer = bestPeer(run, id.split(' / ')[0] as string);
    return peer && timesAsLong(run, peer.id, id);
  },
  bound,
  isAtMost: false,
});

const bytes = (path: string, id: string, bound: number): Target => ({
  path,
  text: `≤ ${bound.toLocaleString('en')} B a call`,
  measure: (run) => find(run, id)?.bytesByRound,
  bound,
  isAtMost: true,
});

/** Like `slower`, with so many nanoseconds on top of the bound. */
const slowerThanPlus = (path: string, id: string, floorId: string, bound: number, plusNs: number): Target => ({
  path,
  text: `less ${plusNs} ns, ≤ ${bound} × ${floorId.split(' / ')[1]}`,
  measure: (run) => {
    const ours = find(run, id);
    const floor = find(run, floorId);
    return ours && floor && ratios({ ...ours, nsByRound: ours.nsByRound.map((ns) => ns - plusNs) }, floor);
  },
  bound,
  isAtMost: true,
});

/** The row's time in units of what 0.1.0 takes, then in units of a peer's, in the same rounds. */
const timeOf = (path: string, id: string, ofBase: number, peerId: string, ofPeer: number): Target[] => [
  {
    path,
    text: `≤ ${ofBase} of ${BASE_VERSION}`,
    measure: (run) => timesAsLong(run, id, find(run, id)?.baseId),
    bound: ofBase,
    isAtMost: true,
  },
  {
    path,
    text: `≤ ${ofPeer} of ${peerId.split(' / ')[1]}`,
    measure: (run) => timesAsLong(run, id, peerId),
    bound: ofPeer,
    isAtMost: true,
  },
];

const nanoseconds = (path: string, id: string, bound: number): Target => ({
  path,
  text: `≤ ${bound} ns a call`,
  measure: (run) => find(run, id)?.nsByRound,
  bound,
  isAtMost: true,
});

export const targets: Target[] = [
  ...timeOf(
    'breaker, success',
    'breaker success / evenkeel',
    0.88,
    'breaker success / cockatiel ConsecutiveBreaker',
    1,
  ),
  bytes('breaker, success', 'breaker success / evenkeel', 440),
  ...timeOf(
    'refusal as a rejected promise',
    'breaker refusal / evenkeel, execute',
    0.76,
    'breaker refusal / cockatiel',
    0.105,
  ),
  bytes('refusal as a rejected promise', 'breaker refusal / evenkeel, execute', 1_140),
  fasterThanPeers('refusal by `tryExecute`', 'breaker refusal / evenkeel, tryExecute', 25),
  fasterThanPeers('refusal by `tryAcquire`', 'breaker refusal / evenkeel, tryAcquire', 60),
  // What performance.now itself allocates.
  bytes('refusal by `tryAcquire`', 'breaker refusal / evenkeel, tryAcquire', 16),
  fasterThanPeers('timeout, success', 'timeout success / evenkeel', 4),
  ...timeOf(
    'breaker + timeout',
    'breaker + timeout / evenkeel',
    0.82,
    'breaker + timeout / opossum, with timeout',
    0.32,
  ),
  bytes('breaker + timeout', 'breaker + timeout / evenkeel', 980),
  slower(
    'rate limit, admitted',
    'rate limit admitted / evenkeel, buckets',
    'rate limit admitted / performance.now',
    1.3,
  ),
  // What performance.now itself allocates.
  bytes('rate limit, admitted', 'rate limit admitted / evenkeel, buckets', 16),
  faster(
    'rate limit, admitted',
    'rate limit admitted / evenkeel, buckets',
    'rate limit admitted / rate-limiter-flexible',
    3,
  ),
  faster(
    'rate limit, refused',
    'rate limit refused / evenkeel, buckets',
    'rate limit refused / rate-limiter-flexible',
    15,
  ),
  fasterThanPeers('rate limit, 10^6 keys', 'rate limit, 10^6 keys / evenkeel', 2.2),
  slowerThanPlus(
    'concurrency, acquire + release',
    'concurrency permit / evenkeel, tryAcquire + release',
    'concurrency permit / 2 × performance.now',
    1.2,
    20,
  ),
  ...timeOf(
    'fixed concurrency limit, free',
    'fixed concurrency limit, free / evenkeel',
    0.68,
    'fixed concurrency limit, free / cockatiel bulkhead',
    1.5,
  ),
  ...timeOf(
    '64 tasks through a limit of 8, a task',
    '64 tasks through a limit of 8 / evenkeel',
    0.55,
    '64 tasks through a limit of 8 / cockatiel bulkhead',
    1.1,
  ),
  slower('retry, success', 'retry success / evenkeel, the policy alone', 'retry success / fn().then(ok, fail)', 1.1),
  faster('retry, success', 'retry success / evenkeel, the policy alone', 'retry success / cockatiel', 2.5),
  nanoseconds('balancer, 3 instances', 'balancer, pick + report / evenkeel, 3', 200),
  // log 1,000 / log 3, and log 100 / log 3.
  slower('balancer, 100', 'balancer, pick + report / evenkeel, 100', 'balancer, pick + report / evenkeel, 3', 4.2),
  slower('balancer, 1,000', 'balancer, pick + report / evenkeel, 1000', 'balancer, pick + report / evenkeel, 3', 6.3),
  ...timeOf(
    'five policies',
    'five policies / evenkeel',
    0.7,
    'five policies / opossum, breaker, timeout, capacity',
    0.42,
  ),
  bytes('five policies', 'five policies / evenkeel', 980),
];

/** Of the targets that this run has measured. */
export function verdicts(run: Run): Verdict[] {
  return targets.flatMap((target) => {
    const figures = target.measure(run);
    if (figures === undefined) return [];
    const measured = median(figures);
    const missedByRatio = (target.isAtMost ? missedAtMost : missedAtLeast)(measured, target.bound);
    return { target, measured, least: Math.min(...figures), most: Math.max(...figures), missedByRatio };
  });
}
