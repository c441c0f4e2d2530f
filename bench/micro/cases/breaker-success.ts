import { ConsecutiveBreaker, circuitBreaker as cockatiel, handleAll, SamplingBreaker } from 'cockatiel';
import { circuitBreaker, pipeline } from 'evenkeel';
import Opossum from 'opossum';
import type { Group } from '../../kit/case.js';
import { thenAndClockFloor, thenFloor } from './floors.js';
import { mollitia, mollitiaBreaker } from './mollitia.js';

/** A closed breaker around a callee that is well. */
export const breakerSuccess: Group = {
  name: 'breaker success',
  cases: [
    thenAndClockFloor,
    thenFloor,
    {
      name: 'evenkeel',
      kind: 'ours',
      base: true,
      setup({ up }) {
        const guarded = pipeline(circuitBreaker());
        return () => guarded.execute(up);
      },
    },
    {
      name: 'cockatiel ConsecutiveBreaker',
      kind: 'peer',
      setup({ up }) {
        const policy = cockatiel(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) });
        return () => policy.execute(up);
      },
    },
    {
      name: 'cockatiel SamplingBreaker',
      kind: 'peer',
      setup({ up }) {
        const breaker = new SamplingBreaker({ threshold: 0.5, duration: 10_000 });
        const policy = cockatiel(handleAll, { halfOpenAfter: 10_000, breaker });
        return () => policy.execute(up);
      },
    },
    {
      name: 'opossum, timeout: false',
      kind: 'peer',
      setup({ up }) {
        const breaker = new Opossum(up, { timeout: false });
        return () => breaker.fire();
      },
    },
    {
      name: 'opossum, default timeout',
      kind: 'peer',
      setup({ up }) {
        const breaker = new Opossum(up);
        return () => breaker.fire();
      },
    },
    {
      name: 'mollitia, counting',
      kind: 'peer',
      setup({ up }) {
        const circuit = mollitia(up, mollitiaBreaker());
        return () => circuit.execute();
      },
    },
  ],
};
