import type { Case } from '../../kit/case.js';

const pass = (value: unknown): unknown => value;
const fail = (error: unknown): never => {
  throw error;
};

/** What any policy that looks at the outcome has to pay. */
export const thenFloor: Case = {
  name: 'fn().then(ok, fail)',
  kind: 'floor',
  setup:
    ({ up }) =>
    () =>
      up().then(pass, fail),
};

/** … and that needs to know the time. */
export const thenAndClockFloor: Case = {
  name: 'fn().then(ok, fail) + clock',
  kind: 'floor',
  setup: ({ up }) => {
    const time = { startedAt: 0 };
    return () => {
      time.startedAt = performance.now();
      return up().then(pass, fail);
    };
  },
};

export const clockFloor: Case = {
  name: 'performance.now',
  kind: 'floor',
  refused: (now) => typeof now === 'number',
  setup: () => () => performance.now(),
};

const refusal = new Error('made beforehand');

export const rejectionFloor: Case = {
  name: 'Promise.reject(made beforehand)',
  kind: 'floor',
  refused: (error) => error === refusal,
  setup: () => () => Promise.reject(refusal),
};
