import type { Gate, Policy } from '../policy.js';
import { GateStep } from './gate-step.js';
import { FUSE, type Fusable, type Step } from './step.js';

export const isGate = (policy: Policy<never>): policy is Gate<never> =>
  'tryAcquire' in policy && 'release' in policy && 'retryAfterMs' in policy;

export const isFusable = (policy: Policy<never>): policy is Policy<never> & Fusable => FUSE in policy;

/** Where the step that ends before `end` begins; `end` = there is none. */
export function stepStart(policies: readonly Policy<never>[], end: number): number {
  let start = end;
  for (; start > 0; start--) {
    const policy = policies[start - 1] as Policy<never>;
    if (!isGate(policy) && !(isFusable(policy) && (start === end || !policy.innermost))) break;
  }
  // Alone, what is no gate is better off without a step.
  return end - start === 1 && !isGate(policies[start] as Policy<never>) ? end : start;
}

/** `labels` are what the gates are called in refusals. */
export function stepOf(policies: readonly Policy<never>[], labels: readonly string[]): Step {
  const fusable = policies.find(isFusable);
  return fusable === undefined
    ? new GateStep(policies as readonly Gate<never>[], labels)
    : fusable[FUSE](policies, labels);
}
