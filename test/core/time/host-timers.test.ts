import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HostHold, HostTimers, type TimerNode } from '../../../src/core/time/timers.js';

class Node implements TimerNode {
  place = 0;
  order = 0;
  constructor(
    readonly fire: () => void,
    readonly dueMs: number,
    readonly keepAlive: boolean,
  ) {}
}

/** A host whose timers fire when the test says so, at most `early` ms before their time, as real ones do. */
class FakeHost {
  now = 0;
  early = 0;
  armed = 0;
  /** Calls of `ref` and `unref`. */
  told = 0;
  readonly delays: number[] = [];
  #live = new Map<object, { at: number; fn: () => void }>();
  #unheld = new Set<object>();

  readonly setTimeout = (fn: () => void, delayMs: number): object => {
    // Node and browsers fire at once what is beyond 2^31 − 1.
    const delay = delayMs > 2 ** 31 - 1 ? 1 : Math.max(1, Math.trunc(delayMs));
    const host = {
      ref: () => {
        this.told++;
        this.#unheld.delete(host);
      },
      unref: () => {
        this.told++;
        this.#unheld.add(host);
      },
    };
    this.armed++;
    this.delays.push(delayMs);
    this.#live.set(host, { at: this.now + delay, fn });
    return host;
  };

  readonly clearTimeout = (host: object): void => {
    this.#live.delete(host);
  };

  get live(): number {
    return this.#live.size;
  }

  /** Whether a timer keeps the process alive. */
  get held(): boolean {
    return [...this.#live.keys()].some((host) => !this.#unheld.has(host));
  }

  /** Goes on until `until`; throws what a timer's function threw, as the host's loop reports it. */
  goTo(until: number): void {
    for (let fired = 0; ; fired++) {
      if (fired > 10_000) throw new Error('the host timer fires over and over');
      const due = [...this.#live].sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined || due[1].at - this.early > until) break;
      const [host, { at, fn }] = due;
      this.#live.delete(host);
      // Even the earliest firing takes some time.
      this.now = Math.max(this.now + (this.early && 0.01), at - this.early);
      fn();
    }
    this.now = Math.max(this.now, until);
  }
}

describe('HostTimers', () => {
  let host: FakeHost;
  let timers: HostTimers;
  let log: [string, number][];
  /** What is to be called after a turn of the event loop. */
  let checks: (() => void)[];
  const set = (fn: () => void, ms: number, keepAlive = true): TimerNode => {
    const node = new Node(fn, host.now + ms, keepAlive);
    timers.add(node);
    return node;
  };
  const turn = (): void => {
    for (const check of checks.splice(0)) check();
  };
  const note = (name: string) => (): void => {
    log.push([name, host.now]);
  };

  beforeEach(() => {
    host = new FakeHost();
    checks = [];
    timers = new HostTimers(
      () => host.now,
      (fn) => checks.push(fn),
    );
    log = [];
    vi.stubGlobal('setTimeout', host.setTimeout);
    vi.stubGlobal('clearTimeout', host.clearTimeout);
  });
  afterEach(() => vi.unstubAllGlobals());

  it('keeps one host timer', () => {
    for (let i = 0; i < 1_000; i++) {
      set(note('x'), 5_000 - i);
      expect(host.live).toBe(1);
    }
    host.goTo(4_500);
    expect(host.live).toBe(1);
    host.goTo(5_000);
    expect(log).toHaveLength(1_000);
    expect(host.live).toBe(0);
  });

  it('holds the process while a node waits that keeps it alive, and no longer than a turn after', () => {
    const tidies = set(note('tidies'), 5, false);
    expect(host.held).toBe(false);
    const first = set(note('first'), 30_000);
    const second = set(note('second'), 60_000);
    expect(host.held).toBe(true);
    timers.clear(first);
    timers.clear(first);
    turn();
    expect(host.held).toBe(true);
    timers.clear(second);
    turn();
    expect(host.held).toBe(false);
    timers.clear(tidies);
    turn();
    expect(host.held).toBe(false);
  });

  it('holds it by the host timer that was armed for one that does not', () => {
    set(note('tidies'), 5, false);
    set(note('waits'), 10);
    expect([host.armed, host.held]).toEqual([1, true]);
    host.goTo(5);
    expect(host.held).toBe(true);
    host.goTo(10);
    expect(log.map(([name]) => name)).toEqual(['tidies', 'waits']);
    expect(host.live).toBe(0);
  });

  it('holds it no more when the last one that keeps it alive has fired', () => {
    set(note('waits'), 5);
    set(note('tidies'), 10, false);
    expect(host.held).toBe(true);
    host.goTo(5);
    expect([host.live, host.held, checks.length]).toEqual([1, false, 0]);
    set(note('waits again'), 1);
    expect(host.held).toBe(true);
  });

  it('does not hold it for what never fires', () => {
    set(note('tidies'), 5, false);
    timers.clear(set(note('never'), Infinity));
    expect(host.held).toBe(false);
    timers.clear(set(note('waits'), 10));
    turn();
    expect(host.held).toBe(false);
  });

  it('tells the host nothing while call follows call, and asks once a turn', () => {
    set(note('tidies'), 10, false);
    timers.clear(set(note('first'), 20));
    const { told } = host;
    for (let i = 0; i < 1_000; i++) timers.clear(set(note('x'), 20));
    expect([host.told - told, checks.length]).toEqual([0, 1]);
    const waits = set(note('waits'), 20);
    turn();
    expect([host.told - told, checks.length, host.held]).toEqual([0, 0, true]);
    timers.clear(waits);
    turn();
    expect([host.told - told, host.held]).toEqual([1, false]);
    timers.clear(set(note('next'), 20));
    expect([host.held, checks.length]).toEqual([true, 1]);
  });

  it('lets a host timer be that fires between the last call and the check', () => {
    const waits = set(note('waits'), 20);
    set(note('tidies'), 10, false);
    timers.clear(waits);
    host.goTo(10);
    turn();
    expect(host.live).toBe(0);
    set(note('next'), 20);
    expect(host.held).toBe(true);
  });

  it('tells a host nothing that calls nobody back after a turn', () => {
    timers = new HostTimers(() => host.now, undefined);
    timers.clear(set(note('cleared'), 5));
    set(note('kept'), 10);
    expect([host.told, host.held]).toEqual([0, true]);
    host.goTo(20);
    expect(log).toEqual([['kept', 10]]);
  });

  it('works where a host timer is a number, as in browsers', () => {
    const numbers = new Map<number, object>();
    vi.stubGlobal('setTimeout', (fn: () => void, delayMs: number) => {
      numbers.set(numbers.size + 1, host.setTimeout(fn, delayMs));
      return numbers.size;
    });
    vi.stubGlobal('clearTimeout', (id: number) => host.clearTimeout(numbers.get(id) ?? {}));
    timers.clear(set(note('cleared'), 5));
    set(note('kept'), 20);
    set(note('sooner'), 10);
    expect(host.live).toBe(1);
    host.goTo(30);
    expect(log).toEqual([
      ['sooner', 10],
      ['kept', 20],
    ]);
  });

  it('does not arm the host again for a timer behind the next one, nor for clearing', () => {
    set(note('a'), 10);
    const later = set(note('b'), 20);
    timers.clear(later);
    set(note('c'), 30);
    expect(host.armed).toBe(1);
  });

  it('arms the host for the next due time, in whole milliseconds, at least one', () => {
    set(note('a'), 10.2);
    expect(host.delays).toEqual([11]);
    set(note('b'), 3);
    set(note('c'), 0.1);
    set(note('d'), -5);
    expect(host.delays).toEqual([11, 3, 1, 1]);
    host.goTo(20);
    expect(host.delays).toEqual([11, 3, 1, 1, 2, 8]);
  });

  it('runs timers in order of their time, those due together in the order of setting', () => {
    set(note('c'), 20);
    set(note('a'), 10);
    set(note('b'), 10);
    set(note('now'), 0);
    set(note('past'), -5);
    host.goTo(30);
    expect(log).toEqual([
      ['past', 1],
      ['now', 1],
      ['a', 10],
      ['b', 10],
      ['c', 20],
    ]);
  });

  it('runs nothing that was cleared, and wakes for the ones behind it', () => {
    const first = set(note('first'), 10);
    set(note('second'), 20);
    timers.clear(first);
    host.goTo(100);
    expect(log).toEqual([['second', 20]]);
    timers.clear(first);
    expect(host.live).toBe(0);
  });

  it('arms anew for a timer that was set after an earlier one was cleared', () => {
    timers.clear(set(note('cleared'), 10));
    set(note('kept'), 50);
    host.goTo(49);
    expect(log).toEqual([]);
    host.goTo(50);
    expect(log).toEqual([['kept', 50]]);
    expect(host.live).toBe(0);
  });

  it.each([0.2, 0.999, 1])('is never early when the host fires %s ms early', (early) => {
    host.early = early;
    const times = [0.3, 1, 7.5, 7.6, 100];
    for (const ms of times) set(note(String(ms)), ms);
    host.goTo(200);
    expect(log.map(([name]) => Number(name))).toEqual(times);
    for (const [name, at] of log) {
      expect(at).toBeGreaterThanOrEqual(Number(name));
      expect(at).toBeLessThanOrEqual(Number(name) + 2);
    }
  });

  it('waits longer than hosts can', () => {
    const month = 30 * 24 * 3_600_000;
    set(note('month'), month);
    host.goTo(month - 1);
    expect(log).toEqual([]);
    expect(Math.max(...host.delays)).toBeLessThanOrEqual(2 ** 31 - 1);
    host.goTo(month + 1);
    expect(log).toEqual([['month', month]]);
    expect(host.armed).toBeLessThan(5);
  });

  it('never fires Infinity, and arms nothing for it', () => {
    const handle = set(note('never'), Infinity);
    expect(host.armed).toBe(0);
    timers.clear(handle);
    host.goTo(1e15);
    expect(log).toEqual([]);
  });

  it('still runs the timers behind one whose function throws', () => {
    set(() => {
      throw new Error('broken timer');
    }, 10);
    set(note('same time'), 10);
    set(note('later'), 20);
    expect(() => host.goTo(100)).toThrow('broken timer');
    expect(host.live).toBe(1);
    host.goTo(100);
    expect(log.map(([name]) => name)).toEqual(['same time', 'later']);
    expect(host.live).toBe(0);
  });

  it('lets a timer function set and clear timers', () => {
    const doomed: TimerNode[] = [];
    set(() => {
      note('outer')();
      set(note('inner'), 5);
      for (const node of doomed) timers.clear(node);
    }, 10);
    doomed.push(set(note('due together'), 10), set(note('due later'), 12));
    host.goTo(100);
    expect(log).toEqual([
      ['outer', 10],
      ['inner', 15],
    ]);
    expect(host.live).toBe(0);
  });

  it('lets a timer function set itself again', () => {
    let left = 5;
    const again = (): void => {
      note(String(left))();
      if (--left > 0) set(again, 10);
    };
    set(again, 10);
    host.goTo(1_000);
    expect(log.map(([, at]) => at)).toEqual([10, 20, 30, 40, 50]);
    expect(host.live).toBe(0);
  });

  it('matches a list of timers for any sequence of set, clear and passing time', () => {
    const operations = fc.array(
      fc.oneof(
        fc.record({ type: fc.constant('set'), value: fc.integer({ min: 0, max: 50 }) }),
        fc.record({ type: fc.constant('clear'), value: fc.nat(60) }),
        fc.record({ type: fc.constant('pass'), value: fc.integer({ min: 1, max: 30 }) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(operations, (list) => {
        const before = host.now;
        const handles: TimerNode[] = [];
        const waiting = new Map<number, number>();
        let fired: number[] = [];
        for (const { type, value } of [...list, { type: 'pass', value: 1_000 }]) {
          if (type === 'set') {
            const id = handles.length;
            handles.push(set(() => fired.push(id), value, id % 3 > 0));
            waiting.set(id, host.now + value);
          } else if (type === 'clear') {
            const node = handles[value];
            if (node !== undefined) timers.clear(node);
            waiting.delete(value);
          } else {
            fired = [];
            const now = host.now;
            host.goTo(now + value);
            // A host timer takes 1 ms at least.
            const due = [...waiting].filter(([, at]) => Math.max(at, now + 1) <= host.now);
            due.sort(([a, x], [b, y]) => x - y || a - b);
            expect(fired).toEqual(due.map(([id]) => id));
            for (const id of fired) waiting.delete(id);
          }
          expect(host.live).toBeLessThanOrEqual(1);
          turn();
          expect(host.held).toBe([...waiting.keys()].some((id) => id % 3 > 0));
        }
        expect(waiting.size).toBe(0);
        expect(host.live).toBe(0);
        expect(host.now).toBeGreaterThan(before);
      }),
      { numRuns: 300 },
    );
  });
});

describe('HostHold', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('keeps one host timer while somebody waits, and none after', () => {
    const hold = new HostHold();
    hold.release();
    expect(vi.getTimerCount()).toBe(0);
    hold.hold();
    hold.hold();
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(2 ** 31);
    expect(vi.getTimerCount()).toBe(1);
    hold.release();
    expect(vi.getTimerCount()).toBe(0);
    hold.hold();
    expect(vi.getTimerCount()).toBe(1);
    hold.release();
  });
});
