/** The measurements, in the process of one case. The only file that knows the engine, `benchmark`. */
import { GCProfiler, getHeapStatistics } from 'node:v8';
import Benchmark from 'benchmark';
import type { Call, Callee, Case } from './case.js';
import { median } from './stats.js';

/** Operations a batch, about: the engine's own cost per deferred iteration is some µs, which must not count. */
const OPERATIONS = 1_000;
const WARM_UP_MS = 200;
/** For how long one sample is taken, and all of them, s. */
const SAMPLE_S = 0.02;
const ALL_SAMPLES_S = 0.3;
const HEAP_BATCHES = 5;
/** The first ones find caches and compiled code still coming and going. */
const HEAP_SAMPLES_DROPPED = 8;
const HEAP_SAMPLES = 15;
/** What may get through to the callee where refusals are measured: probes. */
const MAX_REACHED_RATIO = 0.01;

/** Where results go, so that nothing is optimised away. */
const sink: { last: unknown } = { last: undefined };
const calleeDown = new Error('the callee is down');

const loopTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class CountingCallee implements Callee {
  reached = 0;

  readonly up = async (): Promise<void> => {
    this.reached++;
  };

  readonly down = (): Promise<never> => {
    this.reached++;
    return Promise.reject(calleeDown);
  };

  reach(): void {
    this.reached++;
  }
}

/** A function that makes so many calls one after the other: async, unless the call is not. */
function batchOf(call: Call, calls: number, isAsync: boolean, mayReject: boolean): () => unknown {
  if (!isAsync) {
    return () => {
      for (let i = 0; i < calls; i++) sink.last = call();
    };
  }
  if (!mayReject) {
    return async () => {
      for (let i = 0; i < calls; i++) sink.last = await call();
    };
  }
  return async () => {
    for (let i = 0; i < calls; i++) {
      try {
        sink.last = await call();
      } catch (error) {
        sink.last = error;
      }
    }
  };
}

async function resultOf(call: Call): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return error;
  }
}

/** A case that is set up and warm. */
export class Subject {
  readonly #case: Case;
  readonly #callee: CountingCallee;
  readonly #call: Call;
  readonly #batch: () => unknown;
  readonly #isAsync: boolean;
  /** Operations a batch. */
  readonly #operations: number;
  #batches = 0;

  private constructor(made: Case, callee: CountingCallee, call: Call, isAsync: boolean) {
    this.#case = made;
    this.#callee = callee;
    this.#call = call;
    this.#isAsync = isAsync;
    const { operations = 1 } = made;
    const calls = Math.ceil(OPERATIONS / operations);
    this.#operations = calls * operations;
    this.#batch = batchOf(call, calls, isAsync, made.refused !== undefined);
  }

  static async prepare(made: Case): Promise<Subject> {
    const callee = new CountingCallee();
    const call = await made.setup(callee);
    const first = call();
    const isAsync = typeof (first as PromiseLike<unknown> | undefined)?.then === 'function';
    await resultOf(() => first);
    const subject = new Subject(made, callee, call, isAsync);
    const until = performance.now() + WARM_UP_MS;
    while (performance.now() < until) {
      await subject.#batch();
      await loopTurn();
    }
    callee.reached = 0;
    return subject;
  }

  /** Nanoseconds per call: the median of the samples. */
  async nsPerCall(): Promise<number> {
    const { stats } = await (this.#isAsync ? this.#timeAsync() : this.#timeSync());
    await this.#check();
    return (median(stats.sample) / this.#operations) * 1e9;
  }

  /** Bytes allocated per call: heap growth while nothing was collected. Needs a large young generation. */
  async bytesPerCall(): Promise<number> {
    const { gc } = globalThis;
    if (gc === undefined) throw new Error('bytesPerCall needs node --expose-gc');
    const samples: number[] = [];
    for (let tries = 0; samples.length < HEAP_SAMPLES; tries++) {
      if (tries > 3 * HEAP_SAMPLES) throw new Error('garbage was collected in nearly every sample');
      gc();
      // A collection throws away inline caches: once round to get them back.
      await this.#run();
      const profiler = new GCProfiler();
      profiler.start();
      const before = getHeapStatistics().used_heap_size;
      for (let batch = 0; batch < HEAP_BATCHES; batch++) await this.#run();
      const grown = getHeapStatistics().used_heap_size - before;
      if (profiler.stop().statistics.length === 0) samples.push(grown / HEAP_BATCHES / this.#operations);
    }
    await this.#check();
    return Math.round(median(samples.slice(HEAP_SAMPLES_DROPPED)));
  }

  #run(): unknown {
    this.#batches++;
    return this.#batch();
  }

  #timeSync(): Promise<Benchmark> {
    return runEngine({ fn: () => this.#run() });
  }

  #timeAsync(): Promise<Benchmark> {
    return runEngine({
      defer: true,
      fn: async (deferred: { resolve(): void }) => {
        await this.#run();
        // As a server does: else the host's list of rejections without a handler would grow through the whole sample.
        await loopTurn();
        deferred.resolve();
      },
    });
  }

  /** Throws unless what was measured is what the case says it is. */
  async #check(): Promise<void> {
    const reachedRatio = this.#callee.reached / (this.#batches * this.#operations);
    const { refused } = this.#case;
    if (refused === undefined) {
      if (reachedRatio !== 1) throw new Error(`the callee got ${reachedRatio} of the calls, not all`);
      return;
    }
    if (reachedRatio > MAX_REACHED_RATIO) throw new Error(`the callee got ${reachedRatio} of the calls: not refusing`);
    let result: unknown;
    // The first one may be a probe.
    for (let i = 0; i < 10; i++) {
      result = await resultOf(this.#call);
      if (refused(result)) return;
    }
    throw new Error('calls do not end as the case expects', { cause: result });
  }
}

function runEngine(options: Benchmark.Options): Promise<Benchmark> {
  return new Promise((resolve, reject) => {
    const engine: Benchmark = new Benchmark({
      ...options,
      async: true,
      minTime: SAMPLE_S,
      maxTime: ALL_SAMPLES_S,
      // Between samples; the default adds a quarter to a run.
      delay: 0.001,
      onError: () => reject((engine as unknown as { error: unknown }).error),
      onComplete: () => resolve(engine),
    });
    engine.run();
  });
}
