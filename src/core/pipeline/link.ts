/** Policies in, steps out: the only place that knows which of them run as one. */
import { abortableOf, type Context } from '../call/context.js';
import { callFunction, checkNext } from '../call/function.js';
import { callNext, GRACE, untilAbort } from '../call/promises.js';
import type { Gate, Next, Policy } from '../policy.js';
import { GateStep } from './gate-step.js';
import { Fusible, type Inside, type Step } from './step.js';

/** How many microtasks more each step or policy has after an abort than what is inside it; the function has 32. */
const MORE = 12;

export const isGate = (policy: Policy<never>): policy is Gate<never> =>
  'tryAcquire' in policy && 'release' in policy && 'retryAfterMs' in policy;

/** Where the step that ends before `end` begins; `end` = there is none. */
export function stepStart(policies: readonly Policy<never>[], end: number): number {
  let start = end;
  for (; start > 0; start--) {
    const policy = policies[start - 1] as Policy<never>;
    if (!isGate(policy) && !(policy instanceof Fusible && (start === end || !policy.innermost))) break;
  }
  return start;
}

/** `labels` are what the policies are called in refusals. */
export function stepOf(policies: readonly Policy<never>[], labels: readonly string[], inside: Inside): Step {
  const fusible = policies.find((policy) => policy instanceof Fusible);
  return fusible === undefined
    ? new GateStep(policies as readonly Gate<never>[], labels, inside)
    : fusible.fuse(policies, labels, inside);
}

/** What a pipeline runs. */
export interface Linked<C extends Context> {
  /** What runs as one step outermost, if anything: its gates refuse before anything else is done. */
  readonly head: Step | undefined;
  /** What comes after it. */
  readonly rest: Next<C, never>;
}

/** Links `policies`, outermost first, around the user's function. */
export function link<C extends Context>(policies: readonly Policy<C>[], labels: readonly string[]): Linked<C> {
  let next: Next<C, never> = callFunction;
  let inside: Inside = { ends: true, microtasks: GRACE + MORE };
  for (let end = policies.length; end > 0; ) {
    const start = stepStart(policies, end);
    const isStep = start < end;
    if (isStep) {
      const step = stepOf(policies.slice(start, end), labels.slice(start, end), inside);
      if (start === 0) return { head: step, rest: next };
      next = within(step, next);
      end = start;
    } else {
      next = around(policies[--end] as Policy<C>, next, inside.microtasks + MORE);
    }
    inside = { ends: true, microtasks: inside.microtasks + MORE };
  }
  return { head: undefined, rest: next };
}

/** Ends soon after an abort, also where the policy does not: what is around it can rely on that. */
function around<C extends Context>(policy: Policy<C>, inner: Next<C, never>, microtasks: number): Next<C, never> {
  const run: Next<C, never> = (ctx) => policy.run<C, never>(ctx, inner);
  return (ctx) => {
    checkNext(ctx);
    const promise = callNext(ctx, run);
    const abortable = abortableOf(ctx);
    return abortable === undefined ? promise : untilAbort(promise, abortable, microtasks, true);
  };
}

const within =
  <C extends Context>(step: Step, inner: Next<C, never>): Next<C, never> =>
  (ctx) => {
    checkNext(ctx);
    return step.run(ctx, inner);
  };
