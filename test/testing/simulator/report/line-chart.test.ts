import { describe, expect, it } from 'vitest';
import { type Chart, lineChart, type Point, type Series } from '../../../../src/testing/simulator/report/line-chart.js';

const line = (label: string, points: Point[], more: Partial<Series> = {}): Series => ({
  label,
  colour: 'red',
  points,
  ...more,
});
const draw = (series: Series[], more: Partial<Chart> = {}, notes: Chart['panels'][number]['notes'] = []): string =>
  lineChart({
    title: 'a < b',
    subtitle: '',
    summary: '',
    x: { label: 'time, s', min: 0, max: 10, ticks: [0, 1_000] },
    panels: [{ title: 'one', height: 100, max: 10, ticks: [0, 10], series, notes }],
    ...more,
  });

/** What is written in the picture: where, how, and what. */
const texts = (svg: string): { style: string; x: number; y: number; text: string }[] =>
  [...svg.matchAll(/<text class="(.*?)" x="(.*?)" y="(.*?)">(.*?)<\/text>/g)].map(([, style, x, y, text]) => ({
    style: style as string,
    x: Number(x),
    y: Number(y),
    text: text as string,
  }));
const find = (svg: string, text: string) => texts(svg).find((one) => one.text === text);

describe('a line chart', () => {
  it('draws one line for each run of known points, and a lone point as a dot', () => {
    const svg = draw([
      line('l', [
        [0, 0],
        [5, 10],
        [6, Number.NaN],
        [10, 5],
      ]),
    ]);
    expect(svg).toContain('d="M64 222L353 122M642 172L642 172"');
  });

  it('draws dots where they are known, with a dot in the legend', () => {
    const known: Point[] = [
      [0, 0],
      [5, Number.NaN],
      [10, 20],
    ];
    const svg = draw([line('each call', known, { as: 'dots' }), line('mean', [], { as: 'dashes', colour: 'blue' })]);
    expect(svg.match(/<circle class="dot red" cx="\d+" cy="\d+" r="2"\/>/g)).toEqual([
      '<circle class="dot red" cx="64" cy="222" r="2"/>',
      // Over the top: at the top.
      '<circle class="dot red" cx="642" cy="122" r="2"/>',
    ]);
    expect(svg).toMatch(/<circle class="dot red" [^>]* r="3"\/><text [^>]*>each call</);
    expect(svg).toMatch(/<path class="line dashes blue" [^>]*\/><text [^>]*>mean</);
  });

  it('names lines at their ends, behind the last known point, and apart where they would overlap', () => {
    const ends = [
      line('high', [[10, 9]], { endLabel: 'high' }),
      line('low', [[10, 1]], { endLabel: 'low' }),
      line(
        'as high',
        [
          [10, 8.9],
          [10, Number.NaN],
        ],
        { endLabel: 'as high' },
      ),
      line('unknown', [[5, Number.NaN]], { endLabel: 'unknown' }),
    ];
    const svg = draw([...ends, line('not named', [[10, 5]])]);
    const at = (text: string) => texts(svg).filter((one) => one.text === text && one.style === 'red')[0];
    expect(at('high')).toMatchObject({ x: 648, y: 136 });
    expect(at('as high')).toMatchObject({ x: 648, y: 151 });
    expect(at('low')).toMatchObject({ x: 648, y: 216 });
    expect(at('unknown')?.y).toBeGreaterThanOrEqual(226);
    expect(at('not named')).toBe(undefined);
  });

  it('shades spans over all panels, and names them below', () => {
    const panel = { title: 'p', height: 100, max: 1, ticks: [], series: [] };
    const svg = draw([], { spans: [{ from: 2, to: 4, label: 'outage' }], panels: [panel, { ...panel, height: 50 }] });
    expect(svg.match(/<rect class="span".*?>/g)).toEqual([
      '<rect class="span" x="179.6" y="122" width="114.6" height="100"/>',
      '<rect class="span" x="179.6" y="288" width="114.6" height="50"/>',
    ]);
    expect(find(svg, 'outage')).toEqual({ style: 'minor middle', x: 237.4, y: 374, text: 'outage' });
  });

  it('writes notes at their place, in their colour', () => {
    const svg = draw([], {}, [
      { at: [5, 5], text: 'here' },
      { at: [0, 10], text: 'there', colour: 'green' },
    ]);
    expect(find(svg, 'here')).toEqual({ style: 'minor', x: 353, y: 172, text: 'here' });
    expect(find(svg, 'there')).toEqual({ style: 'green', x: 64, y: 122, text: 'there' });
  });

  it('calls its ticks as it is told, or by their numbers', () => {
    expect(find(draw([]), '1,000')).toBeDefined();
    const svg = draw([], { x: { label: '', min: 0, max: 10, ticks: [0, 1], tickText: (tick) => `day ${tick}` } });
    expect([find(svg, 'day 0')?.x, find(svg, 'day 1')?.x]).toEqual([64, 121.8]);
  });

  it('writes text as text', () => {
    expect(draw([line('x & <y>', []), line('z', [])])).toContain('>x &amp; &lt;y&gt;</text>');
    expect(draw([])).toContain('<title id="title">a &lt; b</title>');
  });
});
