/**
 * `node bench/simulator/twins.mjs [--ours <dist>] [--base <dist>] [--rounds <n>]`: two twins of 60 s at 200 calls a second,
 * of which the one without policies collapses. With `--base`, another build of the library, the two take turns, and the
 * ratio is the median of the rounds; whether their reports are the same is said as well.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const { values } = parseArgs({
  options: {
    ours: { type: 'string', default: DIST },
    base: { type: 'string' },
    rounds: { type: 'string', default: '9' },
  },
});

/** The scenarios, by the policies of one build. */
export function twinsOf({ circuitBreaker, dynamicTimeout, pipeline }) {
  const scenario = {
    seed: 1,
    durationMs: 60_000,
    load: { arrivals: 'poisson', ratePerSecond: 200 },
    backend: {
      workers: 6,
      serviceTimeMs: { distribution: 'exponential', meanMs: 20 },
      schedule: [
        { atMs: 10_000, slowdown: 2.5 },
        { atMs: 30_000, slowdown: 1 },
      ],
    },
  };
  const guard = ({ clock, random }) =>
    pipeline(circuitBreaker({ clock, random }), dynamicTimeout({ limitMs: 250, maxMs: 1_000, clock }));
  return {
    collapses: { ...scenario, client: { timeoutMs: 1_000, retries: 2 } },
    guarded: { ...scenario, client: { pipeline: guard } },
  };
}

async function load(dist) {
  const at = (file) => pathToFileURL(resolve(dist, file)).href;
  const [policies, testing] = await Promise.all([import(at('index.js')), import(at('testing.js'))]);
  return { simulate: testing.simulate, twins: Object.entries(twinsOf(policies)) };
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const builds = { ours: await load(values.ours), ...(values.base && { base: await load(values.base) }) };
const rounds = Number(values.rounds);
/** By build, a round: ms of both twins. */
const sums = { ours: [], base: [] };
const reports = {};
// The first round only warms up.
for (let round = -1; round < rounds; round++) {
  for (const [name, { simulate, twins }] of Object.entries(builds)) {
    let sumMs = 0;
    for (const [twin, scenario] of twins) {
      const startedAt = performance.now();
      const report = await simulate(scenario);
      sumMs += performance.now() - startedAt;
      reports[`${name}, ${twin}`] = createHash('sha256').update(JSON.stringify(report)).digest('hex').slice(0, 16);
    }
    if (round >= 0) sums[name].push(sumMs);
  }
}
for (const name of Object.keys(builds)) {
  const least = Math.min(...sums[name]);
  console.log(`${name}: median ${median(sums[name]).toFixed(0)} ms, least ${least.toFixed(0)} ms`);
}
for (const [name, hash] of Object.entries(reports)) console.log(`  report of ${name}: ${hash}`);
if (values.base !== undefined) {
  const ratio = median(sums.ours.map((ours, i) => sums.base[i] / ours));
  console.log(`${ratio.toFixed(2)} × the speed of the base, median of ${rounds} rounds`);
}
