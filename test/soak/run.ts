/**
 * The whole pipeline, a ring and sets under random faults, in real time: `npm run test:soak -- --minutes 10`. Fails when a
 * permit, a message, a timer, a listener, a thread or a port is left, when a call does not end, or when the heap grows.
 */
import { seededRandom } from 'evenkeel/testing';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { census, heapKb, leftOver } from './census.js';
import { bytesACall, MOST_BYTES_A_CALL, type Sample } from './growth.js';
import { sleep, soon } from './part.js';
import { pipelinePart } from './pipeline.js';
import { buildPrograms } from './programs.js';
import { ringPart } from './ring.js';
import { setsPart } from './sets.js';

const USAGE = `npm run test:soak
  --minutes <n>  how long, default 1
`;
const { values } = readArguments(USAGE, {
  options: { minutes: { type: 'string', default: '1' }, help: { type: 'boolean', default: false } },
});
if (values.help) usageAndExit(USAGE);
const minutes = Number(values.minutes);
if (!(minutes > 0)) usageAndExit(USAGE, `--minutes must be a number above 0, got ${values.minutes}`);

const random = seededRandom(Date.now());
/** The callers' own: they share it, as a server's shutdown signal is shared. */
const shutdown = new AbortController();
const programs = await buildPrograms('ring-writer', 'ring-reader', 'sets-worker');
const before = census(shutdown.signal);
const problems = new Set<string>();
const parts = [
  pipelinePart(random, shutdown.signal),
  ringPart(random, programs),
  setsPart(random, shutdown.signal, programs),
];
const rest = async (): Promise<void> => {
  for (const found of await Promise.all(parts.map((part) => part.rest()))) for (const one of found) problems.add(one);
};

const startedAt = Date.now();
const wholeMs = minutes * 60_000;
const everyMs = Math.max(1_000, wholeMs / 60);
const samples: Sample[] = [];
while (Date.now() - startedAt < wholeMs) {
  for (const part of parts) part.go();
  await sleep(everyMs);
  await rest();
  const passedMs = Date.now() - startedAt;
  // The first quarter fills tables, pools and the optimiser's caches.
  if (passedMs >= wholeMs / 4) {
    samples.push({ kb: heapKb(), calls: parts.reduce((sum, { calls }) => sum + calls, 0) });
  }
}
const ranMin = (Date.now() - startedAt) / 60_000;
for (const part of parts) for (const one of await part.end()) problems.add(one);
let now = census(shutdown.signal);
// Ports close, and the last thread's objects go, some turns of the event loop after its end.
await soon(() => {
  now = census(shutdown.signal);
  return leftOver(before, now).length === 0;
});
for (const one of leftOver(before, now)) problems.add(one);
const growth = bytesACall(samples);
if (!(growth <= MOST_BYTES_A_CALL)) problems.add(`the heap grows by ${growth.toFixed(1)} bytes a call`);

console.log(`${ranMin.toFixed(1)} min`);
for (const part of parts) console.log(part.summary());
console.log(
  `heap ${(samples.at(-1)?.kb ?? 0).toFixed(0)} kB at the end, slope ${growth.toFixed(2)} bytes a call over ${samples.length} samples`,
);
console.log(`before ${JSON.stringify(before)}, at the end ${JSON.stringify(now)}`);
for (const problem of problems) console.error(`FAILED: ${problem}`);
programs.remove();
process.exit(problems.size > 0 ? 1 : 0);
