import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ambientProblems } from './ambient.js';
import { longComments, MAX_COLUMNS } from './comments.js';
import { importProblems, indexProblems } from './imports.js';
import { lockFileProblems, registryProblems } from './lock-file.js';
import { readSources, type Source } from './source.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const src = readSources(ROOT, 'src');
const all = readSources(ROOT, '.');

/** A small library that keeps all rules, with the given files put in. */
function library(files: Record<string, string> = {}): Source[] {
  const good = {
    'src/index.ts': `export * from './core/index.js'; export * from './policies/retry/index.js';`,
    'src/core/index.ts': `export { clock } from './time/clock.js'; export type { E } from './events.js';`,
    'src/core/events.ts': `export interface E { at: number }`,
    'src/core/policy.ts': `import { clock } from './time/clock.js'; export const policy = clock;`,
    'src/core/time/clock.ts': `export const clock = () => performance.now();`,
    'src/core/pipeline/pipeline.ts': `import { policy } from '../policy.js'; export const pipeline = policy;`,
    'src/core/gates/gate.ts': `import { pipeline } from '../pipeline/pipeline.js'; export const gate = pipeline;`,
    'src/policies/retry-budget/budget.ts': `export const budget = 1;`,
    'src/policies/hedge/hedge.ts': `import { budget } from '../retry-budget/budget.js'; export const hedge = budget;`,
    'src/policies/retry/index.ts': `export { retry } from './retry.js'; export { hedge } from '../hedge/hedge.js';`,
    'src/policies/retry/retry.ts': `import { clock } from '../../core/time/clock.js'; export const retry = clock;`,
    'src/policies/meter/meter.ts': `import type { Redis } from 'ioredis'; export type { Redis };`,
    'src/workers/ring-buffer/index.ts': `export const ring = 1;`,
    'src/workers/ring-buffer/memory.ts': `export const memory = 1;`,
    'src/workers/isolation/index.ts': `export { ring } from '../ring-buffer/index.js'; import 'node:worker_threads';`,
    'src/presets/index.ts': `export { retry } from '../policies/retry/index.js';`,
    'src/testing/index.ts': `export { retry } from '../policies/retry/index.js'; import '../core/time/clock.js';`,
    'src/testing/report/chart.ts': `import { retry } from '../index.js'; export const chart = retry;`,
    'src/cli/main.ts': `import '../testing/index.js'; import 'node:fs';`,
    'src/adapters/web/index.ts': `import type { Redis } from 'ioredis'; import '../../core/policy.js'; export type { Redis };`,
    'src/telemetry/index.ts': `export { retry } from '../policies/retry/index.js';`,
    'src/shared-limits/index.ts': `export { retry } from '../policies/retry/index.js';`,
  };
  return Object.entries({ ...good, ...files }).map(([path, text]) => ({ path, text }));
}

describe('imports', () => {
  it('keep the rules', () => {
    expect(src.length).toBeGreaterThan(10);
    expect(importProblems(src)).toEqual([]);
  });

  it('accepts a library that keeps them', () => {
    expect(importProblems(library())).toEqual([]);
  });

  const A = 'src/policies/retry/a.ts';
  const CORE_A = 'src/core/numbers/a.ts';
  const RING = '../../workers/ring-buffer/index.js';

  it.each([
    [
      'core imports a policy',
      'src/core/a.ts',
      `import '../policies/retry/index.js';`,
      'core does not import policies/retry',
    ],
    [
      'core imports a type of one',
      CORE_A,
      `import type { R } from '../../policies/retry/index.js';`,
      'does not import',
    ],
    ['core imports a package', CORE_A, `import type { R } from 'ioredis';`, 'core/numbers imports no package'],
    ['core imports Node', CORE_A, `import { cpus } from 'node:os';`, 'only Node has it'],
    ['Node without its prefix', CORE_A, `import { cpus } from 'os';`, 'only Node has it'],
    ['a policy imports Node', A, `import { cpus } from 'node:os';`, 'only Node has it'],
    ['numbers import time', CORE_A, `import '../time/clock.js';`, 'core/numbers does not import core/time'],
    ['time imports a policy of core', 'src/core/time/a.ts', `import '../policy.js';`, 'core/time does not import core'],
    [
      'a call imports the pipeline',
      'src/core/call/a.ts',
      `import '../pipeline/pipeline.js';`,
      'does not import core/pip',
    ],
    [
      'the pipeline imports gates',
      'src/core/pipeline/a.ts',
      `import '../gates/gate.js';`,
      'does not import core/gates',
    ],
    ['a file of core imports gates', 'src/core/a.ts', `import './gates/gate.js';`, 'core does not import core/gates'],
    ['a room that is in no row', 'src/core/extra/a.ts', `import '../policy.js';`, 'core/extra is no room'],
    ['a folder that is in no row', 'src/extra/a.ts', `import '../core/policy.js';`, 'extra is no room'],
    ['a worker', A, `import { ring } from '${RING}';`, 'policies/retry does not import workers/ring-buffer'],
    ['a type of another room', A, `import type { r } from '${RING}';`, 'does not import workers'],
    ['another room by re-export', A, `export * from '${RING}';`, 'does not import workers'],
    ['another room by import()', A, `void import('${RING}');`, 'does not import workers'],
    ['another room by require', A, `const r = require('${RING}');`, 'does not import workers'],
    ['another room in a type', A, `type R = import('${RING}').R;`, 'does not import workers'],
    [
      'a sibling',
      'src/policies/meter/a.ts',
      `import '../retry/index.js';`,
      'policies/meter does not import policies/retry',
    ],
    [
      'a budget',
      'src/policies/meter/a.ts',
      `import '../retry-budget/budget.js';`,
      'does not import policies/retry-budget',
    ],
    ['hedge, but in the index.ts', A, `import '../hedge/hedge.js';`, 'policies/retry does not import policies/hedge'],
    [
      'a budget that imports a retry',
      'src/policies/retry-budget/a.ts',
      `import '../retry/retry.js';`,
      'does not import',
    ],
    ['isolation takes internals', 'src/workers/isolation/a.ts', `import '../ring-buffer/memory.js';`, 'index.ts only'],
    [
      'the ring imports isolation',
      'src/workers/ring-buffer/a.ts',
      `import '../isolation/index.js';`,
      'does not import',
    ],
    ['the root', A, `import { retry } from '../../index.js';`, 'policies/retry does not import index.ts'],
    ['testing', A, `import { manualClock } from '../../testing/index.js';`, 'policies/retry does not import testing'],
    ['testing takes the command', 'src/testing/a.ts', `import '../cli/main.js';`, 'testing does not import cli'],
    ['the command takes internals', 'src/cli/a.ts', `import '../policies/retry/retry.js';`, 'index.ts only'],
    ['the command takes internals', 'src/cli/a.ts', `import '../testing/report/chart.js';`, 'index.ts only'],
    ['presets take internals', 'src/presets/a.ts', `import '../policies/retry/retry.js';`, 'index.ts only'],
    ['presets take a room without a name', 'src/presets/a.ts', `import '../policies/hedge/hedge.js';`, 'index.ts only'],
    ['adapters take internals', 'src/adapters/web/a.ts', `import '../../policies/retry/retry.js';`, 'index.ts only'],
    ['adapters take one another', 'src/adapters/x/a.ts', `import '../web/index.js';`, 'does not import adapters/web'],
    [
      'the root takes testing',
      'src/index.ts',
      `export * from './testing/index.js';`,
      'index.ts does not import testing',
    ],
    ['the root takes internals', 'src/index.ts', `export * from './core/time/clock.js';`, 'does not import core/time'],
    ['the root takes internals', 'src/index.ts', `export * from './policies/retry/retry.js';`, 'index.ts only'],
    ['testing takes internals', 'src/testing/a.ts', `import '../policies/retry/retry.js';`, 'index.ts only'],
    ['a package', 'src/adapters/a/a.ts', `import { Redis } from 'ioredis';`, 'packages only as types'],
    ['a package for its effects', 'src/adapters/a/a.ts', `import 'ioredis';`, 'packages only as types'],
    ['a package in part', 'src/adapters/a/a.ts', `import { type A, B } from 'ioredis';`, 'packages only as types'],
    ['no such file', A, `import './gone.js';`, 'no such file'],
    ['a file outside src', A, `import '../../../x.js';`, 'no such file'],
    ['a file that imports itself', 'src/core/a.ts', `import './a.js';`, 'a cycle'],
  ])('refuses: %s', (_, path, text, problem) => {
    expect(importProblems(library({ [path]: text }))).toEqual([expect.stringContaining(problem)]);
  });

  it('refuses a cycle, also of types, and names its files', () => {
    const files = library({
      'src/core/a.ts': `import type { B } from './b.js';`,
      'src/core/b.ts': `import { c } from './c.js';`,
      'src/core/c.ts': `export type { A } from './a.js';`,
    });
    expect(importProblems(files)).toEqual(['src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts: a cycle']);
  });

  it('refuses a cycle through rooms that may import one another', () => {
    const files = library({
      'src/core/call/a.ts': `import '../options/b.js';`,
      'src/core/options/b.ts': `import '../call/a.js';`,
    });
    expect(importProblems(files)).toEqual(['src/core/call/a.ts → src/core/options/b.ts → src/core/call/a.ts: a cycle']);
  });

  it('does not take a text for an import', () => {
    const text = `// import 'ioredis'\n/* import '../retry/index.js' */\nexport const a = "import '../x.js'";`;
    expect(importProblems(library({ 'src/core/a.ts': text }))).toEqual([]);
  });
});

describe('comments in src', () => {
  it(`are no longer than ${MAX_COLUMNS} columns a line`, () => {
    expect(src.flatMap(longComments)).toEqual([]);
  });

  const LONG = 'x'.repeat(MAX_COLUMNS - 3);

  it.each([
    [`// ${LONG}`, []],
    [`// ${LONG}x`, ['a.ts:1 is 121 columns long']],
    [`/**\n * short\n * ${LONG}\n */`, []],
    [`/**\n * ${LONG}x\n */`, ['a.ts:2 is 121 columns long']],
    [`const a = 1; // ${LONG}`, ['a.ts:1 is 133 columns long']],
    [`const a = '// ${LONG}x';`, []],
    [`const a = \`\n// ${LONG}x\n\`;`, []],
    [`const a = '${LONG}'; /* b */`, ['a.ts:1 is 138 columns long']],
  ])('finds them: %#', (text, problems) => {
    expect(longComments({ path: 'a.ts', text })).toEqual(problems);
  });
});

describe('src/index.ts', () => {
  it('is names only', () => {
    expect(src.filter(({ path }) => path === 'src/index.ts').map(indexProblems)).toEqual([[]]);
  });

  it.each([`export const a = 1;`, `import './core/index.js';`, `const a = 1; export { a };`])('refuses: %s', (text) => {
    expect(indexProblems({ path: 'src/index.ts', text })).not.toEqual([]);
  });
});

describe('time and randomness of the host', () => {
  it('come in at the clock, the timers and the random source only', () => {
    expect(ambientProblems(src)).toEqual([]);
  });

  it.each([
    ['Date.now();', 'Date.now'],
    ['performance.now();', 'performance.now'],
    ['Math.random();', 'Math.random'],
    ['const random = Math.random;', 'Math.random'],
    ['globalThis.Math.random();', 'Math.random'],
    [`Date['now']();`, 'Date.now'],
    ['performance?.now();', 'performance.now'],
    ['const { now } = Date;', 'Date.now'],
    ['const { random: r } = globalThis.Math;', 'Math.random'],
    ['const M = Math;', 'Math as a value'],
    ['read(performance);', 'performance as a value'],
    ['new Date();', 'new Date()'],
    ['Date();', 'Date()'],
    ['setTimeout(() => {}, 1);', 'setTimeout'],
    ['globalThis.setTimeout(() => {}, 1);', 'setTimeout'],
    [`globalThis['setInterval'](() => {}, 1);`, 'setInterval'],
    ['const later = setInterval;', 'setInterval'],
    [`import { setTimeout } from 'node:timers/promises';`, 'setTimeout'],
    ['const text = `${' + 'Date.now()}`;', 'Date.now'],
  ])('refuses: %s', (text, what) => {
    expect(ambientProblems([{ path: 'src/policies/retry/a.ts', text: `\n${text}` }])).toEqual([
      `src/policies/retry/a.ts:2 uses ${what}`,
    ]);
  });

  it.each([
    '// Date.now()',
    '/** setTimeout */',
    `const text = 'Math.random() setTimeout(';`,
    'const text = `performance.now()`;',
    'type Timer = ReturnType<typeof setTimeout>;',
    'Math.max(1, 2); new Date(0); Date.parse(text);',
    'const { max } = Math;',
    'clock.now(); clock.setTimer(f, 1);',
  ])('accepts: %s', (text) => {
    expect(ambientProblems([{ path: 'src/policies/retry/a.ts', text }])).toEqual([]);
  });

  it('accepts them where they come in', () => {
    const text = 'Date.now(); performance.now(); Math.random(); setTimeout(f, 1); setInterval(f, 1);';
    const names = ['time/clock', 'time/timers', 'time/turns', 'numbers/random'];
    const files = names.map((name) => ({ path: `src/core/${name}.ts`, text }));
    expect(ambientProblems(files)).toEqual([]);
  });
});

describe('the registry', () => {
  it('is named in no file', () => {
    expect(all.length).toBeGreaterThan(src.length);
    expect(all.flatMap(registryProblems)).toEqual([]);
  });

  // In pieces, so that this file does not hold what it looks for.
  it.each([
    ['registry=', 'https://example.org/npm'],
    ['see https://reg', 'istry.example.org/a'],
    ['registry.', 'example.org'],
    ['"registry": "', 'https://example.org"'],
    ['https://example.org/npm-reg', 'istry/a'],
  ])('would be found in: %s%s', (...pieces) => {
    expect(registryProblems({ path: 'a.md', text: pieces.join('') })).not.toEqual([]);
  });

  it('is not in the word, nor in other addresses', () => {
    const text =
      'omit-lockfile-registry-resolved=true; registry.metrics.reset(); https://sre.google/sre-book/overload/';
    expect(registryProblems({ path: '.npmrc', text })).toEqual([]);
  });
});

describe('the lock file', () => {
  it('has what npm ci needs, and no sources', () => {
    expect(lockFileProblems(all.find(({ path }) => path === 'package-lock.json')?.text ?? '')).toEqual([]);
  });

  it.each([
    ['says where', { 'node_modules/a': { version: '1.0.0', resolved: 'file:../a.tgz' } }],
    ['missing', { 'node_modules/a': { optionalDependencies: { 'a-linux': '1.0.0' } } }],
    ['missing', { 'node_modules/a': { optionalDependencies: { 'a-linux': '1' } }, 'node_modules/a-linux': {} }],
  ])('refuses what it %s', (problem, packages) => {
    expect(lockFileProblems(JSON.stringify({ packages }))).toEqual([expect.stringContaining(problem)]);
  });
});
