/** `npm run bench:ring`: messages from one thread to another by the ring, by ringbuf.js, and by `postMessage` in four ways. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBeside, resultsDir } from '../build.js';
import { MarkedPlace } from '../marked-place.js';
import { ask, rotated } from '../measure.js';
import { Progress } from '../progress.js';
import { figure, machineText, table, warnings } from '../report.js';
import { machine, machineDoubts } from '../results.js';
import { median } from '../stats.js';
import type { Idle, Latency, Throughput } from './case.js';
import { isPosted, WAYS } from './ways.js';

const USAGE = `npm run bench:ring
  --rounds <n>       default 5
  --markdown <page>  put the tables between the lines "<!-- ring -->" and "<!-- /ring -->" of the page
`;

interface Case {
  what: 'throughput' | 'two readers' | 'open loop' | 'idle';
  name: string;
  bytes: number;
  messages: number;
  rounds: (Throughput | Latency | Idle)[];
}

const RING = 'evenkeel, tryWrite';
const BATCH = 'evenkeel, writeBatch';
const PEER = 'ringbuf.js';
const SIZES = [64, 1_024];
const names = Object.keys(WAYS);
const posted = names.filter(isPosted);
/** One at a time, as `tryWrite` does it; the other is the counterpart of `writeBatch`. */
const single = posted.filter((name) => !name.includes('32'));

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

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    markdown: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
if (values.help || !Number.isInteger(rounds) || rounds < 1) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}
const page = values.markdown === undefined ? undefined : new MarkedPlace(values.markdown, 'ring');
const startedAt = new Date().toISOString();
const where = machine();
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

const of = <T>(what: Case['what'], name: string, bytes = 64): T[] =>
  cases.find((one) => one.what === what && one.name === name && one.bytes === bytes)?.rounds as T[];
const speed = (name: string, bytes: number): number[] =>
  of<Throughput>('throughput', name, bytes).map(({ perSecond }) => perSecond);
const cpu = (name: string, bytes: number): number[] =>
  of<Throughput>('throughput', name, bytes).map(({ cpuNs }) => cpuNs);
const latency = (name: string, what: keyof Latency): number =>
  median(of<Latency>('open loop', name).map((one) => one[what]));
/** Of a round the quotients, of those the median. */
const ratio = (a: number[], b: number[]): number => median(a.map((one, i) => one / (b[i] as number)));
const fastest = (bytes: number, among: string[]): string =>
  among.reduce((a, b) => (median(speed(b, bytes)) > median(speed(a, bytes)) ? b : a));
const leastCpu = (bytes: number, among: string[]): string =>
  among.reduce((a, b) => (median(cpu(b, bytes)) < median(cpu(a, bytes)) ? b : a));

const throughputTable = (bytes: number): string =>
  table(
    [`${bytes} B, one reader`, 'messages a second', 'CPU a message'],
    names.map((name) => [
      name,
      `${(median(speed(name, bytes)) / 1e6).toFixed(2)} M`,
      `${Math.round(median(cpu(name, bytes))).toLocaleString('en')} ns`,
    ]),
  );

const leastShares = (name: string): number[] =>
  of<Throughput>('two readers', name).map(({ shares }) => Math.min(...shares));
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.01 ? 2 : 0)} %`;

const opened = cases.filter(({ what }) => what === 'open loop').map(({ name }) => name);
const openLoopTable = table(
  ['open loop, 10,000 a second', 'p50', 'p99'],
  opened.map((name) => [name, `${Math.round(latency(name, 'p50Us'))} µs`, `${Math.round(latency(name, 'p99Us'))} µs`]),
);

const twoReadersTable = table(
  ['64 B, two readers', 'messages a second', 'the lesser share', 'in the worst round'],
  [RING, BATCH].map((name) => [
    name,
    `${(median(of<Throughput>('two readers', name).map(({ perSecond }) => perSecond)) / 1e6).toFixed(2)} M`,
    percent(median(leastShares(name))),
    percent(Math.min(...leastShares(name))),
  ]),
);

const idles = of<Idle>('idle', 'evenkeel');
const idleCpu = median(idles.map(({ cpuRatio }) => cpuRatio));
const wakeUps = median(idles.map((one) => one.wakeUps));

function atLeast(path: string, target: number, beside: string, measured: number): string[] {
  const verdict = measured >= target ? 'met' : `missed by ${Math.ceil((1 - measured / target) * 100)} %`;
  return [path, `≥ ${target} × ${beside}`, `${figure(measured)} ×`, verdict];
}
function besidePosted(peer: string, among: string[]): string[][] {
  const times = (name: string, bytes: number): number => ratio(speed(name, bytes), speed(fastest(bytes, among), bytes));
  return [
    atLeast('64 B', 20, peer, times(RING, 64)),
    atLeast('64 B, `writeBatch`', 25, peer, times(BATCH, 64)),
    atLeast('64 B, CPU', 15, `less than ${peer}`, ratio(cpu(leastCpu(64, among), 64), cpu(RING, 64))),
    atLeast('1 KiB', 15, peer, times(RING, 1_024)),
  ];
}
function latencyRow(what: keyof Latency, label: string): string[] {
  const [ours, peer] = [latency(RING, what), Math.min(...opened.filter(isPosted).map((name) => latency(name, what)))];
  const verdict = ours <= peer ? 'met' : `missed by ${Math.ceil((ours / peer - 1) * 100)} %`;
  return [`open loop, ${label}`, 'no more than postMessage', `${Math.round(ours)} to ${Math.round(peer)} µs`, verdict];
}
const worst = Math.min(...leastShares(RING), ...leastShares(BATCH));
const lesser = Math.min(median(leastShares(RING)), median(leastShares(BATCH)));
const targets = table(
  ['path', 'target', 'measured', 'verdict'],
  [
    ...besidePosted('the best `postMessage`', single),
    ...besidePosted('the best `postMessage`, also of 32 messages', posted),
    atLeast('64 B', 3, PEER, ratio(speed(RING, 64), speed(PEER, 64))),
    atLeast('1 KiB', 10, PEER, ratio(speed(RING, 1_024), speed(PEER, 1_024))),
    latencyRow('p50Us', 'p50'),
    latencyRow('p99Us', 'p99'),
    [
      'idle',
      '0 wake-ups, < 1 % CPU',
      `${wakeUps}, ${percent(idleCpu)}`,
      wakeUps <= 0 && idleCpu < 0.01 ? 'met' : 'missed',
    ],
    [
      'two readers, the lesser share',
      '≥ 35 %',
      `${percent(lesser)}, at worst ${percent(worst)}`,
      worst >= 0.35 ? 'met' : lesser >= 0.35 ? 'met, but for some rounds' : 'missed',
    ],
  ],
);

mkdirSync(resultsDir, { recursive: true });
writeFileSync(join(resultsDir, 'ring.json'), `${JSON.stringify({ startedAt, machine: where, cases }, null, 2)}\n`);
const text = [
  `${startedAt.slice(0, 10)}, ${machineText(where)}; medians of ${rounds} rounds.`,
  ...warnings(machineDoubts(where)),
  ...SIZES.map(throughputTable),
  twoReadersTable,
  openLoopTable,
  targets,
].join('\n\n');
page?.write(text);
console.log(text);
