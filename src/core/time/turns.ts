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
/** So many turns are got out of one message. */
const LISTENERS = 64;

/**
 * The host's own functions as they are when this is loaded: what a test puts in their place later
 * (`vi.useFakeTimers()`) moves on only when that test says so, and that test waits for a turn.
 */
const host = /* @__PURE__ */ (() => {
  const immediate: unknown = globalThis.setImmediate;
  return {
    fullTurn: (typeof immediate === 'function' ? immediate : globalThis.setTimeout) as Turn,
    hasImmediate: typeof immediate === 'function',
    nextTick: nodeTick(),
    Channel: channelClass(),
  };
})();

/**
 * `process.nextTick` of Node itself. What stands in for it elsewhere need not wait for the end of all promise chains.
 */
function nodeTick(): Turn | undefined {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> };
  const { uv, bun, deno } = process?.versions ?? ({} as Partial<NodeJS.ProcessVersions>);
  return uv !== undefined && bun === undefined && deno === undefined ? process?.nextTick : undefined;
}

/** workerd's is left alone: it delivers messages in the middle of promise chains. */
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
  host.fullTurn(fn);
}

/**
 * The cheapest exact turns of this host, for one simulation. Exact: promise chains have ended, however long they are.
 *
 * - Node runs ticks only when no microtask is left, so that a microtask that sets a tick makes a turn: 0.15 µs, where
 *   `setImmediate` takes 4 µs. What itself waits for a tick is not waited for.
 * - Browsers: {@link listenerTurns}.
 * - Elsewhere `setImmediate`, if there is one.
 */
export function promiseTurns(): Turn {
  const { fullTurn, hasImmediate, nextTick, Channel } = host;
  if (nextTick !== undefined) return withHostTurns(tickTurns(nextTick), fullTurn);
  return hasImmediate || Channel === undefined ? fullTurn : listenerTurns(Channel);
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

/** Turns by `cheap`, and often enough by `full` that the host is not starved. */
export function withHostTurns(cheap: Turn, full: Turn): Turn {
  let turns = 0;
  let lastMs = systemClock.now();
  return (fn) => {
    turns++;
    if (turns < HOST_EVERY && (turns % LOOK_EVERY !== 0 || systemClock.now() - lastMs < HOST_EVERY_MS)) {
      cheap(fn);
      return;
    }
    full(() => {
      turns = 0;
      lastMs = systemClock.now();
      fn();
    });
  };
}

/**
 * Turns for browsers, where a message costs 16 µs, `scheduler.yield()` 4 µs, and `setTimeout` is clamped to 4 ms. After
 * each listener of one message, browsers run all microtasks ("clean up after running script", HTML Standard 8.1.4.4),
 * so that many listeners make as many turns. Where a host does not, the other listeners stand back: a turn a message.
 */
export function listenerTurns(Channel: typeof MessageChannel): Turn {
  const { port1, port2 } = new Channel();
  const settled = Promise.resolve();
  let next: (() => void) | undefined;
  let isPosted = false;
  let isDrained = true;
  const drained = (): void => {
    isDrained = true;
  };
  const post = (): void => {
    isPosted = true;
    port2.postMessage(undefined);
  };
  for (let i = 0; i < LISTENERS; i++) {
    port1.addEventListener('message', () => {
      if (next === undefined || !isDrained) return;
      const fn = next;
      next = undefined;
      isDrained = false;
      void settled.then(drained);
      fn();
    });
  }
  port1.addEventListener('message', () => {
    isPosted = false;
    if (next !== undefined) post();
  });
  port1.start();
  return (fn) => {
    next = fn;
    if (!isPosted) post();
  };
}
