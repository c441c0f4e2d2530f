import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ambientProblems } from './ambient.js';
import { importProblems, indexProblems } from './imports.js';
import { lockFileProblems, registryProblems } from './lock-file.js';
import { readSources, type Source } from './source.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const src = readSources(ROOT, 'src');
const all = readSources(ROOT, '.');

/** A small library that keeps all rules, with the given files put in. */
function library(files: Record<string, string> = {}): Source[] {
  const good = {
    'src/index.ts': `export * from './core/index.js'; export * from './retry/index.js';`,
    'src/core/index.ts': `export { clock } from './clock.js';`,
    'src/core/clock.ts': `export const clock = () => performance.now();`,
    'src/retry/index.ts': `export { retry } from './retry.js';`,
    'src/retry/retry.ts': `import { clock } from '../core/clock.js'; export const retry = clock;`,
    'src/ring-buffer/index.ts': `export const ring = 1;`,
    'src/isolation/index.ts': `import { ring } from '../ring-buffer/index.js'; import 'node:worker_threads'; export { ring };`,
    'src/testing/index.ts': `import { retry } from '../retry/index.js'; import '../core/clock.js'; export { retry };`,
    'src/adapters/index.ts': `import type { Redis } from 'ioredis'; export type { Redis };`,
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

  it.each([
    ['core imports a primitive', 'src/core/ema.ts', `import '../retry/index.js';`, 'nothing outside itself'],
    ['core imports a type of one', 'src/core/ema.ts', `import type { R } from '../retry/index.js';`, 'outside itself'],
    ['core imports a package', 'src/core/ema.ts', `import type { R } from 'ioredis';`, 'outside itself'],
    ['core imports Node', 'src/core/ema.ts', `import { cpus } from 'node:os';`, 'only Node has it'],
    ['Node without its prefix', 'src/core/ema.ts', `import { cpus } from 'os';`, 'only Node has it'],
    ['a sibling', 'src/retry/a.ts', `import { ring } from '../ring-buffer/index.js';`, 'never imports a sibling'],
    ['a type of a sibling', 'src/retry/a.ts', `import type { r } from '../ring-buffer/index.js';`, 'sibling'],
    ['a sibling by re-export', 'src/retry/a.ts', `export * from '../ring-buffer/index.js';`, 'sibling'],
    ['a sibling by import()', 'src/retry/a.ts', `void import('../ring-buffer/index.js');`, 'sibling'],
    ['a sibling by require', 'src/retry/a.ts', `const r = require('../ring-buffer/index.js');`, 'sibling'],
    ['a sibling in a type', 'src/retry/a.ts', `type R = import('../ring-buffer/index.js').R;`, 'sibling'],
    ['the root', 'src/retry/a.ts', `import { retry } from '../index.js';`, 'nothing imports the root'],
    ['testing', 'src/retry/a.ts', `import { manualClock } from '../testing/index.js';`, 'nothing imports testing'],
    ['the command takes internals', 'src/cli/a.ts', `import '../retry/retry.js';`, 'only its index.ts'],
    ['the root takes testing', 'src/index.ts', `export * from './testing/index.js';`, 'nothing imports testing'],
    ['the root takes internals', 'src/index.ts', `export * from './core/clock.js';`, 'index.ts files only'],
    ['testing takes internals', 'src/testing/a.ts', `import '../retry/retry.js';`, 'only its index.ts'],
    ['a package', 'src/adapters/a.ts', `import { Redis } from 'ioredis';`, 'packages only as types'],
    ['a package for its effects', 'src/adapters/a.ts', `import 'ioredis';`, 'packages only as types'],
    ['a package in part', 'src/adapters/a.ts', `import { type A, B } from 'ioredis';`, 'packages only as types'],
    ['no such file', 'src/retry/a.ts', `import './gone.js';`, 'no such file'],
    ['a file outside src', 'src/retry/a.ts', `import '../x.js';`, 'no such file'],
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

  it('does not take a text for an import', () => {
    const text = `// import 'ioredis'\n/* import '../retry/index.js' */\nexport const a = "import '../x.js'";`;
    expect(importProblems(library({ 'src/core/a.ts': text }))).toEqual([]);
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
    expect(ambientProblems([{ path: 'src/retry/a.ts', text: `\n${text}` }])).toEqual([`src/retry/a.ts:2 uses ${what}`]);
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
    expect(ambientProblems([{ path: 'src/retry/a.ts', text }])).toEqual([]);
  });

  it('accepts them where they come in', () => {
    const text = 'Date.now(); performance.now(); Math.random(); setTimeout(f, 1); setInterval(f, 1);';
    const files = ['clock', 'timers', 'random'].map((name) => ({ path: `src/core/${name}.ts`, text }));
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
