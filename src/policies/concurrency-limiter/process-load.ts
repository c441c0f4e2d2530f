/**
 * How busy this process is, 0 to 1: the larger of
 * - event-loop utilisation: the share of the time in which the loop was not waiting;
 * - CPU share: CPU time used, over what the control group's quota allows, else over what the machine has.
 *
 * Sampled when read, never by a timer.
 */

import type { Complete } from '../../core/options/common.js';
import { OptionReader } from '../../core/options/validate.js';
import { type Clock, systemClock } from '../../core/time/clock.js';
import { cpuQuota, type ReadText } from './cpu-quota.js';

/** Where the figures come from; each gives undefined where the host has no such thing. */
export interface LoadSources {
  /** Time the event loop was active and idle until now, ms. */
  eventLoop?: (() => { active: number; idle: number } | undefined) | undefined;
  /** CPU time that the process has used until now, ms. */
  cpuMs?: (() => number | undefined) | undefined;
  /** How many cores the process may use, fractions kept. */
  cores?: (() => number | undefined) | undefined;
}

/** Options of {@link processLoad}. */
export interface ProcessLoadOptions {
  /** @default systemClock */
  clock?: Clock | undefined;
  /** Reads closer together than this give the same figure, ms; > 0. @default 250 */
  sampleMs?: number | undefined;
  /** Time constant of the average, ms; 0 = none. @default 1_000 */
  smoothingMs?: number | undefined;
  /** Figures from elsewhere. @default the host's */
  sources?: LoadSources | undefined;
}

/** How often a quota is read again: containers are resized while they run. */
const CORES_FOR_MS = 60_000;

interface NodeProcess {
  cpuUsage?: () => { user: number; system: number };
  getBuiltinModule?: (name: string) => unknown;
}
interface NodeModules {
  'node:fs': { readFileSync(path: string, encoding: 'utf8'): string };
  'node:os': { availableParallelism(): number };
}

const host = globalThis as {
  process?: NodeProcess;
  performance?: { eventLoopUtilization?: () => { active: number; idle: number } };
};

/** Without an import, which would break the hosts that have no such module. */
const builtin = <N extends keyof NodeModules>(name: N): NodeModules[N] | undefined =>
  host.process?.getBuiltinModule?.(name) as NodeModules[N] | undefined;

const readText: ReadText = (path) => {
  let text: string | undefined;
  try {
    text = builtin('node:fs')?.readFileSync(path, 'utf8');
  } catch {
    // No such file: this host has another version of control groups, or none.
  }
  return text;
};

const HOST_SOURCES: Complete<LoadSources> = {
  eventLoop: () => host.performance?.eventLoopUtilization?.(),
  cpuMs: () => {
    const usage = host.process?.cpuUsage?.();
    return usage && (usage.user + usage.system) / 1_000;
  },
  cores: () => {
    const machine = builtin('node:os')?.availableParallelism();
    return machine && Math.min(machine, cpuQuota(readText));
  },
};

const UNTOLD = { active: NaN, idle: NaN };

/** NaN, of what the host does not tell, is 0. */
const between0and1 = (value: number): number => (value > 0 ? Math.min(1, value) : 0);

class ProcessLoad {
  readonly #clock: Clock;
  readonly #sampleMs: number;
  readonly #smoothingMs: number;
  readonly #sources: Complete<LoadSources>;
  #load = 0;
  #sampledAt = NaN;
  #eventLoop = UNTOLD;
  #cpuMs = NaN;
  #cores = NaN;
  #coresAt = Infinity;
  #averaging = false;

  constructor(options: ProcessLoadOptions | undefined) {
    const read = new OptionReader('processLoad', options);
    this.#clock = read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']);
    this.#sampleMs = read.number('sampleMs', 250, { above: 0 });
    this.#smoothingMs = read.number('smoothingMs', 1_000, { min: 0 });
    const { eventLoop, cpuMs, cores } = read.object<LoadSources>('sources', {}, []);
    this.#sources = {
      eventLoop: eventLoop ?? HOST_SOURCES.eventLoop,
      cpuMs: cpuMs ?? HOST_SOURCES.cpuMs,
      cores: cores ?? HOST_SOURCES.cores,
    };
    read.done();
    this.#take(this.#clock.now());
  }

  read(): number {
    const now = this.#clock.now();
    const passedMs = now - this.#sampledAt;
    if (passedMs >= this.#sampleMs) {
      const sample = this.#take(now, passedMs);
      const weight = this.#averaging ? 1 - Math.exp(-passedMs / this.#smoothingMs) : 1;
      this.#averaging = true;
      this.#load += weight * (sample - this.#load);
    } else if (passedMs < 0) {
      // The clock was set back: what was counted since is of no known length.
      this.#take(now);
    }
    return this.#load;
  }

  /** The load since the last time. */
  #take(now: number, passedMs = 0): number {
    const { eventLoop, cpuMs, cores } = this.#sources;
    const loopBefore = this.#eventLoop;
    const cpuBefore = this.#cpuMs;
    this.#sampledAt = now;
    this.#eventLoop = eventLoop() ?? UNTOLD;
    this.#cpuMs = cpuMs() ?? NaN;
    if (passedMs <= 0) return 0;
    if (now - this.#coresAt >= CORES_FOR_MS || now < this.#coresAt) {
      this.#cores = cores() ?? NaN;
      this.#coresAt = now;
    }
    const active = this.#eventLoop.active - loopBefore.active;
    const idle = this.#eventLoop.idle - loopBefore.idle;
    const cpu = (this.#cpuMs - cpuBefore) / passedMs / this.#cores;
    return Math.max(between0and1(active / (active + idle)), between0and1(cpu));
  }
}

/**
 * A `load` for {@link concurrencyLimiter}: how busy this process is, 0 to 1, as an average over about a second. 0 on
 * hosts that tell neither their event loop's utilisation nor their CPU time.
 *
 * @throws TypeError or RangeError for a bad option.
 */
export function processLoad(options?: ProcessLoadOptions): () => number {
  const load = new ProcessLoad(options);
  return () => load.read();
}
