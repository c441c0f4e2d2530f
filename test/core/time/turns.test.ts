import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  afterPromises,
  hostTurn,
  listenerTurns,
  promiseTurns,
  type Turn,
  withHostTurns,
} from '../../../src/core/time/turns.js';

afterEach(() => vi.unstubAllGlobals());

/** How far a promise chain has come after a turn. */
async function depthAfter(turn: () => Promise<void>): Promise<number> {
  let depth = 0;
  const chain = async (): Promise<void> => {
    for (; depth < 1_000; depth++) await null;
  };
  void chain();
  await turn();
  return depth;
}

const inPromise = (turn: Turn): Promise<void> => new Promise((resolve) => turn(resolve));

/** How far a chain of 50 has come at each turn, each begun in the turn before. */
const play = (turn: Turn, count: number): Promise<number[]> =>
  new Promise((resolve) => {
    const depths: number[] = [];
    let depth = 0;
    const go = (): void => {
      depths.push(depth);
      if (depths.length > count) {
        resolve(depths);
        return;
      }
      depth = 0;
      void (async () => {
        for (; depth < 50; depth++) await null;
      })();
      turn(go);
    };
    turn(go);
  });
const wanted = [0, ...Array.from({ length: 200 }, () => 50)];

describe('a turn comes after promise chains of any depth:', () => {
  it.each(['with', 'without'])('hostTurn, %s setImmediate', async (host) => {
    // A browser clamps setTimeout to 4 ms.
    vi.stubGlobal(host === 'with' ? 'setTimeout' : 'setImmediate', undefined);
    expect(await depthAfter(hostTurn)).toBe(1_000);
  });

  it('afterPromises and promiseTurns, again and again', async () => {
    const turn = promiseTurns();
    for (let i = 0; i < 100; i++) expect(await depthAfter(() => inPromise(turn))).toBe(1_000);
    expect(await play(turn, 200)).toEqual(wanted);
    expect(await depthAfter(() => inPromise(afterPromises))).toBe(1_000);
  });

  it.each([
    ['Bun', { process: { versions: { uv: '1', bun: '1' }, nextTick: queueMicrotask } }],
    ['Deno', { process: { versions: { uv: '1', deno: '1' }, nextTick: queueMicrotask } }],
    ['a host that has only some of Node', { process: { versions: {}, nextTick: queueMicrotask } }],
    ['a host without a process', { process: undefined }],
    ['workerd', { process: undefined, setImmediate: undefined, navigator: { userAgent: 'Cloudflare-Workers' } }],
    ['a host with neither', { process: undefined, setImmediate: undefined, MessageChannel: undefined }],
  ])('on %s too, where ticks and messages may come too soon', async (_, globals) => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
    vi.resetModules();
    const turns = await import('../../../src/core/time/turns.js');
    vi.unstubAllGlobals();
    expect(await depthAfter(() => inPromise(turns.promiseTurns()))).toBe(1_000);
  });
});

describe('many turns', () => {
  it('leave the host its own turns, by time', async () => {
    let hostsTurns = 0;
    const count = (): void => {
      hostsTurns++;
      if (isRunning) setImmediate(count);
    };
    let isRunning = true;
    setImmediate(count);
    const turn = promiseTurns();
    const endMs = performance.now() + 100;
    while (performance.now() < endMs) await inPromise(turn);
    isRunning = false;
    expect(hostsTurns).toBeGreaterThan(2);
  });

  it('and by number, where the time stands still', () => {
    vi.stubGlobal('performance', { now: () => 0 });
    vi.stubGlobal('setTimeout', () => {});
    let full = 0;
    const at = (fn: () => void): void => fn();
    const turn = withHostTurns(at, (fn) => {
      full++;
      fn();
    });
    for (let i = 0; i < 4_096; i++) turn(() => {});
    expect(full).toBe(1);
    for (let i = 0; i < 4_096; i++) turn(() => {});
    expect(full).toBe(2);
  });
});

/** A channel whose messages are tasks; `checkpoints` = whether promises run after each listener, as in browsers. */
function fakeChannel(checkpoints: boolean) {
  const messages = { count: 0 };
  class Channel {
    readonly #listeners: (() => void)[] = [];
    readonly port1 = { addEventListener: (_: string, fn: () => void) => this.#listeners.push(fn), start: () => {} };
    readonly port2 = { postMessage: () => void setImmediate(() => this.#dispatch()) };

    async #dispatch(): Promise<void> {
      messages.count++;
      for (const listener of this.#listeners) {
        listener();
        if (checkpoints) await hostTurn();
      }
    }
  }
  return { messages, Channel: Channel as unknown as typeof globalThis.MessageChannel };
}

describe('listenerTurns', () => {
  it('makes 64 turns of a message where promises run after each listener', async () => {
    const { messages, Channel } = fakeChannel(true);
    expect(await play(listenerTurns(Channel), 200)).toEqual(wanted);
    expect(messages.count).toBe(4);
  });

  it('makes one of each where they do not', async () => {
    const { messages, Channel } = fakeChannel(false);
    expect(await play(listenerTurns(Channel), 200)).toEqual(wanted);
    expect(messages.count).toBe(201);
  });
});
