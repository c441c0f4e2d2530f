/** What the tests of the command play. */
import { circuitBreaker, pipeline } from 'evenkeel';

const load = { arrivals: 'constant', ratePerSecond: 100 };
export const bare = { seed: 1, durationMs: 5_000, load, backend: { serviceTimeMs: 20, queue: 10 } };
export const bareExpectations = { goodputRatio: { min: 0.9 } };

export const free = bare;

export const wrong = { ...bare, durationMs: -1 };
export const odd = bare;
export const oddExpectations = { goodputRatio: { least: 0.9 } };
export const throwing = {
  ...bare,
  client: {
    pipeline: () => {
      throw new Error('no pipeline today');
    },
  },
};
export const seven = 7;

const client = { pipeline: ({ clock, random }) => pipeline(circuitBreaker({ clock, random, k: 1.1 })) };
export default { ...bare, name: 'guarded', client };
export const expectations = { refusedBy: { circuit_open: { min: 100 } } };
