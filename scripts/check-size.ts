/**
 * Prints what an application pays for each part of the library, minified and gzipped, and fails when it is over budget:
 * the entry's own `limit` in .size-limit.json, else `ON_TOP_BYTES` more than the pipeline alone.
 */
import { spawnSync } from 'node:child_process';

const ON_TOP_BYTES = 1_500;
/** What the pipeline with a breaker was meant to cost. Its limit holds the line where it is: docs/performance.md. */
const AIM_BYTES = 3_000;

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
  if (name === 'pipeline') return { name, size };
  const onTop = size - alone;
  const over = sizeLimit === undefined ? onTop - ON_TOP_BYTES : size - sizeLimit;
  const budget = sizeLimit === undefined ? `${ON_TOP_BYTES} on top` : `${sizeLimit} in all`;
  return { name, size, onTop, budget, over: Math.max(0, over) };
});
console.log('Bytes, minified and gzipped, of what is imported from evenkeel:');
console.table(rows);
const breaker = measured.find(({ name }) => name === 'pipeline, circuitBreaker')?.size ?? 0;
console.log(`The aim for pipeline and circuitBreaker is ${AIM_BYTES}; missed by ${Math.max(0, breaker - AIM_BYTES)}.`);
if (rows.some(({ over = 0 }) => over > 0)) {
  console.error('Over budget.');
  process.exitCode = 1;
}
