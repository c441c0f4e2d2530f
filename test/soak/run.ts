/**
 * The whole pipeline under random faults, in real time: `npm run test:soak -- --minutes 10`. Fails when a permit, a timer or a
 * listener is left, when a call does not end, or when the heap grows.
 */
import { getEventListeners } from 'node:events';
import {
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  dynamicTimeout,
  keyed,
  keyedRateLimiter,
  pipeline,
  ratioBudget,
  retry,
  type Tier,
  tierShedder,
} from 'evenkeel';
import { chaos, isInjected } from 'evenkeel/chaos';
import { seededRandom } from 'evenkeel/testing';
import { growthPerHour } from './growth.js';

const at = process.argv.indexOf('--minutes');
const minutes = at < 0 ? 1 : Number(process.argv[at + 1]);
if (!(minutes > 0)) throw new RangeError('--minutes needs a number > 0');
/** What a call may leave on the heap on average; the least object takes 12 bytes. */
const MOST_BYTES_A_CALL = 8;

const random = seededRandom(Date.now());
const shedder = tierShedder({ load: () => limiter.snapshot().inflight / 200 });
const limiter = concurrencyLimiter({ load: () => 1, maxLimit: 200, name: 'limiter' });
const worker = concurrencyLimiter({ load: () => 1, maxLimit: 100, name: 'worker' });
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
  retry({ maxRetries: 2, window: ratioBudget() }),
  keyed(() => circuitBreaker(), { maxKeys: 100 }),
  worker,
  dynamicTimeout({ limitMs: 60, maxMs: 120 }),
  faults,
);

/** The callers' own: some share it, as a server's shutdown signal is shared. */
const shutdown = new AbortController();
let begun = 0;
let inCallee = 0;
const ended = { value: 0, refused: 0, injected: 0, timeout: 0, other: 0 };

async function call(): Promise<void> {
  begun++;
  const own = random() < 0.1 ? new AbortController() : undefined;
  const signal = own?.signal ?? shutdown.signal;
  const timer = own && setTimeout(() => own.abort(new Error('the caller gave up')), random() * 20);
  try {
    const result = await guard.tryExecute(
      async (ctx) => {
        inCallee++;
        try {
          if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, random() * 10));
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

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
const heapKb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1_024;
};
const untilQuiet = async (): Promise<void> => {
  for (let i = 0; i < 100 && begun > Object.values(ended).reduce((sum, n) => sum + n, 0); i++) await sleep(50);
};

if (globalThis.gc === undefined) throw new Error('run it by npm run test:soak: it needs --expose-gc');
faults.start();
const startedAt = Date.now();
const endAt = startedAt + minutes * 60_000;
const samples: { minutes: number; kb: number }[] = [];
// The first quarter fills tables, pools and the optimiser's caches.
const warmAt = startedAt + (minutes * 60_000) / 4;
let sampleAt = warmAt;
while (Date.now() < endAt) {
  for (let i = 0; i < 20; i++) void call();
  await sleep(4);
  if (Date.now() >= sampleAt) {
    sampleAt += Math.max(1_000, (minutes * 60_000) / 60);
    await untilQuiet();
    samples.push({ minutes: (Date.now() - startedAt) / 60_000, kb: heapKb() });
  }
}
await untilQuiet();
const { injected } = faults.snapshot();
faults.stop();
await sleep(200);

const total = Object.values(ended).reduce((sum, n) => sum + n, 0);
const slope = growthPerHour(samples) / 60;
const bytesACall = (slope * 1_024 * minutes) / begun;
const listeners = getEventListeners(shutdown.signal, 'abort').length;
const problems = [
  ...(total === begun ? [] : [`${begun - total} calls have not ended`]),
  ...(inCallee === 0 ? [] : [`${inCallee} calls are in the callee`]),
  ...[limiter, worker].flatMap((gate) => {
    const { inflight } = gate.snapshot();
    return inflight === 0 ? [] : [`${gate.name} holds ${inflight} permits`];
  }),
  ...(faults.snapshot().held === 0 ? [] : ['calls are held']),
  ...(listeners === 0 ? [] : [`${listeners} listeners on the shutdown signal`]),
  ...(bytesACall <= MOST_BYTES_A_CALL ? [] : [`the heap grows by ${bytesACall.toFixed(1)} bytes a call`]),
  ...(Object.values(injected).every((count) => count > 0) ? [] : ['a kind of fault never happened']),
];
const resources = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
// The library's one host timer.
if (resources > 1) problems.push(`${resources} host timers`);

console.log(`${begun} calls in ${minutes} min: ${JSON.stringify(ended)}; faults ${JSON.stringify(injected)}`);
console.log(
  `heap ${(samples.at(-1)?.kb ?? 0).toFixed(0)} kB at the end, slope ${slope.toFixed(1)} kB a minute (${bytesACall.toFixed(1)} bytes a call) over ${samples.length} samples; ` +
    `permits ${limiter.snapshot().inflight + worker.snapshot().inflight}, host timers ${resources}, listeners ${listeners}`,
);
for (const problem of problems) console.error(`FAILED: ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
