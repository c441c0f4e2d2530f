import { inspect } from 'node:util';
import { figuresOf, goodput, overloadGoodput, type Phase } from './figures.js';
import type { Call } from './load.js';
import { RISEN_RATE, SLOW_MS } from './plan.js';

/** What the slowed-down back-end can answer, a second. */
const POSSIBLE = 1_000 / SLOW_MS;
/** The guard must keep this share of it; 0.98 is usual, the rest is room for a noisy machine. */
const MIN_SHARE = 0.6;
/** And this many times what bare fetch gets. */
const MIN_RATIO = 3;
/** Without overload the guard must be out of the way: this share of the calls is answered. */
const MIN_CALM_SHARE = 0.95;

/** The two phases side by side. */
export function table(bare: Phase, guarded: Phase): string {
  const rows: [string, (phase: Phase) => string][] = [
    ['offered', (p) => count(p, 'offered')],
    ['answered in time', (p) => count(p, 'answered')],
    ['  a second, before the rise', (p) => goodput(p, 0, p.plan.riseAtMs).toFixed(1)],
    [`  a second, in the overload (of ${POSSIBLE})`, (p) => overloadGoodput(p).toFixed(1)],
    ['timed out', (p) => count(p, 'timedOut')],
    ['refused by the guard', (p) => count(p, 'refused')],
    ['refused by the back-end (503)', (p) => count(p, 'turnedAway')],
    ['failed otherwise', (p) => count(p, 'failed')],
    ['latency of the answered, p50', (p) => latency(p, 0, 'p50Ms')],
    ['latency of the answered, p99', (p) => latency(p, 0, 'p99Ms')],
    ['  in the overload, p50', (p) => latency(p, p.plan.overloadAtMs, 'p50Ms')],
    ['  in the overload, p99', (p) => latency(p, p.plan.overloadAtMs, 'p99Ms')],
    ['served by the back-end', (p) => String(p.backend.served)],
    ['  of these in vain', (p) => String(p.backend.servedInVain)],
  ];
  const line = (label: string, left: string, right: string): string =>
    `${label.padEnd(36)}${left.padStart(10)}${right.padStart(10)}`;
  return [
    line('', bare.name, guarded.name),
    ...rows.map(([label, cell]) => line(label, cell(bare), cell(guarded))),
  ].join('\n');
}

const count = (phase: Phase, what: 'offered' | 'answered' | 'timedOut' | 'refused' | 'turnedAway' | 'failed'): string =>
  String(figuresOf(phase, 0, Infinity)[what]);

function latency(phase: Phase, fromMs: number, which: 'p50Ms' | 'p99Ms'): string {
  const value = figuresOf(phase, fromMs, Infinity)[which];
  return value === undefined ? '–' : `${Math.round(value)} ms`;
}

/** Whether the guard clearly won, and by which measure. */
export function judge(bare: Phase, guarded: Phase): { won: boolean; text: string } {
  const { riseAtMs } = guarded.plan;
  const calm = guarded.calls.filter((call) => call.atMs < riseAtMs);
  const calmShare = calm.filter((call) => call.outcome === 'answered').length / calm.length;
  const left = overloadGoodput(bare);
  const right = overloadGoodput(guarded);
  const checks: [boolean, string][] = [
    [
      right >= MIN_SHARE * POSSIBLE,
      `in the overload the guarded client gets at least ${MIN_SHARE * POSSIBLE} answers/s: ${right.toFixed(1)}`,
    ],
    [
      right >= MIN_RATIO * left,
      `and at least ${MIN_RATIO} times what bare fetch gets: ${right.toFixed(1)} against ${left.toFixed(1)}`,
    ],
    [
      calmShare >= MIN_CALM_SHARE,
      `before it, at least ${MIN_CALM_SHARE * 100} % of its calls are answered: ${(calmShare * 100).toFixed(1)} %`,
    ],
  ];
  const failed = [bare, guarded].flatMap((phase) => phase.calls).filter((call) => call.outcome === 'failed');
  checks.push([
    failed.length === 0,
    `no call fails but by a time-out or a refusal: ${failed.length}${cause(failed[0])}`,
  ]);
  const won = checks.every(([ok]) => ok);
  const lines = checks.map(([ok, text]) => `${ok ? 'yes' : 'NO '}  ${text}`);
  const verdict = won ? 'The guarded client clearly won' : 'The guarded client did not clearly win';
  return {
    won,
    text: [`${verdict} (${RISEN_RATE} requests/s at a back-end that serves ${POSSIBLE}):`, ...lines].join('\n'),
  };
}

const cause = (call: Call | undefined): string => (call === undefined ? '' : `, the first by ${inspect(call.error)}`);
