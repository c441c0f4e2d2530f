import { deadline, type Gate, tierShedder } from 'evenkeel';
import type { Case, Group } from '../../kit/case.js';
import { clockFloor } from './floors.js';

const HOUR = 495_000;
const KEY = '3f0c1a52-9a51-4c1e-8f0e-6f6f1f0f7a11';

/** Acquire and release, with the clock read that a pipeline does for all its gates. */
const admitted = (name: string, make: () => Gate): Case => ({
  name,
  kind: 'ours',
  setup(callee) {
    const gate = make();
    const call = { startedAt: 0, receivedAt: 0, tier: 3 as const, key: KEY };
    return () => {
      call.startedAt = call.receivedAt = performance.now();
      if (!gate.tryAcquire(call)) return;
      callee.reach();
      gate.release('success', 5, call);
    };
  },
});

const refused = (name: string, make: () => Gate, late: number): Case => ({
  name,
  kind: 'ours',
  refused: (taken) => taken === false,
  setup(callee) {
    const gate = make();
    const call = { startedAt: 0, receivedAt: 0, tier: 4 as const, key: KEY };
    return () => {
      call.startedAt = performance.now();
      call.receivedAt = call.startedAt - late;
      if (!gate.tryAcquire(call)) return false;
      callee.reach();
      gate.release('failure', 5, call);
      return true;
    };
  },
});

const floor: Case = {
  name: 'performance.now',
  kind: 'floor',
  setup(callee) {
    return () => {
      callee.reach();
      return performance.now();
    };
  },
};

/** Calls that are let in. */
export const admissionSuccess: Group = {
  name: 'deadline and tiers admitted',
  cases: [
    floor,
    admitted('evenkeel, deadline', () => deadline({ maxAgeMs: 1_000 })),
    admitted('evenkeel, tierShedder', () => tierShedder({ load: () => 0, hour: () => HOUR })),
  ],
};

/** Calls that are not. */
export const admissionRefusal: Group = {
  name: 'deadline and tiers refused',
  cases: [
    clockFloor,
    refused('evenkeel, deadline', () => deadline({ maxAgeMs: 1_000 }), 2_000),
    refused('evenkeel, tierShedder', overloaded, 0),
  ],
};

/** One that has been overloaded for a while. */
function overloaded(): Gate {
  const shedder = tierShedder({ load: () => 1, hour: () => HOUR });
  const from = performance.now() - 60_000;
  for (let i = 0; i < 6_000; i++) shedder.tryAcquire({ startedAt: from + i * 10, tier: i % 2 === 0 ? 1 : 4, key: KEY });
  return shedder;
}
