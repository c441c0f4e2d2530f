/** A run as an SVG bar chart: a block a group, each on its own scale, because a refusal spans three powers of ten. */
import { nsText } from './report.js';
import { type CaseResult, nsOf, type Run } from './results.js';

const WIDTH = 860;
const LABEL_WIDTH = 250;
const BAR_WIDTH = 480;
const ROW = 22;
const GROUP_GAP = 44;
const COLOURS = { floor: '#9aa0a6', ours: '#0b7a75', base: '#7fb5b2', peer: '#d08c3f' };

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

function bar(result: CaseResult, y: number, longestNs: number): string {
  const ns = nsOf(result);
  const width = Math.max(1, (ns / longestNs) * BAR_WIDTH);
  const weight = result.kind === 'ours' ? ' font-weight="bold"' : '';
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${y + 14}" text-anchor="end"${weight}>${escaped(result.name)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 6}" fill="${COLOURS[result.kind]}"/>`,
    `<text x="${(LABEL_WIDTH + width + 6).toFixed(1)}" y="${y + 14}"${weight}>${nsText(ns)} ns</text>`,
  ].join('\n');
}

export function chart(run: Run): string {
  const parts: string[] = [];
  let y = 12;
  for (const group of new Set(run.cases.map((one) => one.group))) {
    const results = run.cases.filter((one) => one.group === group);
    const longestNs = Math.max(...results.map(nsOf));
    parts.push(`<text x="12" y="${y + 18}" font-size="15" font-weight="bold">${escaped(group)}, ns a call</text>`);
    y += 28;
    for (const result of results) {
      parts.push(bar(result, y, longestNs));
      y += ROW;
    }
    y += GROUP_GAP - 28;
  }
  const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" font-family="sans-serif" font-size="12">`;
  return `${open}\n<rect width="100%" height="100%" fill="white"/>\n${parts.join('\n')}\n</svg>\n`;
}
