import { getEventListeners } from 'node:events';
import * as v8 from 'node:v8';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessagePort, Worker } from 'node:worker_threads';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Of Node 20.13 and later, and not in the types of Node 20. */
const { queryObjects } = v8 as typeof v8 & {
  queryObjects(type: object, options: { format: 'count' }): number;
};

/** What there is in this thread, once all garbage is gone. */
export interface Census {
  hostTimers: number;
  listeners: number;
  workers: number;
  messagePorts: number;
}

/** `signal`: the one whose listeners are counted. */
export function census(signal: AbortSignal): Census {
  collect();
  return {
    hostTimers: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length,
    listeners: getEventListeners(signal, 'abort').length,
    workers: queryObjects(Worker, { format: 'count' }),
    messagePorts: queryObjects(MessagePort, { format: 'count' }),
  };
}

/** What is there now and was not before. */
export const leftOver = (before: Census, now: Census): string[] =>
  (Object.keys(now) as (keyof Census)[])
    // The library's one host timer stays where it is until it has nothing to do.
    .filter((kind) => now[kind] > before[kind] + (kind === 'hostTimers' ? 1 : 0))
    .map((kind) => `${kind}: ${before[kind]} before, ${now[kind]} now`);

/** Heap and shared memory in use, kB. */
export function heapKb(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1_024;
}
