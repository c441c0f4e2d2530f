/** `npm run bench:ring`: messages from one thread to another by the ring, by ringbuf.js, and by `postMessage` in four ways. */
import { join } from 'node:path';
import { buildBeside } from '../kit/build.js';
import { ask, rotated } from '../kit/measure.js';
import { Progress } from '../kit/progress.js';
import { machine } from '../kit/results.js';
import { openSuite } from '../kit/suite.js';
import { BATCH, type Case, names, RING, type RingRun, ringMarkdown, SIZES } from './report.js';
import { isPosted } from './ways.js';

const USAGE = `npm run bench:ring
  --rounds <n>       default 5
  --markdown <page>  put the tables between the lines "<!-- ring -->" and "<!-- /ring -->" of the page
`;

const cases: Case[] = [
  ...SIZES.flatMap((bytes) =>
    names.map((name): Case => {
      const messages = Math.round((isPosted(name) ? 200_000 : 3_000_000) * (bytes > 64 ? 0.4 : 1)) & ~31;
      return { what: 'throughput', name, bytes, messages, rounds: [] };
    }),
  ),
  ...[RING, BATCH].map((name): Case => ({ what: 'two readers', name, bytes: 64, messages: 3_000_000, rounds: [] })),
  ...[RING, 'postMessage, Uint8Array', 'postMessage, transferred'].map(
    (name): Case => ({ what: 'open loop', name, bytes: 64, messages: 10_000, rounds: [] }),
  ),
  { what: 'idle', name: 'evenkeel', bytes: 64, messages: 0, rounds: [] },
];

const { rounds, publish } = openSuite('ring', USAGE, 5);
const run: RingRun = { startedAt: new Date().toISOString(), machine: machine(), cases };
const entries = { case: 'threads/case.ts', reader: 'threads/reader.ts' };
const worker = join(await buildBeside('build-threads', entries), 'case.js');

const progress = new Progress(cases.length * rounds);
for (let round = 0; round < rounds; round++) {
  for (const one of rotated(cases, round, rounds)) {
    progress.step(`round ${round + 1} of ${rounds} · ${one.what}, ${one.name}, ${one.bytes} B`);
    one.rounds.push(await ask(worker, [one.what, one.name, String(one.bytes), String(one.messages)], []));
  }
}
progress.end();
publish(run, ringMarkdown(run));
