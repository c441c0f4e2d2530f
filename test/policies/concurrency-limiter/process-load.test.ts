import { type ProcessLoadOptions, processLoad } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SteppedClock, steppedClock } from '../../simulation/saturated-callee.js';

const NONE = { eventLoop: () => undefined, cpuMs: () => undefined, cores: () => undefined };

/** What it reads once a second passes, with no average over time. */
function share(clock: SteppedClock, options: ProcessLoadOptions): number {
  const load = processLoad({ clock, smoothingMs: 0, ...options });
  clock.at += 1_000;
  return load();
}

it('is the larger of event-loop utilisation and CPU share', () => {
  const clock = steppedClock();
  const eventLoop = () => ({ active: clock.at * 0.6, idle: clock.at * 0.4 });
  const cpuMs = () => clock.at * 0.9;
  expect(share(clock, { sources: { ...NONE, eventLoop } })).toBeCloseTo(0.6, 9);
  expect(share(clock, { sources: { ...NONE, cpuMs, cores: () => 1 } })).toBeCloseTo(0.9, 9);
  expect(share(clock, { sources: { eventLoop, cpuMs, cores: () => 1 } })).toBeCloseTo(0.9, 9);
  expect(share(clock, { sources: { eventLoop, cpuMs, cores: () => 4 } })).toBeCloseTo(0.6, 9);
});

it('takes a quota of half a core for what it is', () => {
  const clock = steppedClock();
  expect(share(clock, { sources: { ...NONE, cpuMs: () => clock.at * 0.4, cores: () => 0.5 } })).toBeCloseTo(0.8, 9);
});

it('is 0 where the host tells nothing', () => {
  expect(share(steppedClock(), { sources: NONE })).toBe(0);
  expect(share(steppedClock(), { sources: { ...NONE, cpuMs: () => 1e9 } })).toBe(0);
});

it('samples when read, not more often than asked to, and sets no timer', () => {
  const clock = manualClock();
  let reads = 0;
  const eventLoop = () => {
    reads++;
    return { active: 0, idle: clock.now() };
  };
  const load = processLoad({ clock, sampleMs: 250, sources: { ...NONE, eventLoop } });
  for (let i = 0; i < 1_000; i++) load();
  expect([reads, clock.waiting]).toEqual([1, 0]);
  clock.jump(249);
  load();
  expect(reads).toBe(1);
  clock.jump(1);
  load();
  load();
  expect([reads, clock.waiting]).toEqual([2, 0]);
});

it('reads a quota anew once a minute, as containers are resized', () => {
  const clock = steppedClock();
  let cores = 1;
  const sources = { ...NONE, cpuMs: () => clock.at, cores: () => cores };
  const load = processLoad({ clock, smoothingMs: 0, sources });
  const at = (ms: number) => {
    clock.at = ms;
    return load();
  };
  expect(at(1_000)).toBe(1);
  cores = 2;
  expect(at(2_000)).toBe(1);
  expect(at(61_000)).toBe(0.5);
});

it('asks for the cores when it first needs them, and not again for the same moment', () => {
  const clock = steppedClock();
  const asked: number[] = [];
  const load = processLoad({ clock, sources: { ...NONE, cpuMs: () => 0, cores: () => asked.push(clock.at) } });
  expect(asked).toEqual([]);
  for (const at of [61_000, 1_000, 61_000]) {
    clock.at = at;
    load();
  }
  expect(asked).toEqual([61_000]);
});

it('has a new quota, and goes on measuring, at once when the clock is set back', () => {
  const clock = steppedClock();
  let cores = 1;
  let cpu = 0;
  const load = processLoad({ clock, smoothingMs: 0, sources: { ...NONE, cpuMs: () => cpu, cores: () => cores } });
  const at = (ms: number, usedMs: number) => {
    clock.at = ms;
    cpu += usedMs;
    return load();
  };
  expect(at(61_000, 61_000)).toBe(1);
  cores = 4;
  expect(at(1_000, 500)).toBe(1);
  expect(at(1_250, 250)).toBe(0.25);
});

it('begins with what a host tells later only, and ends with what it tells no more', () => {
  const clock = steppedClock();
  let tells = false;
  const eventLoop = () => (tells ? { active: clock.at / 2, idle: clock.at / 2 } : undefined);
  const load = processLoad({ clock, smoothingMs: 0, sources: { ...NONE, eventLoop } });
  const loads = [false, true, true, false, false].map((now) => {
    tells = now;
    clock.at += 1_000;
    return load();
  });
  expect(loads).toEqual([0, 0, 0.5, 0, 0]);
});

describe('the host', () => {
  /** What this host tells, if it were another; all at once, as the runner needs its own. */
  function onHost(clock: SteppedClock, host: { process?: unknown; performance?: unknown }): number {
    const own = (['process', 'performance'] as const).map(
      (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor] as const,
    );
    try {
      for (const [name] of own) {
        Object.defineProperty(globalThis, name, { value: host[name], configurable: true, writable: true });
      }
      return share(clock, {});
    } finally {
      for (const [name, descriptor] of own) Object.defineProperty(globalThis, name, descriptor);
    }
  }

  /** 0.4 of a core in use, of two; a control group may allow another number. */
  function busy(clock: SteppedClock, files: Record<string, string> = {}) {
    const modules: Record<string, unknown> = {
      'node:os': { availableParallelism: () => 2 },
      'node:fs': {
        readFileSync: (path: string, encoding: string) => {
          if (files[path] === undefined || encoding !== 'utf8') throw new Error('no such file');
          return files[path];
        },
      },
    };
    return {
      cpuUsage: () => ({ user: clock.at * 300, system: clock.at * 100 }),
      getBuiltinModule: (name: string) => modules[name],
    };
  }

  it('tells how busy its event loop is', () => {
    const clock = steppedClock();
    const performance = { eventLoopUtilization: () => ({ active: clock.at * 0.6, idle: clock.at * 0.4 }) };
    expect(onHost(clock, { performance })).toBeCloseTo(0.6, 9);
  });

  it.each([
    ['all cores of the machine', {}, 0.2],
    ['a quota of half a core', { '/sys/fs/cgroup/cpu.max': '50000 100000' }, 0.8],
    ['a quota of more than there are', { '/sys/fs/cgroup/cpu.max': '400000 100000' }, 0.2],
  ])('tells its CPU time, with %s', (_, files, load) => {
    const clock = steppedClock();
    expect(onHost(clock, { process: busy(clock, files) })).toBeCloseTo(load, 9);
  });

  it('may lack any of it', () => {
    const clock = steppedClock();
    const { cpuUsage, getBuiltinModule } = busy(clock);
    const noModule = () => undefined;
    for (const host of [
      {},
      { process: {}, performance: {} },
      { process: { cpuUsage } },
      { process: { getBuiltinModule } },
      { process: { cpuUsage, getBuiltinModule: noModule } },
    ]) {
      expect(onHost(clock, host)).toBe(0);
    }
    const noFiles = (name: string) => (name === 'node:os' ? getBuiltinModule(name) : undefined);
    expect(onHost(clock, { process: { cpuUsage, getBuiltinModule: noFiles } })).toBeCloseTo(0.2, 9);
  });
});

it('is finite and between 0 and 1 whatever the host says and the clock does', () => {
  const figure = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, 0, -1));
  const step = fc.record({
    byMs: fc.integer({ min: -5_000, max: 5_000 }),
    active: figure,
    idle: figure,
    cpu: figure,
    cores: figure,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 0, max: 2_000 }), (steps, smoothingMs) => {
      const clock = steppedClock();
      let now = { active: 0, idle: 0, cpu: 0, cores: 1 };
      const sources = { eventLoop: () => now, cpuMs: () => now.cpu, cores: () => now.cores };
      const load = processLoad({ clock, smoothingMs, sources });
      for (const { byMs, ...figures } of steps) {
        clock.at += byMs;
        now = figures;
        const value = load();
        expect(value >= 0 && value <= 1).toBe(true);
      }
    }),
  );
});

it('reads this machine: a busy loop is load, and so it says', () => {
  const clock = steppedClock();
  const load = processLoad({ clock, smoothingMs: 0 });
  const from = process.cpuUsage();
  let used = 0;
  while (used < 60_000) {
    const { user, system } = process.cpuUsage(from);
    used = user + system;
  }
  // As if it had taken no longer than the CPU time: the share of one core among those that the process may use.
  clock.at += 250;
  const busy = load();
  expect(busy).toBeGreaterThan(0);
  expect(busy).toBeLessThanOrEqual(1);
});
