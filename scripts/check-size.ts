/**
 * Prints what an application pays for each part of the library, minified and gzipped, and fails when it is over budget:
 * the entry's own `limit` in .size-limit.json, else `ON_TOP_BYTES` more than the pipeline alone.
 */
import { spawnSync } from 'node:child_process';

const ON_TOP_BYTES = 1_500;
/** What 0.2.0 set out to reach. The limits hold the line where it is; docs/performance.md says what is in the way. */
const AIM_BYTES: Readonly<Record<string, number>> = {
  pipeline: 4_000,
  'pipeline, circuitBreaker': 6_200,
  'pipeline, retry': 8_000,
  'pipeline, retry, circuitBreaker, dynamicTimeout': 10_100,
};

interface Measured {
  name: string;
  size: number;
  sizeLimit?: number;
}

// It says so on stderr, and by its exit code, when an entry is over its own limit; only without figures has it failed.
const { stdout, stderr } = spawnSync('size-limit', ['--json'], { encoding: 'utf8' });
let measured: Measured[];
try {
  measured = JSON.parse(stdout);
} catch {
  throw new Error(`size-limit gave no figures: ${stdout}${stderr}`);
}

const alone = measured.find(({ name }) => name === 'pipeline')?.size;
if (alone === undefined) throw new Error('.size-limit.json has no entry "pipeline" to subtract');

const rows = measured.map(({ name, size, sizeLimit }) => {
  if (name === 'pipeline')
    return { name, size, budget: `${sizeLimit} in all`, over: Math.max(0, size - (sizeLimit ?? size)) };
  const onTop = size - alone;
  const over = sizeLimit === undefined ? onTop - ON_TOP_BYTES : size - sizeLimit;
  const budget = sizeLimit === undefined ? `${ON_TOP_BYTES} on top` : `${sizeLimit} in all`;
  return { name, size, onTop, budget, over: Math.max(0, over) };
});
console.log('Bytes, minified and gzipped, of what is imported from evenkeel:');
console.table(rows);
for (const [name, aim] of Object.entries(AIM_BYTES)) {
  const size = measured.find((one) => one.name === name)?.size ?? 0;
  console.log(`The aim for ${name} is ${aim}; missed by ${Math.max(0, size - aim)}.`);
}
if (rows.some(({ over = 0 }) => over > 0)) {
  console.error('Over budget.');
  process.exitCode = 1;
}
