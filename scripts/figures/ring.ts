/** Drawings of the ring: its memory, and how a reader goes to sleep without missing a message. */

const STYLE = `
  .paper { fill: #fff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 17px; font-weight: 600 } .minor { fill: #59636e; font-size: 12px } .middle { text-anchor: middle }
  .end { text-anchor: end } .strong { font-weight: 600 }
  .box { fill: #f6f8fa; stroke: #6e7781 } .unread { fill: #ddf4ff; stroke: #0969da } .line { stroke: #6e7781; fill: none }
  .blue { stroke: #0969da; fill: none; stroke-width: 2 } .orange { stroke: #bc4c00; fill: none; stroke-width: 2 }
  .dashes { stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #f0f6fc } .minor { fill: #9198a1 } .box { fill: #151b23; stroke: #9198a1 }
    .unread { fill: #0c2d6b; stroke: #58a6ff } .blue { stroke: #58a6ff } .orange { stroke: #f0883e } .line { stroke: #9198a1 }
  }`;

const text = (x: number, y: number, words: string, style = ''): string =>
  `<text x="${x}" y="${y}"${style && ` class="${style}"`}>${words}</text>`;
const box = (x: number, y: number, w: number, h: number, style = 'box'): string =>
  `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="3" class="${style}"/>`;
const arrow = (path: string, style: string): string => `<path d="${path}" class="${style}" marker-end="url(#tip)"/>`;

const page = (width: number, height: number, title: string, summary: string, parts: string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title summary">
<title id="title">${title}</title>
<desc id="summary">${summary}</desc>
<style>${STYLE}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#6e7781"/></marker></defs>
<rect width="${width}" height="${height}" class="paper"/>
${text(24, 32, title, 'title')}
${parts.join('\n')}
</svg>
`;

/** The words in front, the slots behind, and the two indices. */
export function ringDrawing(): string {
  const words = [
    ['magic, version', 'sizes'],
    ['write index', '13'],
    ['read index', '9'],
    ['sleepers, writer', 'a bit a reader'],
    ['readers', 'place, signal each'],
  ];
  const header = words.flatMap(([name = '', what = ''], i) => [
    box(24 + i * 143, 56, 139, 46),
    text(24 + i * 143 + 70, 75, name, 'middle strong'),
    text(24 + i * 143 + 70, 93, what, 'middle minor'),
  ]);
  const slots = Array.from({ length: 8 }, (_, i) => {
    // 9 to 12 are unread: slots 1 to 4.
    const unread = i >= 1 && i <= 4;
    const message = i === 0 ? 'was 8' : unread ? `no. ${8 + i}` : `was ${i}`;
    return [
      box(24 + i * 89, 178, 85, 46, unread ? 'unread' : 'box'),
      text(24 + i * 89 + 42, 197, message, unread ? 'middle strong' : 'middle minor'),
      text(24 + i * 89 + 42, 215, `slot ${i}`, 'middle minor'),
    ].join('\n');
  });
  return page(
    760,
    318,
    'A ring of eight slots',
    'Words in front, each group on cache lines of its own, then the slots. Messages 9 to 12 are unread: the read index is 9, the write index 13.',
    [
      ...header,
      text(24, 122, 'Each group that another thread writes is on cache lines of its own.', 'minor'),
      arrow('M155 150 V174', 'line'),
      text(155, 144, 'read index 9: claimed up to here', 'middle'),
      arrow('M511 150 V174', 'line'),
      text(511, 144, 'write index 13: written up to here', 'middle'),
      ...slots,
      text(24, 254, 'slot = index mod 8'),
      text(
        24,
        272,
        'An index counts messages for ever and wraps at 2^32, so it never comes back while a reader is at work.',
        'minor',
      ),
      text(24, 296, 'In a slot: length (4 bytes), unused (4), time of receipt (8), then the message.', 'minor'),
    ],
  );
}

/** Two threads, time downwards. */
export function sleepDrawing(): string {
  const reader = [
    'finds the ring empty',
    '1. sets its bit',
    '2. looks again: still empty',
    '3. sleeps on its signal',
    'wakes and reads',
  ];
  const y = (i: number): number => 84 + i * 44;
  const lane = (x: number, steps: string[], at: (i: number) => number): string[] =>
    steps.flatMap((step, i) => (step ? [box(x, at(i) - 18, 300, 28), text(x + 150, at(i), step, 'middle')] : []));
  return page(
    760,
    372,
    'Going to sleep without missing a message',
    'The reader sets its bit before it looks for the last time; the writer looks for bits after it has published. One of them sees the other.',
    [
      text(174, 58, 'reader', 'middle strong'),
      text(586, 58, 'writer', 'middle strong'),
      ...lane(24, reader.slice(0, 4), y),
      ...lane(24, reader.slice(4), () => y(5)),
      ...lane(436, ['publishes a message', 'then looks for bits'], (i) => y(i + 3)),
      ...lane(436, ['clears the bit, changes the signal, notifies'], () => y(5)),
      arrow(`M586 ${y(4) + 10} V${y(5) - 20}`, 'line'),
      arrow(`M436 ${y(5) - 4} H328`, 'orange'),
      `<path d="M324 ${y(1) - 4} C400 ${y(1)} 380 ${y(4) - 6} 432 ${y(4) - 4}" class="blue dashes" marker-end="url(#tip)"/>`,
      text(392, y(2) - 8, 'sees the bit', 'minor'),
      text(
        24,
        338,
        'Had the writer published before step 2, the reader would see the message; after it, the writer sees the bit.',
        'minor',
      ),
      text(24, 356, 'A signal that changes between 2 and 3 ends the sleep at once.', 'minor'),
    ],
  );
}
