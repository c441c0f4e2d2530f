import type { BackendStatus } from './backend.js';
import { type Figures, figuresOf } from './figures.js';
import type { Call } from './load.js';
import { CALM_RATE, FAST_MS, type Plan, RISEN_RATE, SLOW_MS } from './plan.js';

/** A phase that is under way. */
export interface Running {
  name: string;
  plan: Plan;
  calls: readonly Call[];
  backend: () => BackendStatus;
}

const ms = (value: number | undefined): string => (value === undefined ? '–' : `${Math.round(value)} ms`);

/** Shows a phase while it runs: refreshes in place on a terminal, else a line a second. Returns what ends it. */
export function watch(running: Running): () => void {
  return process.stdout.isTTY ? watchInPlace(running) : watchInLines(running);
}

function watchInLines({ name, plan, calls, backend }: Running): () => void {
  const news = new Map([
    [plan.riseAtMs, `the load rises from ${CALM_RATE} to ${RISEN_RATE} requests/s`],
    [plan.slowAtMs, `the back-end slows down from ${FAST_MS} to ${SLOW_MS} ms a request`],
  ]);
  const startMs = performance.now();
  let shownMs = 0;
  const timer = setInterval(() => {
    const toMs = performance.now() - startMs;
    for (const [atMs, text] of news) if (atMs >= shownMs && atMs < toMs) console.log(`-- ${text}`);
    const now = figuresOf({ plan, calls }, toMs - 1_000, toMs);
    shownMs = toMs;
    console.log(
      `${name.padEnd(8)} ${(toMs / 1_000).toFixed(0).padStart(3)} s` +
        `  offered ${pad(now.offered)}/s  answered ${pad(now.answered)}/s  timed out ${pad(now.timedOut)}/s` +
        `  refused ${pad(refusals(now))}/s  p50 ${ms(now.p50Ms).padStart(7)}  p99 ${ms(now.p99Ms).padStart(7)}` +
        `  queue ${backend().queued}`,
    );
  }, 1_000);
  return () => clearInterval(timer);
}

const REFRESH_MS = 200;
const WIDTH = 60;

function watchInPlace(running: Running): () => void {
  const startMs = performance.now();
  let lines = 0;
  const draw = (): void => {
    const picture = screen(running, performance.now() - startMs);
    const width = process.stdout.columns || 80;
    const up = lines > 0 ? `\x1b[${lines}A` : '';
    // A wrapped line would spoil the way back up.
    process.stdout.write(`${up}\x1b[0J${picture.map((line) => `${line.slice(0, width - 1)}\n`).join('')}`);
    lines = picture.length;
  };
  draw();
  const timer = setInterval(draw, REFRESH_MS);
  return () => {
    clearInterval(timer);
    draw();
  };
}

function screen({ name, plan, calls, backend }: Running, atMs: number): string[] {
  const toMs = Math.min(atMs, plan.endMs);
  const now = figuresOf({ plan, calls }, toMs - 1_000, toMs);
  const place = (time: number): number => Math.floor((time / plan.endMs) * WIDTH);
  const serviceTimeMs = toMs < plan.slowAtMs ? FAST_MS : SLOW_MS;
  const riseMark = `${' '.repeat(place(plan.riseAtMs))}↑ load rises`;
  return [
    '',
    `${name}: ${(toMs / 1_000).toFixed(1)} s of ${plan.endMs / 1_000} s`,
    `  ${'█'.repeat(place(toMs))}${'░'.repeat(WIDTH - place(toMs))}`,
    `  ${riseMark.padEnd(place(plan.slowAtMs))}↑ back-end slows down`,
    `  offered    ${pad(now.offered)}/s`,
    `  answered   ${pad(now.answered)}/s of ${1_000 / serviceTimeMs}   ${goodputLine({ plan, calls }, toMs)}`,
    `  timed out  ${pad(now.timedOut)}/s`,
    `  refused    ${pad(refusals(now))}/s`,
    `  latency    p50 ${ms(now.p50Ms)}, p99 ${ms(now.p99Ms)}`,
    `  back-end   ${backend().queued} in its queue, ${backend().servedInVain} of ${backend().served} served in vain`,
  ];
}

const BARS = '▁▂▃▄▅▆▇█';

/** Goodput of each second so far. */
function goodputLine(phase: Pick<Running, 'plan' | 'calls'>, toMs: number): string {
  let line = '';
  for (let from = 0; from + 1_000 <= toMs; from += 1_000) {
    const share = figuresOf(phase, from, from + 1_000).answered / (1_000 / FAST_MS);
    line += BARS[Math.min(BARS.length - 1, Math.floor(share * BARS.length))];
  }
  return line;
}

const pad = (count: number): string => String(count).padStart(3);
const refusals = (figures: Figures): number => figures.refused + figures.turnedAway;
