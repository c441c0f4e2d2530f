/** The layout of sets, drawn by hand: what goes where, and what a poisoned set can reach. */

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #444; }
  .title { font-weight: 600; }
  .box { fill: none; stroke: #888; }
  .bad { stroke: #c62828; stroke-dasharray: 5 4; }
  .slot { fill: #1565c0; fill-opacity: 0.25; stroke: #1565c0; }
  .free { fill: none; stroke: #888; stroke-opacity: 0.5; }
  .poison { fill: #c62828; fill-opacity: 0.5; stroke: #c62828; }
  .arrow { fill: none; stroke: #888; marker-end: url(#head); }
  .head { fill: #888; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d1d9e0; } .bad { stroke: #ff7b72; }
    .slot { fill: #58a6ff; stroke: #58a6ff; } .poison { fill: #ff7b72; stroke: #ff7b72; }
  }
`;

const text = (x: number, y: number, content: string, extra = ''): string =>
  `<text x="${x}" y="${y}"${extra}>${content}</text>`;
const middle = ' text-anchor="middle"';
const box = (x: number, y: number, width: number, height: number, name = 'box'): string =>
  `<rect class="${name}" x="${x}" y="${y}" width="${width}" height="${height}" rx="4"/>`;
const arrow = (...points: number[]): string => `<polyline class="arrow" points="${points.join(' ')}"/>`;

/** A ring of eight slots, of which `used` are taken, and the first `poisoned` by what kills. */
function ring(x: number, y: number, used: number, poisoned = 0): string {
  return Array.from({ length: 8 }, (_, i) =>
    box(x + i * 16, y, 14, 20, i < poisoned ? 'poison' : i < used ? 'slot' : 'free'),
  ).join('');
}

function set(y: number, name: string, used: number, workers: [status: string, bad: boolean][]): string {
  const bad = workers.some(([, isBad]) => isBad);
  const rows = workers.map(([status, isBad], i) => {
    const top = y + 28 + i * 62;
    return [
      arrow(346, y + 62 + (workers.length - 1) * 20, 404, top + 16),
      box(410, top - 6, 190, 50, isBad ? 'box bad' : 'box'),
      text(420, top + 12, `worker ${i}`),
      text(420, top + 32, status),
      arrow(606, top + 19, 650, top + 19),
      ring(656, top + 9, isBad ? 0 : 2),
    ].join('');
  });
  const height = 46 + workers.length * 62;
  return [
    box(190, y, 610, height, bad ? 'box bad' : 'box'),
    text(204, y + 20, name, ' class="title"'),
    ring(214, y + 52 + (workers.length - 1) * 20, used, bad ? 1 : 0),
    text(278, y + 92 + (workers.length - 1) * 20, 'ring of requests', middle),
    text(720, y + 20, 'rings of replies', middle),
    ...rows,
    arrow(106, 150, 184, y + height / 2),
  ].join('');
}

/** Two sets behind one host, one of them poisoned. */
export function layoutDrawing(): string {
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 300" role="img">',
    '<title>Each set has a ring of requests; each worker a ring of replies and a status</title>',
    `<style>${STYLE}</style>`,
    '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
    '<path class="head" d="M0 0 8 4 0 8z"/></marker></defs>',
    box(14, 110, 92, 80),
    text(60, 134, 'host', `${middle} class="title"`),
    text(60, 154, 'route', middle),
    text(60, 174, 'outcomes', middle),
    set(10, 'set paying', 4, [
      ['at message 7 since 2 ms', false],
      ['claiming', false],
    ]),
    set(190, 'set free', 6, [['at the poison since 98 ms', true]]),
    '</svg>\n',
  ].join('\n');
}
