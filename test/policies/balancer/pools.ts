import type { Balancer } from 'evenkeel';

export const FIVE = 5;
export const mask = (pool: Balancer<string>, instance: string): void => {
  for (let i = 0; i < FIVE; i++) pool.report(instance, 'failure', 0);
};
export const stateOf = <T>(pool: Balancer<T>, instance: T): string | undefined =>
  pool.snapshot().instances.find((one) => one.instance === instance)?.state;
export const picks = (pool: Balancer<string>, n: number): string[] => Array.from({ length: n }, () => pool.pick());
