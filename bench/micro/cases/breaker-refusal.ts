import { ConsecutiveBreaker, circuitBreaker as cockatiel, handleAll, isBrokenCircuitError } from 'cockatiel';
import { circuitBreaker, isRejected, pipeline, type Result } from 'evenkeel';
import { BreakerError } from 'mollitia';
import Opossum from 'opossum';
import type { Group } from '../../kit/case.js';
import { clockFloor, rejectionFloor } from './floors.js';
import { mollitia, mollitiaBreaker } from './mollitia.js';

/** Longer than any run: peers stay open. */
const NEVER_MS = 2 ** 31 - 1;

/** A breaker around a callee that fails for good. Ours lets a probe through now and then. */
export const breakerRefusal: Group = {
  name: 'breaker refusal',
  cases: [
    clockFloor,
    rejectionFloor,
    {
      name: 'evenkeel, execute',
      kind: 'ours',
      base: true,
      floor: rejectionFloor.name,
      refused: isRejected,
      setup({ down }) {
        const guarded = pipeline(circuitBreaker());
        return () => guarded.execute(down);
      },
    },
    {
      name: 'evenkeel, tryExecute',
      kind: 'ours',
      refused: (result) => !(result as Result<unknown>).ok,
      setup({ down }) {
        const guarded = pipeline(circuitBreaker());
        return () => guarded.tryExecute(down);
      },
    },
    {
      name: 'evenkeel, tryAcquire',
      kind: 'ours',
      refused: (admitted) => admitted === false,
      setup(callee) {
        const breaker = circuitBreaker();
        return () => {
          if (!breaker.tryAcquire()) return false;
          callee.reach();
          breaker.release('failure', 0);
          return true;
        };
      },
    },
    {
      name: 'cockatiel',
      kind: 'peer',
      floor: rejectionFloor.name,
      refused: isBrokenCircuitError,
      setup({ down }) {
        const policy = cockatiel(handleAll, { halfOpenAfter: NEVER_MS, breaker: new ConsecutiveBreaker(1) });
        return () => policy.execute(down);
      },
    },
    {
      name: 'opossum',
      kind: 'peer',
      floor: rejectionFloor.name,
      refused: (error) => (error as { code?: unknown }).code === 'EOPENBREAKER',
      setup({ down }) {
        const breaker = new Opossum(down, { timeout: false, resetTimeout: NEVER_MS });
        return () => breaker.fire();
      },
    },
    {
      name: 'mollitia',
      kind: 'peer',
      floor: rejectionFloor.name,
      refused: (error) => error instanceof BreakerError,
      setup({ down }) {
        const circuit = mollitia(down, mollitiaBreaker());
        return () => circuit.execute();
      },
    },
  ],
};
