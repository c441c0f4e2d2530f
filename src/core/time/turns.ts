/** Turns of the host's event loop: how to wait until every promise chain that can go on has done so. */
import { systemClock } from './clock.js';

/** Calls `fn` once every promise chain that can go on now has run to its end. One call at a time. */
export type Turn = (fn: () => void) => void;

/** How long cheap turns may keep the host's own work (input and output, timers, signals) waiting, ms. */
const HOST_EVERY_MS = 10;
/** The clock is read once in so many cheap turns: a reading costs a third of a turn. */
const LOOK_EVERY = 16;
/** The host gets its turn after so many cheap turns, also where fake timers make time stand still. */
const HOST_EVERY = 4_096;

/** What hosts besides Node have. */
interface Scheduler {
  yield?: () => Promise<void>;
}

/**
 * The host's own functions as they are when this is loaded: what a test puts in their place later (`vi.useFakeTimers()`)
 * moves on only when that test says so, and that test waits for a turn.
 */
const host = /* @__PURE__ */ (() => {
  const immediate: unknown = globalThis.setImmediate;
  const { scheduler } = globalThis as { scheduler?: Scheduler };
  const yieldNow: unknown = scheduler?.yield;
  return {
    immediate: typeof immediate === 'function' ? (immediate as Turn) : undefined,
    timeout: globalThis.setTimeout as unknown as Turn,
    nextTick: nodeTick(),
    yieldNow: typeof yieldNow === 'function' ? (): Promise<void> => yieldNow.call(scheduler) : undefined,
    Channel: channelClass(),
  };
})();

/** `process.nextTick` of Node itself. What stands in for it elsewhere need not wait for the end of all promise chains. */
function nodeTick(): Turn | undefined {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> };
  const { uv, bun, deno } = process?.versions ?? ({} as Partial<NodeJS.ProcessVersions>);
  return uv !== undefined && bun === undefined && deno === undefined ? process?.nextTick : undefined;
}

/** workerd delivers messages in the middle of promise chains. */
function channelClass(): typeof MessageChannel | undefined {
  const { navigator } = globalThis as { navigator?: { userAgent?: string } };
  return navigator?.userAgent === 'Cloudflare-Workers' ? undefined : globalThis.MessageChannel;
}

/** Resolves once every promise chain that can go on now has done so: one turn of the host's event loop. */
export function hostTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
    } else {
      setTimeout(resolve, 0);
    }
  });
}

/** {@link hostTurn} for virtual time. By callback: an `await` a turn would cost as much as the turn. */
export function afterPromises(fn: () => void): void {
  (host.immediate ?? host.timeout)(fn);
}

/**
 * The cheapest exact turns of this host, for one simulation. Exact: however long a promise chain is, it has ended.
 *
 * - Node runs ticks only when no microtask is left, so that a microtask that sets a tick is a turn (0.15 µs against 4 µs
 *   of `setImmediate`). Waits by `process.nextTick` itself are not awaited.
 * - Browsers clamp `setTimeout` to 4 ms: `scheduler.yield()` takes 4 µs, a message 20 µs.
 * - Elsewhere `setImmediate`, if there is one.
 *
 * Cheap turns keep the host from its own work: it gets a turn of its loop every 10 ms.
 */
export function promiseTurns(): Turn {
  const { immediate, timeout, nextTick, yieldNow, Channel } = host;
  if (immediate !== undefined)
    return nextTick === undefined ? immediate : withHostTurns(tickTurns(nextTick), immediate);
  const message = Channel === undefined ? undefined : channelTurns(Channel);
  if (yieldNow === undefined) return message ?? timeout;
  return withHostTurns((fn) => void yieldNow().then(fn), message ?? timeout);
}

/** `cheap`, and `full` often enough that the host is not starved. */
export function withHostTurns(cheap: Turn, full: Turn): Turn {
  let turns = 0;
  let lastMs = systemClock.now();
  return (fn) => {
    turns++;
    if (turns < HOST_EVERY && (turns % LOOK_EVERY !== 0 || systemClock.now() - lastMs < HOST_EVERY_MS))
      return cheap(fn);
    full(() => {
      turns = 0;
      lastMs = systemClock.now();
      fn();
    });
  };
}

function tickTurns(nextTick: Turn): Turn {
  const settled = Promise.resolve();
  let next: () => void;
  const tick = (): void => nextTick(next);
  return (fn) => {
    next = fn;
    // A tick that is set by a tick would run before the promises.
    void settled.then(tick);
  };
}

export function channelTurns(Channel: typeof MessageChannel): Turn {
  const { port1, port2 } = new Channel();
  let next: () => void;
  port1.onmessage = () => next();
  return (fn) => {
    next = fn;
    port2.postMessage(undefined);
  };
}
