/** `npm run bench:targets`: one table of all targets, by the last results of each suite. It measures only the sizes itself. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments, usageAndExit } from '../scripts/command-line.js';
import { type HttpRun, httpTargetRows } from './http/report.js';
import type { MemoryRun } from './keyed/keyed.js';
import { resultsDir } from './kit/build.js';
import { MarkedPlace } from './kit/marked-place.js';
import { machineText, table, targetRows } from './kit/report.js';
import { doubts, type Machine, machine, machineDoubts, type Run } from './kit/results.js';
import { missedAtLeast, missedAtMost, type TargetRow, verdictText } from './kit/verdict.js';
import { type SetsRun, setsTargetRows } from './sets/report.js';
import { type RingRun, ringTargetRows } from './threads/report.js';

const USAGE = `npm run bench:targets
  --markdown <page>  put the table between the lines "<!-- targets -->" and "<!-- /targets -->" of the page
`;

interface SimulatorRun {
  startedAt: string;
  runs: { name: string; times: number; heapsMb: number[] }[];
}

const kilobytes = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} kB`;

function sizeRows(): TargetRow[] {
  const sizes: { name: string; size: number }[] = JSON.parse(
    spawnSync('size-limit', ['--json'], { encoding: 'utf8' }).stdout,
  );
  const of = (name: string): number => sizes.find((one) => one.name === name)?.size as number;
  const withBreaker = of('pipeline, circuitBreaker');
  const onTop = sizes
    .filter(({ name }) => name.startsWith('pipeline, ') && name !== 'pipeline, circuitBreaker')
    .map(({ name, size }) => ({ name: name.slice('pipeline, '.length), size: size - of('pipeline') }));
  return [
    ['size, pipeline and breaker', '≤ 3 kB', kilobytes(withBreaker), verdictText(missedAtMost(withBreaker, 3_000))],
    ...onTop.map(
      ({ name, size }): TargetRow => [
        `size, ${name} on top of pipeline`,
        '≤ 1.5 kB',
        kilobytes(size),
        verdictText(missedAtMost(size, 1_500)),
      ],
    ),
  ];
}

function memoryRows({ bytesAKey, peerBytesAKey }: MemoryRun): TargetRow[] {
  const ratio = bytesAKey / peerBytesAKey;
  const bytes = `${bytesAKey.toFixed(1)} B`;
  return [
    ['rate limit, 10^6 keys, memory', '≤ 48 B a key', bytes, verdictText(missedAtMost(bytesAKey, 48))],
    [
      'rate limit, 10^6 keys, memory',
      '≤ ¼ of express-rate-limit’s',
      ratio.toFixed(2),
      verdictText(missedAtMost(ratio, 0.25)),
    ],
  ];
}

const simulatorRows = ({ runs }: SimulatorRun): TargetRow[] =>
  runs.map(({ name, times }) => [
    `simulator, ${name}`,
    '≥ 1,000 × real time',
    `${times.toLocaleString('en')} ×`,
    verdictText(missedAtLeast(times, 1_000)),
  ]);

const { values } = readArguments(USAGE, {
  options: { markdown: { type: 'string' }, help: { type: 'boolean', default: false } },
});
if (values.help) usageAndExit(USAGE);
const page = values.markdown === undefined ? undefined : new MarkedPlace(values.markdown, 'targets');

const rows: string[][] = [];
const notes: string[] = [];

/** Takes in what `npm run <command>` has left in the file, if it has. */
function take<R extends { startedAt: string }>(
  command: string,
  file: string,
  rowsOf: (run: R) => TargetRow[],
  doubtsOf: (run: R) => string[],
): void {
  const path = join(resultsDir, file);
  if (!existsSync(path)) {
    notes.push(`not measured here: npm run ${command}`);
    return;
  }
  const run: R = JSON.parse(readFileSync(path, 'utf8'));
  for (const row of rowsOf(run)) rows.push([...row, `\`${command}\`, ${run.startedAt.slice(0, 10)}`]);
  const [doubt, ...more] = doubtsOf(run);
  if (doubt !== undefined) notes.push(`${command}: ${doubt}${more.length > 0 ? `, and ${more.length} more such` : ''}`);
}

const ofMachine = ({ machine }: { machine: Machine }): string[] => machineDoubts(machine);
const none = (): string[] => [];
take('bench', 'bench.json', targetRows, (run: Run) => doubts(run));
take('bench:memory', 'memory.json', memoryRows, none);
const ringRows = (run: RingRun): TargetRow[] =>
  ringTargetRows(run).map(([path, ...others]) => [`ring, ${path}`, ...others]);
take('bench:ring', 'ring.json', ringRows, ofMachine);
take<SetsRun>('bench:sets', 'sets.json', setsTargetRows, ofMachine);
take<HttpRun>('bench:http', 'http.json', httpTargetRows, ofMachine);
take('bench:simulator', 'simulator.json', simulatorRows, none);
for (const row of sizeRows()) rows.push([...row, '`check:size`']);

const met = rows.filter((row) => row[3]?.startsWith('met')).length;
const text = [
  `${machineText(machine())}; the medians of each suite's last run.`,
  ...notes.map((note) => `**${note}**`),
  table(['path', 'target', 'measured', 'verdict', 'by `npm run`'], rows),
  `${met} of ${rows.length} targets met.`,
].join('\n\n');
page?.write(text);
console.log(text);
