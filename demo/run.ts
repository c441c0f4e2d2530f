/**
 * A real overload, with real HTTP on loopback: bare `fetch`, then the same load through a guarded client.
 * `npm run demo -- --help` says what it does.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startBackend } from './backend-process.js';
import { chart } from './chart.js';
import { bare, guarded } from './clients.js';
import type { Phase } from './figures.js';
import { type Call, offer } from './load.js';
import { CALM_RATE, FAST_MS, FULL, PATIENCE_MS, type Plan, QUICK, RISEN_RATE, SLOW_MS } from './plan.js';
import { judge, table } from './verdict.js';
import { watch } from './view.js';

const HELP = `Usage: npm run demo [-- --quick]

Overloads a small HTTP server on this machine, twice with the same load: through bare fetch, then through evenkeel.
The server has one worker and a queue of 1,000; it slows down from ${FAST_MS} to ${SLOW_MS} ms a request. The load rises
from ${CALM_RATE} to ${RISEN_RATE} requests a second, of callers that wait ${PATIENCE_MS / 1_000} s. Prints a table, draws a chart,
and exits with 0 when the guarded client clearly won, 1 when it did not, 2 for bad arguments, 130 when interrupted.

  --quick   under 20 s instead of under 60 s; the chart goes to demo/overload-quick.svg, not demo/overload.svg
  --help    this text`;

function readArguments(): { quick: boolean; help: boolean } {
  try {
    const { values } = parseArgs({ options: { quick: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } });
    return { quick: values.quick ?? false, help: values.help ?? false };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

async function runPhase(name: string, client: (url: string) => Promise<unknown>, plan: Plan): Promise<Phase> {
  const backend = await startBackend();
  const calls: Call[] = [];
  const slowDown = setTimeout(() => backend.setServiceTime(SLOW_MS), plan.slowAtMs);
  const unwatch = watch({ name, plan, calls, backend: backend.status });
  try {
    await Promise.race([offer(plan, () => client(backend.url), calls), backend.crashed]);
  } finally {
    clearTimeout(slowDown);
    unwatch();
  }
  await backend.stop();
  return { name, plan, calls, backend: backend.status() };
}

const { quick, help } = readArguments();
if (help) {
  console.log(HELP);
  process.exit(0);
}
// The back-end goes down with this process: see backend-process.ts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const plan = quick ? QUICK : FULL;
const file = fileURLToPath(new URL(quick ? './overload-quick.svg' : './overload.svg', import.meta.url));

const bareRun = await runPhase('bare', bare, plan);
const guardedRun = await runPhase('guarded', guarded, plan);
writeFileSync(file, chart(bareRun, guardedRun));
const verdict = judge(bareRun, guardedRun);
console.log(`\n${table(bareRun, guardedRun)}\n\nchart: ${relative(process.cwd(), file)}\n\n${verdict.text}`);
process.exitCode = verdict.won ? 0 : 1;
