/** Line charts as SVG that follow the reader's light or dark mode: panels one below the other, over one x axis. */
import { powerOfTen } from '../../elementary.js';

const WIDTH = 760;
const LEFT = 64;
const RIGHT = 118;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const FIRST_PANEL = 122;
const PANEL_GAP = 66;
/** Characters of small print. */
const MAX_LINE = 112;
const CHARACTER_WIDTH = 7;

/** Classes of the style sheet. */
export type Colour = 'blue' | 'green' | 'orange' | 'red' | 'purple' | 'grey';
export type Point = readonly [x: number, y: number];

export interface Series {
  /** In the legend. @default not there */
  label?: string;
  colour: Colour;
  /** Where y is NaN, the line has a gap. */
  points: readonly Point[];
  /** @default a line */
  as?: 'dots' | 'dashes';
  /** Set at the end of the line. */
  endLabel?: string;
}

export interface Panel {
  /** What its y axis shows, with the unit. */
  title: string;
  height: number;
  max: number;
  ticks: readonly number[];
  series: readonly Series[];
  /** Written into the panel at x, y. */
  notes?: readonly { at: Point; text: string; colour?: Colour }[];
}

export interface Chart {
  title: string;
  subtitle: string;
  /** What the picture shows, for those who cannot see it. */
  summary: string;
  x: {
    label: string;
    min: number;
    max: number;
    ticks: readonly number[];
    /** What a tick is called. @default the number */
    tickText?: (tick: number) => string;
  };
  /** Stretches of the x axis that are shaded, with their names. */
  spans?: readonly { from: number; to: number; label: string }[];
  panels: readonly Panel[];
}

const LIGHT: Record<Colour, string> = {
  blue: '#0969da',
  green: '#1a7f37',
  orange: '#bc4c00',
  red: '#cf222e',
  purple: '#8250df',
  grey: '#6e7781',
};
const DARK: Record<Colour, string> = {
  blue: '#58a6ff',
  green: '#3fb950',
  orange: '#e3b341',
  red: '#ff7b72',
  purple: '#d2a8ff',
  grey: '#9198a1',
};

/** Written out: not every renderer knows `var()`. */
const inks = (palette: Record<Colour, string>): string =>
  Object.entries(palette)
    .map(([name, value]) => `.${name} { stroke: ${value} } .dot.${name}, text.${name} { fill: ${value}; stroke: none }`)
    .join('\n  ');

const STYLE = `
  .paper { fill: #fff } .span { fill: #0969da; opacity: .07 }
  text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 17px; font-weight: 600 } .minor { fill: #59636e; font-size: 12px }
  .end { text-anchor: end } .middle { text-anchor: middle } .strong { font-weight: 600 }
  .grid { stroke: #d1d9e0; fill: none }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
  .dashes { stroke-width: 1.5; stroke-dasharray: 6 4 } .dot { opacity: .5 } .dot.red { opacity: .9 }
  ${inks(LIGHT)}
  @media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117 } .span { fill: #58a6ff; opacity: .12 }
  text { fill: #f0f6fc } .minor { fill: #9198a1 } .grid { stroke: #3d444d }
  ${inks(DARK)}
  }`;

export function lineChart(chart: Chart): string {
  const { x } = chart;
  const atX = (value: number): number => LEFT + ((value - x.min) / (x.max - x.min)) * PLOT_WIDTH;
  const tops: number[] = [];
  let bottom = FIRST_PANEL - PANEL_GAP;
  for (const { height } of chart.panels) {
    tops.push(bottom + PANEL_GAP);
    bottom += PANEL_GAP + height;
  }
  const height = bottom + 50;
  const spans = (chart.spans ?? []).flatMap(({ from, to, label }) => [
    ...chart.panels.map(
      (panel, i) =>
        `<rect class="span" x="${round(atX(from))}" y="${tops[i]}" width="${round(atX(to) - atX(from) - 1)}" height="${panel.height}"/>`,
    ),
    text((atX(from) + atX(to)) / 2, bottom + 36, 'minor middle', label),
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title summary">
<title id="title">${escaped(chart.title)}</title>
<desc id="summary">${escaped(chart.summary)}</desc>
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${height}"/>
${text(LEFT, 30, 'title', chart.title)}
${linesOf(chart.subtitle)
  .map((line, i) => text(LEFT, 52 + 16 * i, 'minor', line))
  .join('\n')}
${[...spans, ...chart.panels.map((panel, i) => drawPanel(panel, tops[i] as number, atX))].join('\n')}
${x.ticks.map((tick) => text(atX(tick), bottom + 18, 'minor middle', x.tickText?.(tick) ?? tick.toLocaleString('en'))).join('\n')}
${text(LEFT + PLOT_WIDTH, bottom + 36, 'minor end', x.label)}
</svg>
`;
}

function drawPanel(panel: Panel, top: number, atX: (x: number) => number): string {
  const atY = (value: number): number => top + panel.height * (1 - Math.min(value, panel.max) / panel.max);
  const grid = panel.ticks.map(
    (tick) =>
      `<path class="grid" d="M${LEFT} ${round(atY(tick))}h${PLOT_WIDTH}"/>${text(LEFT - 8, atY(tick) + 4, 'minor end', tick.toLocaleString('en'))}`,
  );
  const notes = (panel.notes ?? []).map(({ at, text: note, colour }) =>
    text(atX(at[0]), atY(at[1]), colour ?? 'minor', note),
  );
  return [
    text(LEFT, top - 32, 'strong', panel.title),
    ...legend(panel, top - 12),
    ...grid,
    ...panel.series.map((series) => drawSeries(series, atX, atY)),
    ...endLabels(panel, atX, atY),
    ...notes,
  ].join('\n');
}

/** In a legend, with its mark and the gap to the next one. */
const entryWidth = (label: string): number => label.length * CHARACTER_WIDTH + 41;

/** How many characters each of `count` labels may have so that a legend has room for them beside `label`. */
export const roomBeside = (label: string, count: number): number =>
  Math.floor(((WIDTH - LEFT - entryWidth(label)) / count - entryWidth('')) / CHARACTER_WIDTH);

function legend({ series }: Panel, y: number): string[] {
  if (series.length === 1) return [];
  let left = LEFT;
  return series.flatMap(({ label, colour, as }) => {
    if (label === undefined) return [];
    const mark =
      as === 'dots'
        ? `<circle class="dot ${colour}" cx="${left + 9}" cy="${y - 4}" r="3"/>`
        : `<path class="line ${as ?? ''} ${colour}" d="M${left} ${y - 4}h18"/>`;
    const entry = `${mark}${text(left + 23, y, 'minor', label)}`;
    left += entryWidth(label);
    return entry;
  });
}

function drawSeries({ colour, points, as }: Series, atX: (x: number) => number, atY: (y: number) => number): string {
  const places = points.map(([x, y]) => [round(atX(x)), round(atY(y))] as const);
  const known = places.filter(([, y]) => !Number.isNaN(y));
  if (as === 'dots') return known.map(([x, y]) => `<circle class="dot ${colour}" cx="${x}" cy="${y}" r="2"/>`).join('');
  return `<path class="line ${as ?? ''} ${colour}" d="${pathOf(places)}"/>`;
}

/** One line for each run of known points; a point alone is a line of no length, which its round caps make a dot. */
function pathOf(places: readonly Point[]): string {
  const lines: string[][] = [[]];
  for (const [x, y] of places) {
    if (Number.isNaN(y)) lines.push([]);
    else lines.at(-1)?.push(`${x} ${y}`);
  }
  return lines
    .filter((line) => line.length > 0)
    .map((line) => `M${(line.length === 1 ? [line[0], line[0]] : line).join('L')}`)
    .join('');
}

/** At the ends of the lines, pushed apart where two would overlap. */
function endLabels({ series }: Panel, atX: (x: number) => number, atY: (y: number) => number): string[] {
  const ends = series
    .filter(({ endLabel }) => endLabel !== undefined)
    .map(({ endLabel = '', colour, points }) => {
      const [x, y] = points.findLast((point) => !Number.isNaN(point[1])) ?? [0, 0];
      return { x: atX(x) + 6, y: atY(y) + 4, colour, text: endLabel };
    })
    .sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => {
    const above = ends[i - 1];
    if (above !== undefined) end.y = Math.max(end.y, above.y + 15);
  });
  return ends.map(({ x, y, colour, text: label }) => text(x, y, colour, label));
}

const text = (x: number, y: number, style: string, content: string): string =>
  `<text class="${style}" x="${round(x)}" y="${round(y)}">${escaped(content)}</text>`;

/** As many words on each as fit. */
function linesOf(content: string): string[] {
  const lines: string[] = [];
  for (const word of content.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= MAX_LINE) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

const escaped = (content: string): string => content.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

const round = (value: number): number => Math.round(value * 10) / 10;

/** Ticks at round numbers from 0 to `most` or a little over it; the last one is the end of the axis. */
export function niceTicks(most: number, count = 4): number[] {
  if (!(most > 0 && most < Infinity)) return [0, 1];
  const raw = most / count;
  const power = powerOfTen(raw);
  const step = ([1, 2, 2.5, 5].find((digit) => digit * power >= raw) ?? 10) * power;
  const ticks = Math.ceil(most / step - 1e-9);
  // Rounded: 3 · 0.1 is not 0.3.
  return Array.from({ length: ticks + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
