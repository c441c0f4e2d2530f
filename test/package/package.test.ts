import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_FILE, apiOfPackage } from '../../scripts/api.js';
import { subpaths } from '../../scripts/subpaths.js';
import { importsOf } from '../architecture/imports.js';
import { parse, place, type Source, walk } from '../architecture/source.js';
import { type Packed, packAndInstall, ROOT } from './packed.js';

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const folders = Object.keys(subpaths(ROOT));

/** Everything that has a value at run time, by subpath: what is added or taken away here is a change of the API. */
const CORE = [
  'AbortScope',
  'RejectedError',
  'TimeoutError',
  'defaultClassify',
  'derive',
  'deriveAbortable',
  'hostClock',
  'isRejected',
  'isTimeout',
  'keyed',
  'onAbort',
  'pipeline',
  'runGate',
  'systemClock',
  'waitUntil',
  'workPermits',
];
const RETRY = [
  'decorrelatedBackoff',
  'defaultRetryOn',
  'earlierErrors',
  'exponentialBackoff',
  'failover',
  'fallback',
  'hedge',
  'ratioBudget',
  'retry',
  'retryAfterOf',
  'retryWindow',
  'tokenBudget',
];
const RING = ['createRing', 'ringReader', 'ringWriter'];
const API: Record<string, string[]> = {
  evenkeel: [
    ...CORE,
    ...RETRY,
    ...RING,
    'balancer',
    'checkpoint',
    'circuitBreaker',
    'concurrencyLimiter',
    'deadline',
    'deadlineFrom',
    'deadlineHeaders',
    'dynamicTimeout',
    'formatGrpcTimeout',
    'keyedRateLimiter',
    'levelOf',
    'parseGrpcTimeout',
    'processLoad',
    'rateLimitHeaders',
    'rateLimiter',
    'remainingMs',
    'tierFrom',
    'tierShedder',
    'standard',
  ],
  'evenkeel/core': CORE,
  'evenkeel/balancer': ['balancer'],
  'evenkeel/chaos': ['InjectedError', 'chaos', 'isInjected'],
  'evenkeel/circuit-breaker': ['circuitBreaker'],
  'evenkeel/concurrency-limiter': ['concurrencyLimiter', 'processLoad'],
  'evenkeel/deadline': [
    'checkpoint',
    'deadline',
    'deadlineFrom',
    'deadlineHeaders',
    'formatGrpcTimeout',
    'parseGrpcTimeout',
    'remainingMs',
  ],
  'evenkeel/dynamic-timeout': ['dynamicTimeout'],
  'evenkeel/isolation': ['MessageLostError', 'createSets', 'isMessageLost', 'serve'],
  'evenkeel/presets': ['standard'],
  'evenkeel/priority': ['levelOf', 'tierFrom', 'tierShedder'],
  'evenkeel/rate-limiter': ['keyedRateLimiter', 'rateLimitHeaders', 'rateLimiter'],
  'evenkeel/retry': RETRY,
  'evenkeel/ring-buffer': RING,
  'evenkeel/testing': [
    'boundedAmplification',
    'clockSteps',
    'compareReports',
    'eventTraces',
    'isBackendError',
    'loadShapes',
    'manualClock',
    'neverMoreThan',
    'outcomeStreams',
    'permitsConserved',
    'recoversWithin',
    'seededRandom',
    'simulate',
  ],
};
const SUBPATHS = Object.keys(API);

let packed: Packed;
beforeAll(() => {
  packed = packAndInstall();
}, 120_000);
afterAll(() => packed?.remove());

const installed = (path: string): string => join(packed.folder, 'node_modules/evenkeel', path);

/** The built files whose name ends in one of `ends`. */
function built(...ends: string[]): Source[] {
  return packed.files
    .filter((path) => ends.some((end) => path.endsWith(end)))
    .map((path) => ({ path, text: readFileSync(installed(path), 'utf8') }));
}

/** Runs `code` as the consumer's file `name` and gives what it printed as JSON. */
function run(name: string, code: string): unknown {
  writeFileSync(join(packed.folder, name), code);
  return JSON.parse(execFileSync(process.execPath, [name], { cwd: packed.folder, encoding: 'utf8' }));
}

/** The same code by `import` and by `require`: `load(subpath)` gives the module. */
const FORMATS: [string, (code: string) => unknown][] = [
  ['import', (code) => run('run.mjs', `const load = (path) => import(path);\n${code}`)],
  ['require', (code) => run('run.cjs', `const load = require;\n(async () => {\n${code}\n})();`)],
];

describe('package.json', () => {
  it('exports each folder of a room of src that has an index.ts, types first', () => {
    const entry = (name: string): object => ({
      import: { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` },
      require: { types: `./dist/${name}.d.cts`, default: `./dist/${name}.cjs` },
    });
    const expected = {
      '.': entry('index'),
      ...Object.fromEntries(folders.map((folder) => [`./${folder}`, entry(folder)])),
      './package.json': './package.json',
    };
    expect(manifest.exports).toEqual(expected);
    const branches = Object.values(manifest.exports).flatMap((one) => (typeof one === 'string' ? [] : [one]));
    for (const branch of branches.flatMap((one) => Object.values(one as object))) {
      expect(Object.keys(branch)).toEqual(['types', 'default']);
    }
  });

  it('has nothing to install or to run with it', () => {
    for (const field of ['dependencies', 'optionalDependencies']) expect(manifest).not.toHaveProperty(field);
    expect(Object.keys(manifest.peerDependencies)).toEqual(['fast-check']);
    expect(manifest.peerDependenciesMeta).toEqual({ 'fast-check': { optional: true } });
    expect(Object.keys(manifest.scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name))).toEqual([]);
    expect(manifest.sideEffects).toBe(false);
  });
});

describe('the tarball', () => {
  it('holds what is built and the papers, nothing else', () => {
    const allowed = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/[\w-]+\.(js|cjs|d\.ts|d\.cts))$/;
    expect(packed.files.filter((path) => !allowed.test(path))).toEqual([]);
    expect(packed.files).toEqual(expect.arrayContaining(['LICENSE', 'CHANGELOG.md', 'README.md', 'dist/index.js']));
  });

  it('keeps `?.` and `??` in CommonJS, which tsup alone would turn into chains of closures', () => {
    expect(built('.cjs').filter(({ text }) => /_optionalChain|_nullishCoalesce/.test(text))).toEqual([]);
  });

  it('has no types of `any` in what it declares', () => {
    const declared = built('.d.ts', '.d.cts');
    expect(declared.length).toBeGreaterThan(0);
    expect(declared.flatMap(anyTypes)).toEqual([]);
  });

  it('finds `any` where there is one', () => {
    const text = `/** any */\nexport declare const any: 'any';\nexport declare function f(a: any[]): void;`;
    expect(anyTypes({ path: 'a.d.ts', text })).toEqual(['a.d.ts:3']);
  });

  it('declares the types of the file in api/, which `npm run build && npm run api` writes', { timeout: 60_000 }, () => {
    expect(apiOfPackage(installed(''))).toBe(readFileSync(join(ROOT, API_FILE), 'utf8'));
  });

  it('imports only its own files, also in its types', () => {
    const files = built('.js', '.cjs', '.d.ts', '.d.cts');
    const imports = files.flatMap(importsOf);
    expect(imports.length).toBeGreaterThan(files.length);
    const elsewhere = imports.filter(({ from, specifier }) => {
      // Only where threads are what it is about.
      // Of its types only, an optional peer; that consumers without it compile is tested below.
      if (specifier === 'fast-check') return !/^dist\/testing\.d\.c?ts$/.test(from);
      if (specifier === 'node:worker_threads') return !from.includes('isolation');
      // The command reads and writes files.
      if (specifier.startsWith('node:')) return !from.startsWith('dist/cli.');
      if (!specifier.startsWith('./')) return true;
      const path = posix.join(posix.dirname(from), specifier);
      // Types are imported by the name of the file that they describe.
      return !packed.files.includes(from.includes('.d.') ? path.replace(/\.(c?)js$/, '.d.$1ts') : path);
    });
    expect(elsewhere).toEqual([]);
  });
});

function anyTypes(source: Source): string[] {
  const file = parse(source);
  const found: string[] = [];
  walk(file, (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(place(file, node));
  });
  return found;
}

describe.each(FORMATS)('by %s', (_, execute) => {
  it('each subpath has its names', () => {
    const names = execute(`
      const found = {};
      for (const path of ${JSON.stringify(SUBPATHS)}) {
        found[path] = Object.keys(await load(path)).filter((name) => name !== 'default').sort();
      }
      console.log(JSON.stringify(found));
    `);
    expect(names).toEqual(Object.fromEntries(SUBPATHS.map((path) => [path, [...(API[path] ?? [])].sort()])));
  });

  it('workers of a set have the library, whichever way they load it', () => {
    writeFileSync(
      join(packed.folder, 'work.mjs'),
      `import { serve } from 'evenkeel/isolation'; serve((bytes) => bytes);`,
    );
    writeFileSync(join(packed.folder, 'work.cjs'), `require('evenkeel/isolation').serve((bytes) => bytes);`);
    const answers = execute(`
      const { createSets } = await load('evenkeel/isolation');
      const answers = [];
      for (const worker of ['./work.mjs', './work.cjs']) {
        const sets = createSets({ worker, sets: 1, route: () => 0 });
        answers.push([...(await sets.call(Uint8Array.of(1, 2, 3)))]);
        await sets.close();
      }
      console.log(JSON.stringify(answers));
    `);
    expect(answers).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it('all subpaths share one core', () => {
    const shared = execute(`
      const all = await load('evenkeel');
      const core = await load('evenkeel/core');
      const { circuitBreaker } = await load('evenkeel/circuit-breaker');
      const { dynamicTimeout } = await load('evenkeel/dynamic-timeout');
      const { manualClock } = await load('evenkeel/testing');
      const clock = manualClock();
      const guarded = all.pipeline(
        circuitBreaker({ clock, minRequests: 1 }),
        { name: 'own', run: (ctx, next) => next(core.derive(ctx, { attempt: 7 })) },
        dynamicTimeout({ limitMs: 10, maxMs: 100, clock }),
      );
      const attempt = await guarded.execute((ctx) => ctx.attempt);
      const hung = guarded.execute(() => new Promise(() => {})).catch((error) => error);
      await clock.advance(100);
      const timeout = await hung;
      let refusal;
      for (let i = 0; i < 100 && !all.isRejected(refusal); i++) {
        refusal = await guarded.execute(() => Promise.reject(new Error('down'))).catch((error) => error);
      }
      console.log(JSON.stringify({
        sameNames: Object.keys(core).every((name) => name === 'default' || core[name] === all[name]),
        attempt,
        timeout: timeout instanceof core.TimeoutError,
        refusal: refusal instanceof core.RejectedError,
      }));
    `);
    expect(shared).toEqual({ sameNames: true, attempt: 7, timeout: true, refusal: true });
  });
});

it('the two formats know each other’s contexts and errors, though their classes differ', () => {
  const mixed = run(
    'mixed.mjs',
    `import { createRequire } from 'node:module';
    import * as esm from 'evenkeel';
    import { manualClock } from 'evenkeel/testing';
    const cjs = createRequire(import.meta.url)('evenkeel');
    const clock = manualClock();
    let attempt;
    const guarded = esm.pipeline(
      { name: 'own', run: (ctx, next) => next(cjs.derive(ctx, { attempt: 7 })) },
      cjs.dynamicTimeout({ limitMs: 10, maxMs: 100, clock }),
      esm.circuitBreaker({ clock }),
    );
    const hung = guarded.execute((ctx) => {
      attempt = ctx.attempt;
      return new Promise(() => {});
    }).catch((error) => error);
    await clock.advance(100);
    const timedOut = esm.isTimeout(await hung);
    console.log(JSON.stringify({ attempt, timedOut, differ: esm.TimeoutError !== cjs.TimeoutError }));`,
  );
  expect(mixed).toEqual({ attempt: 7, timedOut: true, differ: true });
});

describe('a TypeScript consumer', () => {
  /** What TypeScript says about `files` of the consumer. */
  function complaints(files: Record<string, string>, options: ts.CompilerOptions): string[] {
    const paths = Object.entries(files).map(([name, text]) => {
      const path = join(packed.folder, name);
      writeFileSync(path, text);
      return path;
    });
    const program = ts.createProgram(paths, {
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      ...options,
    });
    const messages = ts.getPreEmitDiagnostics(program);
    return messages.map((one) => `${one.file?.fileName}: ${ts.flattenDiagnosticMessageText(one.messageText, '\n')}`);
  }

  const CODE = `
    import * as root from 'evenkeel';
    import { type Context, isRejected, type Pipeline, pipeline } from 'evenkeel/core';
    import { circuitBreaker } from 'evenkeel/circuit-breaker';
    import { dynamicTimeout } from 'evenkeel/dynamic-timeout';
    import { type ManualClock, manualClock } from 'evenkeel/testing';
    interface Mine extends Context { readonly user: string }
    const clock: ManualClock = manualClock();
    const policies = [circuitBreaker({ clock }), dynamicTimeout({ limitMs: 10, maxMs: 100, clock })] as const;
    const guarded: Pipeline = pipeline(...policies);
    export const length: Promise<number> = guarded.execute(async (ctx) => ctx.attempt + 1);
    export const rejected = (error: unknown): string => (isRejected(error) ? error.reason : 'none');
    export const mine = pipeline<Mine>(root.circuitBreaker()).execute((ctx) => ctx.user, { user: 'a' });
    // @ts-expect-error a number
    export const wrong: Promise<string> = guarded.execute(async (ctx) => ctx.attempt);
    // @ts-expect-error no such option
    circuitBreaker({ kk: 2 });
    // @ts-expect-error has no such export
    root.nothing;
  `;

  it('compiles as ES module and as CommonJS under node16', { timeout: 60_000 }, () => {
    const options = { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 };
    expect(complaints({ 'consumer.mts': CODE, 'consumer.cts': CODE }, options)).toEqual([]);
  });

  it('compiles under bundler', { timeout: 60_000 }, () => {
    const options = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
    expect(complaints({ 'consumer.ts': CODE }, options)).toEqual([]);
    expect(
      complaints({ 'wrong.ts': `import { a } from 'evenkeel/gone'; export const b: string = 1;` }, options),
    ).toHaveLength(2);
  });
});

describe('the command', () => {
  const SCENARIO = `
    import { circuitBreaker, pipeline } from 'evenkeel';
    const load = { arrivals: 'constant', ratePerSecond: 100 };
    export const bare = { seed: 1, durationMs: 5_000, load, backend: { serviceTimeMs: 20, queue: 10 } };
    const client = { pipeline: ({ clock, random }) => pipeline(circuitBreaker({ clock, random, k: 1.1 })) };
    export default { ...bare, name: 'guarded', client };
    export const expectations = { refusedBy: { circuit_open: { min: 100 } } };
    export const bareExpectations = { goodputRatio: { min: 0.9 } };`;

  /** Runs the installed command in the consumer's folder. */
  function command(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const bin = join(packed.folder, 'node_modules/.bin/evenkeel');
    const { status, stdout, stderr } = spawnSync(bin, args, { cwd: packed.folder, encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  beforeAll(() => writeFileSync(join(packed.folder, 'scenario.mjs'), SCENARIO));

  it('simulates: a table, a picture, figures, and the bounds of the file', () => {
    const good = command('simulate', 'scenario.mjs', '--svg', 'out.svg', '--json', 'out.json');
    expect(good).toEqual({ status: 0, stdout: expect.stringMatching(/guarded\noffered +499\n/), stderr: '' });
    expect(good.stdout).toMatch(/ {2}circuit_open +\d+\n[\s\S]*All as expected\.\n$/);
    expect(readFileSync(join(packed.folder, 'out.svg'), 'utf8')).toMatch(/^<svg /);
    expect(JSON.parse(readFileSync(join(packed.folder, 'out.json'), 'utf8'))).toMatchObject({
      seed: 1,
      name: 'guarded',
    });
    const bad = command('simulate', 'scenario.mjs#bare');
    expect([bad.status, bad.stderr]).toEqual([
      1,
      expect.stringMatching(/Not as expected: [\s\S]*goodputRatio .* got 0\.499/),
    ]);
  });

  it('compares', () => {
    const { status, stdout } = command(
      'compare',
      'scenario.mjs#bare',
      'scenario.mjs',
      '--svg',
      'both.svg',
      '--seed',
      '7',
    );
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^ +scenario\.mjs#bare +scenario\.mjs\n/)]);
    expect(readFileSync(join(packed.folder, 'both.svg'), 'utf8')).toContain('seed 7');
  });

  it('loads TypeScript with tsx, and says how where it is not there', () => {
    const typed = SCENARIO.replace('const load =', 'const load: object =');
    writeFileSync(join(packed.folder, 'scenario.ts'), typed);
    if (!(process.features as { typescript?: unknown }).typescript) {
      expect(command('simulate', 'scenario.ts')).toEqual({
        status: 2,
        stdout: '',
        stderr: expect.stringMatching(/^evenkeel: .*scenario\.ts is TypeScript, .*npm install -D tsx/),
      });
    }
    symlinkSync(join(ROOT, 'node_modules/tsx'), join(packed.folder, 'node_modules/tsx'));
    expect(command('simulate', 'scenario.ts')).toMatchObject({ status: 0, stderr: '' });
  });

  // The others are tests of src/cli itself.
  it('exits with 2 where it was called in a wrong way', () => {
    expect(command('play')).toEqual({
      status: 2,
      stdout: '',
      stderr: 'evenkeel: there is no command play; there are simulate and compare\n',
    });
  });
});

it('each module has a size budget', () => {
  const budgets: { import: string }[] = JSON.parse(readFileSync(join(ROOT, '.size-limit.json'), 'utf8'));
  const measured = new Set(budgets.flatMap((budget) => budget.import.match(/\w+/g) ?? []));
  const modules = folders.filter((folder) => folder !== 'core' && folder !== 'testing');
  expect(modules.filter((folder) => !API[`evenkeel/${folder}`]?.some((name) => measured.has(name)))).toEqual([]);
});
