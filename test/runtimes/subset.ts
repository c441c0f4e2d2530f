/**
 * What has to hold on every runtime, without a test framework, which few of them have: bundled into one file and run
 * there. Everything with a clock of its own runs in virtual time and must come to the numbers of Node.
 */
import {
  circuitBreaker,
  concurrencyLimiter,
  createRing,
  deadline,
  dynamicTimeout,
  isRejected,
  isTimeout,
  keyedRateLimiter,
  pipeline,
  rateLimiter,
  ratioBudget,
  retry,
  ringReader,
  ringWriter,
  systemClock,
  tierShedder,
} from 'evenkeel';
import { chaos } from 'evenkeel/chaos';
import { manualClock, seededRandom, simulate } from 'evenkeel/testing';

/** Names of what failed with why, and the numbers that have to be the same everywhere. */
export interface SubsetResult {
  passed: number;
  failed: string[];
  skipped: string[];
  numbers: string;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

class Skipped extends Error {}

const CHECKS: Record<string, () => Promise<void>> = {
  'a call passes through all gates and policies by the host clock': async () => {
    const guard = pipeline(
      circuitBreaker(),
      rateLimiter({ limit: 10, windowMs: 60_000 }),
      keyedRateLimiter({ limit: 10, windowMs: 60_000 }),
      concurrencyLimiter({ load: () => 1 }),
      tierShedder({ load: () => 0 }),
      deadline({ maxAgeMs: 60_000 }),
      retry({ budget: ratioBudget() }),
      dynamicTimeout({ limitMs: 30_000, maxMs: 60_000 }),
    );
    check((await guard.execute((ctx) => ctx.attempt + 1, { key: 'k' })) === 1, 'wrong value');
  },
  'a timeout fires, its signal aborts, and is told by its brand': async () => {
    let signal: AbortSignal | undefined;
    const guard = pipeline(dynamicTimeout({ limitMs: 1, maxMs: 5 }));
    const error = await guard
      .execute((ctx) => {
        signal = ctx.signal;
        return new Promise(() => {});
      })
      .catch((thrown: unknown) => thrown);
    check(isTimeout(error) && signal?.aborted === true && signal.reason === error, `got ${String(error)}`);
  },
  'a refusal says who, why and when': async () => {
    const guard = pipeline(rateLimiter({ limit: 1, windowMs: 60_000 }));
    await guard.execute(() => 1);
    const error = await guard.execute(() => 2).catch((thrown: unknown) => thrown);
    check(isRejected(error) && error.reason === 'rate_limited' && error.retryAfterMs > 0, `got ${String(error)}`);
    check(error instanceof Error && !(error.stack ?? '').includes('\n'), 'it has a trace');
  },
  "the caller's abort rejects with its reason": async () => {
    const caller = new AbortController();
    const call = pipeline(circuitBreaker()).execute(() => new Promise(() => {}), { signal: caller.signal });
    const reason = { why: 'mine' };
    caller.abort(reason);
    check((await call.catch((thrown: unknown) => thrown)) === reason, 'another reason');
  },
  'host timers fire in order, and a cleared one never': async () => {
    const fired: number[] = [];
    const cleared = systemClock.setTimer(() => fired.push(-1), 2);
    await new Promise<void>((resolve) => {
      systemClock.setTimer(() => fired.push(2), 6);
      systemClock.setTimer(() => fired.push(1), 3);
      systemClock.setTimer(resolve, 12);
      systemClock.clearTimer(cleared);
    });
    check(fired.join() === '1,2', `fired ${fired.join()}`);
  },
  'a ring carries messages': async () => {
    if (typeof SharedArrayBuffer === 'undefined') throw new Skipped('no SharedArrayBuffer');
    // A wake comes there outside of any request, where nothing may be done.
    if (globalThis.navigator?.userAgent === 'Cloudflare-Workers') throw new Skipped('workerd has no threads');
    const ring = createRing({ capacity: 4, slotBytes: 8 });
    const writer = ringWriter(ring);
    const reader = ringReader(ring);
    const waits = reader.wait(5_000);
    check(writer.tryWrite(Uint8Array.of(1, 2, 3)), 'not written');
    check(await waits, 'not woken');
    const into = new Uint8Array(8);
    check(reader.tryRead(into) === 3 && into[2] === 3 && reader.tryRead(into) === -1, 'not read');
    reader.close();
    writer.close();
  },
  'chaos stops by itself': async () => {
    const clock = manualClock();
    const faults = chaos({ clock, random: seededRandom(1), faults: [{ kind: 'error', ratio: 1 }] });
    const guard = pipeline(faults.steadyState(), faults);
    faults.start();
    for (let i = 0; i < 30; i++) await guard.execute(() => i).catch(() => {});
    check(faults.snapshot().endedBy === 'steady_state', 'still running');
  },
};

/** An overload, an outage and a recovery. Nine digits: engines and their versions round `log`, `exp` and `**` differently. */
async function numbers(): Promise<string> {
  const report = await simulate({
    seed: 7,
    durationMs: 20_000,
    load: { arrivals: 'poisson', ratePerSecond: 60 },
    client: {
      timeoutMs: 1_000,
      pipeline: ({ clock, random }) =>
        pipeline(
          circuitBreaker({ clock, random }),
          retry({ budget: ratioBudget({ clock }), clock, random }),
          dynamicTimeout({ limitMs: 200, maxMs: 500, clock }),
        ),
    },
    backend: {
      workers: 2,
      serviceTimeMs: { distribution: 'exponential', meanMs: 25 },
      schedule: [
        { atMs: 8_000, errorRatio: 1 },
        { atMs: 12_000, errorRatio: 0 },
      ],
    },
  });
  return JSON.stringify(report.toJSON(), (_, value) =>
    typeof value === 'number' ? Number(value.toPrecision(9)) : value,
  );
}

export async function runSubset(): Promise<SubsetResult> {
  const result: SubsetResult = { passed: 0, failed: [], skipped: [], numbers: '' };
  for (const [name, run] of Object.entries(CHECKS)) {
    try {
      await run();
      result.passed++;
    } catch (error) {
      const list = error instanceof Skipped ? result.skipped : result.failed;
      list.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  try {
    result.numbers = await numbers();
  } catch (error) {
    result.failed.push(`simulation: ${String(error)}`);
  }
  return result;
}
