import { type Figures, figuresOf, overloadGoodput, type Phase } from './figures.js';
import { FAST_MS, type Plan, RISEN_RATE, SLOW_MS } from './plan.js';

const WIDTH = 960;
const HEIGHT = 670;
const COLUMN_WIDTH = 400;
const COLUMNS = [70, 530] as const;

/** A curve: its class in the style sheet, its name in the legend, its value in a bin, of which `perSecond` make a second. */
interface Curve {
  style: string;
  label: string;
  value: (bin: Figures, perSecond: number) => number | undefined;
}

interface Panel {
  title: string;
  top: number;
  height: number;
  max: number;
  ticks: number[];
  curves: Curve[];
}

const GOODPUT: Panel = {
  title: 'Answered in time, per s',
  top: 125,
  height: 150,
  max: 60,
  ticks: [0, 20, 40, 60],
  curves: [{ style: 'answered', label: 'answered in time', value: (bin, perSecond) => bin.answered * perSecond }],
};
const OTHERS: Panel = {
  title: 'Offered and lost, per s',
  top: 332,
  height: 115,
  max: 220,
  ticks: [0, 100, 200],
  curves: [
    { style: 'offered', label: 'offered', value: (bin, perSecond) => bin.offered * perSecond },
    { style: 'refused', label: 'refused', value: (bin, perSecond) => (bin.refused + bin.turnedAway) * perSecond },
    { style: 'timed-out', label: 'timed out', value: (bin, perSecond) => bin.timedOut * perSecond },
  ],
};
const LATENCY: Panel = {
  title: 'Latency of the answered, ms',
  top: 504,
  height: 115,
  max: 1_000,
  ticks: [0, 500, 1_000],
  curves: [
    { style: 'p99', label: 'p99', value: (bin) => bin.p99Ms },
    { style: 'p50', label: 'p50', value: (bin) => bin.p50Ms },
  ],
};
const PANELS = [GOODPUT, OTHERS, LATENCY];
const BOTTOM = LATENCY.top + LATENCY.height;

const STYLE = `
  .paper { fill: #fff } .overload { fill: #0969da; opacity: .07 }
  text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 18px; font-weight: 600 } .column { font-size: 15px; font-weight: 600 }
  .minor { fill: #59636e; font-size: 12px } .figure { font-size: 17px; font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
  .grid { stroke: #d1d9e0 } .mark { stroke: #59636e; stroke-dasharray: 3 3 }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
  .answered { stroke: #1a7f37; stroke-width: 3 } .possible { stroke: #59636e; stroke-dasharray: 6 4; stroke-width: 1.5 }
  .offered { stroke: #8c959f } .refused { stroke: #9a6700 } .timed-out { stroke: #cf222e }
  .p50 { stroke: #0969da } .p99 { stroke: #8250df }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .overload { fill: #58a6ff; opacity: .11 }
    text { fill: #f0f6fc } .minor { fill: #9198a1 }
    .grid { stroke: #3d444d } .mark { stroke: #9198a1 }
    .answered { stroke: #3fb950 } .possible { stroke: #9198a1 }
    .offered { stroke: #818b98 } .refused { stroke: #d29922 } .timed-out { stroke: #ff7b72 }
    .p50 { stroke: #58a6ff } .p99 { stroke: #d2a8ff }
  }`;

/** Both phases side by side, as an SVG that follows the reader's light or dark mode. */
export function chart(bare: Phase, guarded: Phase): string {
  const possible = 1_000 / SLOW_MS;
  const summary =
    `In the overload bare fetch gets ${overloadGoodput(bare).toFixed(1)} answers a second in time, ` +
    `the guarded client ${overloadGoodput(guarded).toFixed(1)} of ${possible} possible.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title summary">
<title id="title">Overload with bare fetch and with a guarded client</title>
<desc id="summary">${summary}</desc>
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
${text(COLUMNS[0], 34, 'title', `${RISEN_RATE} requests/s at a back-end that can serve ${possible}`)}
${text(COLUMNS[0], 56, 'minor', 'Real HTTP on loopback: one worker, a queue of 1,000, callers that wait 1 s. The same load twice, 30 requests/s at first.')}
${column(COLUMNS[0], 'bare fetch', bare)}
${column(COLUMNS[1], 'the same fetch, guarded', guarded)}
</svg>
`;
}

function column(left: number, title: string, phase: Phase): string {
  const { plan } = phase;
  const x = (timeMs: number): number => round(left + (timeMs / plan.endMs) * COLUMN_WIDTH);
  const overload = `<rect class="overload" x="${x(plan.overloadAtMs)}" y="${GOODPUT.top}" width="${round(x(plan.endMs) - x(plan.overloadAtMs))}" height="${BOTTOM - GOODPUT.top}"/>`;
  const figure = text(
    (x(plan.overloadAtMs) + x(plan.endMs)) / 2,
    GOODPUT.top + 48,
    'figure middle',
    `${overloadGoodput(phase).toFixed(1)} /s`,
  );
  return [
    text(left, 88, 'column', title),
    overload,
    ...PANELS.map((panel) => drawPanel(panel, left, x, phase)),
    possibleCurve(x, plan),
    mark(x(plan.riseAtMs), `${RISEN_RATE} requests/s`),
    mark(x(plan.slowAtMs), `${SLOW_MS} ms a request`),
    text((x(plan.overloadAtMs) + x(plan.endMs)) / 2, GOODPUT.top + 28, 'minor middle', 'in the overload'),
    figure,
    timeAxis(left, x, plan),
  ].join('\n');
}

function drawPanel(panel: Panel, left: number, x: (timeMs: number) => number, phase: Phase): string {
  const y = heightIn(panel);
  const grid = panel.ticks.map(
    (tick) =>
      `<path class="grid" d="M${left} ${y(tick)}h${COLUMN_WIDTH}"/>${text(left - 8, y(tick) + 4, 'minor end', tick.toLocaleString('en'))}`,
  );
  const curves = panel.curves.map((curve) => drawCurve(curve, x, y, phase));
  return [text(left, panel.top - 10, '', panel.title), ...legend(panel, left), ...grid, ...curves].join('\n');
}

function legend(panel: Panel, left: number): string[] {
  const entries = panel.curves.map(({ style, label }) => ({ style, label }));
  if (panel === GOODPUT) entries.splice(0, 1, { style: 'possible', label: 'what the back-end can do' });
  let right = left + COLUMN_WIDTH;
  return entries.reverse().map(({ style, label }) => {
    const width = label.length * 6 + 33;
    right -= width;
    return `<path class="curve ${style}" d="M${round(right)} ${panel.top - 14}h18"/>${text(right + 23, panel.top - 10, 'minor', label)}`;
  });
}

/** One point a bin, at its middle; a gap where there is no value. */
function drawCurve({ style, value }: Curve, x: (t: number) => number, y: (v: number) => number, phase: Phase): string {
  const { endMs } = phase.plan;
  const binMs = endMs > 10_000 ? 1_000 : 500;
  let path = '';
  let drawing = false;
  for (let from = 0; from + binMs <= endMs; from += binMs) {
    const v = value(figuresOf(phase, from, from + binMs), 1_000 / binMs);
    // A line of no length shows as a dot: a bin with a value between two without.
    if (v !== undefined) path += drawing ? `L${x(from + binMs / 2)} ${y(v)}` : `M${x(from + binMs / 2)} ${y(v)}h0`;
    drawing = v !== undefined;
  }
  return `<path class="curve ${style}" d="${path}"/>`;
}

function possibleCurve(x: (t: number) => number, plan: Plan): string {
  const y = heightIn(GOODPUT);
  return `<path class="curve possible" d="M${x(0)} ${y(1_000 / FAST_MS)}H${x(plan.slowAtMs)}V${y(1_000 / SLOW_MS)}H${x(plan.endMs)}"/>`;
}

function mark(at: number, label: string): string {
  const lines = PANELS.map(({ top, height }) => `M${at} ${top}v${height}`).join('');
  return `<path class="mark" d="${lines}"/>${text(at, BOTTOM + 36, 'minor middle', label)}`;
}

function timeAxis(left: number, x: (t: number) => number, plan: Plan): string {
  const step = plan.endMs > 10_000 ? 4_000 : 1_000;
  const ticks: string[] = [];
  for (let at = 0; at <= plan.endMs; at += step)
    ticks.push(text(x(at), BOTTOM + 18, 'minor middle', String(at / 1_000)));
  return [...ticks, text(left + COLUMN_WIDTH, BOTTOM + 36, 'minor end', 'time, s')].join('\n');
}

const heightIn =
  ({ top, height, max }: Panel) =>
  (value: number): number =>
    round(top + height * (1 - Math.min(value, max) / max));

const text = (x: number, y: number, style: string, content: string): string =>
  `<text${style && ` class="${style}"`} x="${round(x)}" y="${round(y)}">${content}</text>`;

const round = (value: number): number => Math.round(value * 10) / 10;
