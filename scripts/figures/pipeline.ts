/** Drawings of one call: its way through the kernel, and its two moments. */

const STYLE = `
  .paper { fill: #fff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 17px; font-weight: 600 } .minor { fill: #59636e; font-size: 12px } .middle { text-anchor: middle }
  .strong { font-weight: 600 } .end { text-anchor: end }
  .box { fill: #f6f8fa; stroke: #6e7781 } .group { fill: none; stroke: #6e7781; stroke-dasharray: 5 4 }
  .line { stroke: #6e7781; fill: none }
  .in { stroke: #0969da; fill: none; stroke-width: 2 } .in-tip { fill: #0969da }
  .out { stroke: #bc4c00; fill: none; stroke-width: 2 } .out-tip { fill: #bc4c00 }
  .work { fill: #ddf4ff; stroke: #0969da } .permit { fill: #fff1e5; stroke: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #f0f6fc } .minor { fill: #9198a1 } .box { fill: #151b23; stroke: #9198a1 }
    .group, .line { stroke: #9198a1 } .in { stroke: #58a6ff } .in-tip { fill: #58a6ff }
    .out { stroke: #f0883e } .out-tip { fill: #f0883e } .work { fill: #0c2d6b; stroke: #58a6ff }
    .permit { fill: #3d2a16; stroke: #f0883e }
  }`;

const text = (x: number, y: number, words: string, style = ''): string =>
  `<text x="${x}" y="${y}"${style && ` class="${style}"`}>${words}</text>`;
const box = (x: number, y: number, w: number, h: number, style = 'box'): string =>
  `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="3" class="${style}"/>`;
const line = (path: string): string => `<path d="${path}" class="line"/>`;
const tip = (name: string): string =>
  `<marker id="${name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0 8 4 0 8z" class="${name}-tip"/></marker>`;
const arrow = (way: 'in' | 'out', x: number, y: number, to: number): string =>
  `<path d="M${x} ${y} H${to}" class="${way}" marker-end="url(#${way})"/>`;

const page = (width: number, height: number, title: string, summary: string, parts: string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title summary">
<title id="title">${title}</title>
<desc id="summary">${summary}</desc>
<style>${STYLE}
</style>
<defs>${tip('in')}${tip('out')}</defs>
<rect width="${width}" height="${height}" class="paper"/>
${text(24, 32, title, 'title')}
${parts.join('\n')}
</svg>
`;

/** Of each part: name, file, what it does on the way in, what on the way out. */
const PARTS: [name: string, file: string, goingIn: string[], goingOut: string[]][] = [
  ['the pipeline', 'pipeline/pipeline.ts', ['1. makes the', 'context'], ['8. the caller', 'has the answer']],
  [
    'the gates',
    'pipeline/gate-step.ts',
    ['2. asks each for a', 'permit, outer first'],
    ['7. releases them,', 'inner first'],
  ],
  ['the time limit', 'pipeline/limited-calls.ts', ['3. sets a timer'], ['6. clears the timer,', 'takes the time']],
  ['your function', 'call/context.ts', ['4. is called:', 'work begins'], ['5. has settled:', 'work has ended']],
];

/** One call through two gates and a time limit. */
export function pathDrawing(): string {
  const width = 156;
  const left = (i: number): number => 24 + i * 196;
  const lines = (x: number, y: number, words: readonly string[]): string[] =>
    words.map((word, i) => text(x, y + i * 17 - (words.length - 1) * 8.5, word, 'middle'));
  const columns = PARTS.flatMap(([name, file, goingIn, goingOut], i) => {
    const x = left(i) + width / 2;
    return [
      box(left(i), 108, width, 174),
      text(x, 130, name, 'middle strong'),
      text(x, 147, file, 'middle minor'),
      ...lines(x, 186, goingIn),
      ...lines(x, 246, goingOut),
    ];
  });
  const between = [0, 1, 2].flatMap((i) => [
    arrow('in', left(i) + width + 2, 182, left(i + 1) - 2),
    arrow('out', left(i + 1) - 2, 242, left(i) + width + 2),
  ]);
  return page(
    792,
    352,
    'The way in, and the same way out',
    'The pipeline makes a context, the gates are asked from the outside in, the time limit sets a timer and the function is called. On the way out the timer is cleared, the permits are released from the inside out, and the caller has the answer.',
    [
      text(
        24,
        54,
        'pipeline(rateLimiter(…), circuitBreaker(…), dynamicTimeout(…)).execute(fn); files of src/core',
        'minor',
      ),
      box(left(1) - 14, 70, 2 * width + 68, 226, 'group'),
      text(left(1), 90, 'one step on one promise: pipeline/fused-step.ts', 'minor'),
      ...columns,
      ...between,
      text(
        24,
        322,
        'A refusal at 2 turns back: the gates that have let the call in are released, and nothing is called.',
        'minor',
      ),
      text(
        24,
        340,
        'A time-out or an abort goes out by 6, 7 and 8 in the same way; the function may settle later.',
        'minor',
      ),
    ],
  );
}

/** A call that times out, its function and its permit, time to the right. */
export function momentsDrawing(): string {
  const start = 150;
  const answer = 400;
  const end = 640;
  const row = (y: number, name: string, to: number, words: string, style: string): string[] => [
    text(24, y + 18, name, 'strong'),
    box(start, y, to - start, 28, style),
    text(start + 10, y + 19, words),
  ];
  return page(
    792,
    328,
    'A time-out answers the caller; the permit waits for the work',
    'The time limit aborts the signal. The function has 32 microtasks to stop, then the caller is answered and the outcome is counted. The permit of a gate that counts work is released when the function has settled, or abandonedMs after the answer.',
    [
      ...row(62, 'caller', answer, 'waits', 'box'),
      ...row(112, 'function', end, 'runs', 'work'),
      ...row(162, 'permit', end, 'in use', 'permit'),
      line(`M${answer - 24} 50 V206`),
      line(`M${answer} 50 V222`),
      line(`M${end} 104 V222`),
      text(answer - 30, 226, 'abort: 32 microtasks to stop', 'minor end'),
      text(answer, 242, '1. the answer', 'strong'),
      text(answer, 259, 'outcomes are counted, once', 'minor'),
      text(end, 242, '2. end of the work', 'strong'),
      text(end, 259, 'the permit is released', 'minor'),
      text(24, 296, 'Most functions have settled at the answer; then both are one moment.', 'minor'),
      text(
        24,
        314,
        'Work that does not end is written off: its permit is released abandonedMs after the answer.',
        'minor',
      ),
    ],
  );
}
