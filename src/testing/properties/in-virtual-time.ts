import { pipeline } from '../../core/pipeline/pipeline.js';
import type { Policy } from '../../core/policy.js';
import type { Clock } from '../../core/time/clock.js';
import type { SimulatedPipeline } from '../simulator/scenario/scenario.js';

/**
 * The pipeline that a test was given, so that it uses `clock`.
 *
 * @throws TypeError when it is none, or has a policy that uses another clock and would not see virtual time pass
 */
export function inVirtualTime(owner: string, given: unknown, clock: Clock): SimulatedPipeline {
  const made = given as SimulatedPipeline | undefined;
  if (!Array.isArray(made?.policies) || typeof made.execute !== 'function') {
    throw new TypeError(`${owner}: pipeline must return a pipeline`);
  }
  const policies = made.policies as readonly Policy[];
  for (const { name, clock: own } of policies) {
    if (own !== undefined && own !== clock) {
      throw new TypeError(`${owner}: pipeline: ${name} has another clock; give it env.clock`);
    }
  }
  if (policies.some((policy) => policy.clock !== undefined)) return made;
  // Without a clock in it, it would live by the host's.
  return pipeline({ name: 'virtual time', clock, run: (ctx, next) => next(ctx) }, ...policies);
}
