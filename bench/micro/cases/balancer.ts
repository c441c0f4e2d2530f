import { type BalancerOptions, balancer } from 'evenkeel';
import type { Case, Group } from '../../kit/case.js';

export const POOL_SIZES = [3, 100, 1_000] as const;

/** Pick an instance, and report a success. */
const pickAndReport = (name: string, size: number, choice: NonNullable<BalancerOptions<string>['choice']>): Case => ({
  name,
  kind: 'ours',
  setup(callee) {
    const instances = Array.from({ length: size }, (_, i) => `http://host-${i}`);
    const pool = balancer({ instances, choice });
    return () => {
      const instance = pool.pick();
      callee.reach();
      pool.report(instance, 'success', 5);
    };
  },
});

/** The same while one of the instances is masked. */
const oneMasked: Case = {
  name: 'evenkeel, 3, one of them masked',
  kind: 'ours',
  setup(callee) {
    const pool = balancer({ instances: ['http://a', 'http://b', 'http://c'], probeIntervalMs: 1e9 });
    for (let i = 0; i < 5; i++) pool.report('http://c', 'failure', 0);
    return () => {
      const instance = pool.pick();
      callee.reach();
      pool.report(instance, 'success', 5);
    };
  },
};

/** Nobody reports, nothing is masked: what only chooses costs. */
const turns = (size: number): Case => ({
  name: `turns and Map.get, ${size}`,
  kind: 'floor',
  setup(callee) {
    const instances = Array.from({ length: size }, (_, i) => `http://host-${i}`);
    const counts = new Map(instances.map((instance) => [instance, { calls: 0 }]));
    let next = 0;
    return () => {
      const instance = instances[next] as string;
      next = (next + 1) % size;
      callee.reach();
      (counts.get(instance) as { calls: number }).calls++;
    };
  },
});

export const balancerPick: Group = {
  name: 'balancer, pick + report',
  cases: [
    ...POOL_SIZES.map(turns),
    ...POOL_SIZES.map((size) => ({
      ...pickAndReport(`evenkeel, ${size}`, size, 'smooth'),
      floor: `turns and Map.get, ${size}`,
    })),
    oneMasked,
    ...POOL_SIZES.map((size) => pickAndReport(`evenkeel, latency, ${size}`, size, 'latency')),
  ],
};
