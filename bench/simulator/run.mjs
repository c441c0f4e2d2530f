/**
 * `npm run bench:simulator [-- hours]`: how fast the simulator is, and whether its memory grows. 100 calls a second; the aim is
 * 1,000 times real time.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { circuitBreaker, deadline, dynamicTimeout, pipeline } from 'evenkeel';
import { simulate } from 'evenkeel/testing';

const startedAt = new Date().toISOString();
const hours = Number(process.argv[2] ?? 1);
const guard = ({ clock, random }) =>
  pipeline(circuitBreaker({ clock, random }), dynamicTimeout({ limitMs: 250, maxMs: 1_000, clock }));
const backend = { workers: 4, serviceTimeMs: { distribution: 'exponential', meanMs: 20 } };
const scenarios = {
  'no policies': { backend },
  'breaker and dynamic timeout': { backend, client: { pipeline: guard } },
  'the same in a client with a time limit, and a deadline at the worker': {
    backend: { ...backend, pipeline: ({ clock }) => pipeline(deadline({ clock })) },
    client: { timeoutMs: 1_000, pipeline: guard },
  },
};

const runs = [];
for (const [name, scenario] of Object.entries(scenarios)) {
  const heapsMb = [];
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  await simulate(
    { seed: 1, durationMs: hours * 3_600_000, load: { arrivals: 'poisson', ratePerSecond: 100 }, ...scenario },
    {
      onProgress: ({ atMs, durationMs }) => {
        if (Math.floor((atMs / durationMs) * 10) <= heapsMb.length) return;
        globalThis.gc?.();
        heapsMb.push(Math.round(process.memoryUsage().heapUsed / 1e5) / 10);
      },
    },
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  // Where others use the machine too, the time of the processor says more.
  const { user, system } = process.cpuUsage(cpuBefore);
  const times = (sec) => Math.round((hours * 3_600) / sec);
  const [byTime, byCpu] = [times(seconds), times((user + system) / 1e6)];
  runs.push({ name, hours, times: byTime, timesByCpu: byCpu, heapsMb });
  console.log(`${name}: ${byTime.toLocaleString('en')} × real time, ${byCpu.toLocaleString('en')} × by processor time`);
  console.log(`  heap, MB, every tenth of the run: ${heapsMb.join(' ')}`);
}
const results = new URL('../results/', import.meta.url);
mkdirSync(results, { recursive: true });
writeFileSync(new URL('simulator.json', results), `${JSON.stringify({ startedAt, runs }, null, 2)}\n`);
