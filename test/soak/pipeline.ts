/** Nine policies in one pipeline under random faults. */
import {
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  dynamicTimeout,
  keyed,
  keyedRateLimiter,
  pipeline,
  type Random,
  ratioBudget,
  retry,
  type Tier,
  tierShedder,
} from 'evenkeel';
import { chaos, isInjected } from 'evenkeel/chaos';
import { type Part, sleep, soon } from './part.js';

export function pipelinePart(random: Random, shutdown: AbortSignal): Part {
  const shedder = tierShedder({ load: () => limiter.snapshot().inflight / 200 });
  // Overloaded every other five seconds: in between most calls get through to what is behind.
  const limiter = concurrencyLimiter({
    load: () => Math.floor(Date.now() / 5_000) % 2,
    maxLimit: 200,
    name: 'limiter',
  });
  const worker = concurrencyLimiter({ load: () => Math.floor(Date.now() / 7_000) % 2, maxLimit: 100, name: 'worker' });
  const faults = chaos({
    random,
    faults: [
      { kind: 'error', ratio: 0.05 },
      { kind: 'error', ratio: 0.9, fromMs: 5_000, untilMs: 8_000, everyMs: 15_000 },
      { kind: 'latency', ratio: 0.1, delayMs: (draw) => draw() * 50 },
      { kind: 'hang', ratio: 0.01 },
      { kind: 'abort', ratio: 0.02, afterMs: 3 },
    ],
    // Nothing is to stop it.
    steadyState: () => true,
    durationMs: Infinity,
  });
  const guard = pipeline(
    deadline({ budgetMs: 2_000 }),
    shedder,
    limiter,
    keyedRateLimiter({ limit: 500, windowMs: 1_000, maxKeys: 1_000 }),
    retry({ maxRetries: 2, budget: ratioBudget() }),
    keyed(() => circuitBreaker(), { maxKeys: 100 }),
    worker,
    dynamicTimeout({ limitMs: 60, maxMs: 120 }),
    faults,
  );
  faults.start();

  let begun = 0;
  let inCallee = 0;
  const ended = { value: 0, refused: 0, injected: 0, timeout: 0, other: 0 };
  const total = (): number => Object.values(ended).reduce((sum, n) => sum + n, 0);

  async function call(): Promise<void> {
    begun++;
    const own = random() < 0.1 ? new AbortController() : undefined;
    const signal = own?.signal ?? shutdown;
    const timer = own && setTimeout(() => own.abort(new Error('the caller gave up')), random() * 20);
    try {
      const result = await guard.tryExecute(
        async (ctx) => {
          inCallee++;
          try {
            if (random() < 0.5) await sleep(random() * 10);
            ctx.signal.throwIfAborted();
            return 1;
          } finally {
            inCallee--;
          }
        },
        { key: `tenant ${Math.floor(random() * 3_000)}`, tier: (1 + Math.floor(random() * 4)) as Tier, signal },
      );
      ended[result.ok ? 'value' : 'refused']++;
    } catch (error) {
      const { code } = error as { code?: string };
      if (isInjected(error)) ended.injected++;
      else if (code === 'EVENKEEL_TIMEOUT') ended.timeout++;
      else ended.other++;
    } finally {
      clearTimeout(timer);
    }
  }

  let timer: ReturnType<typeof setInterval> | undefined;
  return {
    get calls() {
      return begun;
    },
    go() {
      timer = setInterval(() => {
        for (let i = 0; i < 20; i++) void call();
      }, 5);
    },
    async rest() {
      clearInterval(timer);
      await soon(() => total() === begun && inCallee === 0);
      return [
        ...(total() === begun ? [] : [`${begun - total()} calls have not ended`]),
        ...(inCallee === 0 ? [] : [`${inCallee} calls are in the callee`]),
        ...[limiter, worker].flatMap((gate) => {
          const { inflight } = gate.snapshot();
          return inflight === 0 ? [] : [`${gate.name} holds ${inflight} permits`];
        }),
        ...(faults.snapshot().held === 0 ? [] : ['calls are held']),
      ];
    },
    async end() {
      const { injected } = faults.snapshot();
      faults.stop();
      return Object.entries(injected)
        .filter(([, count]) => count === 0)
        .map(([kind]) => `a fault of kind ${kind} never happened`);
    },
    summary: () =>
      `${begun} calls: ${JSON.stringify(ended)}; faults ${JSON.stringify(faults.snapshot().injected)}; ` +
      `${limiter.snapshot().inflight + worker.snapshot().inflight} permits held`,
  };
}
