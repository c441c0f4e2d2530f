/** The command from within; that the packed one runs is a test of the package. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../src/cli/run.js';

const SCENARIOS = relative(process.cwd(), join(import.meta.dirname, 'scenarios.mjs'));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file of the user's and gives its path. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const out: string[] = [];
const err: string[] = [];
beforeEach(() => {
  out.length = err.length = 0;
  vi.spyOn(console, 'log').mockImplementation((text) => void out.push(String(text)));
  vi.spyOn(console, 'error').mockImplementation((text) => void err.push(String(text)));
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** What the command with these arguments does. */
async function command(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const exitCode = await run(args);
  return { exitCode, stdout: out.splice(0).join('\n'), stderr: err.splice(0).join('\n') };
}

const onEnd: (() => void)[] = [];
afterEach(() => {
  for (const end of onEnd.splice(0)) end();
});

describe('simulate', () => {
  it('gives the totals, and fails where a bound of the file is broken', async () => {
    const good = await command('simulate', SCENARIOS);
    expect(good).toEqual({ exitCode: 0, stdout: expect.stringMatching(/guarded\noffered +499\n/), stderr: '' });
    expect(good.stdout).toMatch(/\n {2}circuit_open +\d+\n[\s\S]*\n\nAll as expected\.$/);
    const bad = await command('simulate', `${SCENARIOS}#bare`);
    expect(bad).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^\nNot as expected: [\s\S]*goodputRatio .* wanted ≥ 0\.9, got 0\.499/),
    });
    expect(bad.stdout).not.toContain('as expected');
  });

  it('without bounds only tells', async () => {
    const { exitCode, stdout } = await command('simulate', `${SCENARIOS}#free`);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/\n\nNo bounds to check\.$/)]);
  });

  it('writes a picture and figures, of another seed if asked to', async () => {
    const [svg, json] = [join(folder, 'out.svg'), join(folder, 'out.json')];
    await command('simulate', SCENARIOS, '--svg', svg, '--json', json, '--seed', '7');
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [\s\S]*Seed 7\./);
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({ name: 'guarded', seed: 7 });
  });

  it('says which file is wrong, and in which line where it is code that throws', async () => {
    expect(await command('simulate', `${SCENARIOS}#wrong`)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `evenkeel: ${SCENARIOS}#wrong: simulate: durationMs must be a finite number > 0, got -1`,
    });
    const bounds = await command('simulate', `${SCENARIOS}#odd`);
    expect(bounds.exitCode).toBe(1);
    expect(bounds.stderr).toMatch(
      /^evenkeel: .*scenarios\.mjs#odd: report\.assert:[\s\S]*goodputRatio: unknown field least/,
    );
    const throwing = await command('simulate', `${SCENARIOS}#throwing`);
    expect(throwing.exitCode).toBe(1);
    expect(throwing.stderr).toMatch(
      /^evenkeel: .*scenarios\.mjs#throwing: Error: no pipeline today\n +at .*scenarios\.mjs/,
    );
    expect(throwing.stderr).not.toMatch(/node:internal|node_modules/);
  });

  it('says which file cannot be loaded, and why', async () => {
    const throwing = file('throwing.mjs', '\nexport default { seed: nothing };');
    const thrown = await command('simulate', throwing);
    expect([thrown.exitCode, thrown.stderr]).toEqual([
      1,
      expect.stringMatching(/^evenkeel: .*throwing\.mjs: .*nothing is not/),
    ]);
    expect(thrown.stderr).toMatch(/throwing\.mjs:2:/);
    const text = file('text.mjs', "throw 'a text';");
    expect(await command('simulate', text)).toMatchObject({ exitCode: 1, stderr: `evenkeel: ${text}: 'a text'` });
  });

  it('notices before the run that nothing can be written', async () => {
    for (const option of ['--svg', '--json'])
      for (const [path, reason] of [
        ['gone/out', 'ENOENT'],
        [folder, 'it is a folder'],
      ] as const)
        for (const files of [
          ['simulate', SCENARIOS],
          ['compare', SCENARIOS, `${SCENARIOS}#bare`],
        ])
          expect(await command(...files, option, path)).toEqual({
            exitCode: 2,
            stdout: '',
            stderr: expect.stringContaining(`evenkeel: cannot write ${path}: ${reason}`),
          });
  });

  it('says how far it is to somebody who looks, and wipes that away', async () => {
    const { stderr } = process;
    const { isTTY } = stderr;
    const written: string[] = [];
    vi.spyOn(stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    onEnd.push(() => {
      stderr.isTTY = isTTY;
    });
    stderr.isTTY = true;
    await run(['simulate', SCENARIOS]);
    expect(written[0]).toMatch(/^\r.*scenarios\.mjs: \d+ %$/);
    expect(written.at(-2)).toBe(`\r${SCENARIOS}: 100 %`);
    expect(written.at(-1)).toBe('\r\x1b[K');
    await run(['simulate', `${SCENARIOS}#wrong`]);
    expect(written.at(-1)).toBe('\r\x1b[K');
    written.length = 0;
    stderr.isTTY = false;
    await run(['simulate', SCENARIOS]);
    expect(written).toEqual([]);
  });
});

it('compare puts runs side by side, and writes them by their names', async () => {
  const [svg, json] = [join(folder, 'both.svg'), join(folder, 'both.json')];
  const names = [`${SCENARIOS}#bare`, SCENARIOS];
  const { exitCode, stdout } = await command('compare', ...names, '--seed', '7', '--svg', svg, '--json', json);
  expect(exitCode).toBe(0);
  expect(stdout.split('\n')[0]?.trim().split(/ +/)).toEqual(names);
  expect(readFileSync(svg, 'utf8')).toContain('seed 7');
  const both = JSON.parse(readFileSync(json, 'utf8'));
  expect([Object.keys(both), both[SCENARIOS]]).toEqual([names, expect.objectContaining({ name: 'guarded', seed: 7 })]);
});

describe('a TypeScript file', () => {
  /** Whether this host reads TypeScript, until the test is over. */
  function hostReadsTypeScript(typescript: string | false): void {
    vi.stubGlobal('process', Object.create(process, { features: { value: { ...process.features, typescript } } }));
  }
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  const TYPED = `export default { seed: 1, durationMs: 1_000 as number, load: { arrivals: 'constant', ratePerSecond: 10 },
    backend: { serviceTimeMs: 20 } };`;

  it('is read by the host where that can', async () => {
    hostReadsTypeScript('strip');
    expect(await command('simulate', file('alone/scenario.ts', TYPED))).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('is read by the tsx that is installed beside it, else the user is told how', async () => {
    hostReadsTypeScript(false);
    const path = file('typed/scenario.ts', TYPED);
    expect(await command('simulate', path)).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringMatching(/^evenkeel: .*scenario\.ts is TypeScript, .*npm install -D tsx/),
    });
    file('typed/node_modules/tsx/package.json', '{ "name": "tsx", "exports": "./loader.mjs" }');
    file('typed/node_modules/tsx/loader.mjs', 'globalThis.tsxWasLoaded = true;');
    expect(await command('simulate', path)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(globalThis).toHaveProperty('tsxWasLoaded', true);
  });
});

// What imports in here is not Node itself.
describe('in a process of its own', () => {
  /** With the hooks for modules alone, so that the command itself has to bring those for CommonJS. */
  function evenkeel(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const main = join(import.meta.dirname, '../../src/cli/main.ts');
    const tsx = import.meta.resolve('tsx/esm');
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', tsx, main, ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { status, stdout, stderr };
  }

  const SCENARIO = `{ seed: 1, durationMs: 1_000, load: { arrivals: 'constant', ratePerSecond: 10 },
    backend: { serviceTimeMs: 20 } }`;

  it('reads TypeScript in a package that is not of type module, with the real tsx', () => {
    file('plain/package.json', '{ "type": "commonjs" }');
    mkdirSync(join(folder, 'plain/node_modules'), { recursive: true });
    symlinkSync(
      join(import.meta.dirname, '../../node_modules/tsx'),
      join(folder, 'plain/node_modules/tsx'),
      'junction',
    );
    const scenario = SCENARIO.replace('1_000', '1_000 as number');
    file(
      'plain/scenario.ts',
      `export default ${scenario};
      export const expectations: object = { offered: { min: 1 } };
      export const bare = ${scenario};`,
    );
    const good = { status: 0, stdout: expect.stringMatching(/\n\nAll as expected\.\n$/), stderr: '' };
    expect(evenkeel('simulate', 'plain/scenario.ts')).toEqual(good);
    expect(evenkeel('simulate', 'plain/scenario.ts#bare')).toMatchObject({ status: 0, stderr: '' });
  });

  it.each([
    ['exports.default = $; exports.expectations = { goodput: { min: 1 } };', '', 'All as expected.\n'],
    ['module.exports = $;', '', 'No bounds to check.\n'],
    ['module.exports = { bare: $, bareExpectations: { goodput: { min: 1 } } };', '#bare', 'All as expected.\n'],
  ])('reads CommonJS: %s', (text, name, said) => {
    file('common.cjs', text.replace('$', SCENARIO));
    expect(evenkeel('simulate', `common.cjs${name}`)).toEqual({
      status: 0,
      stdout: expect.stringMatching(new RegExp(`\n\n${said}$`)),
      stderr: '',
    });
  });

  it('takes a # in the name of a folder for what it is', () => {
    file('d#1/a.mjs', `export const bare = ${SCENARIO};`);
    expect(evenkeel('simulate', 'd#1/a.mjs#bare')).toMatchObject({ status: 0, stderr: '' });
    expect(evenkeel('simulate', 'd#1/a.mjs').stderr).toBe(
      'evenkeel: d#1/a.mjs has no scenario as its default export; it exports bare\n',
    );
  });

  it('tells the line of a syntax error, and what to do about a module that is taken for CommonJS', () => {
    file('wrong.mjs', 'export const a = 1;\nexport default { seed: 1, ;');
    expect(evenkeel('simulate', 'wrong.mjs')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/wrong\.mjs:2\nexport default \{ seed: 1, ;\n +\^\n[\s\S]*SyntaxError/),
    });
    file('wrong.cjs', '\nexport default { seed: 1 };');
    expect(evenkeel('simulate', 'wrong.cjs')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /evenkeel: wrong\.cjs: .*wrong\.cjs:2\n[\s\S]*SyntaxError: .*\n.*\.mts or \.mjs, or put "type": "module"/,
      ),
    });
  });
});

describe('is told what is wrong, without a stack trace:', () => {
  it.each([
    [['play'], 'evenkeel: there is no command play; there are simulate and compare'],
    [['simulate'], 'evenkeel: simulate takes one file, got 0'],
    [['simulate', 'a', 'b'], 'evenkeel: simulate takes one file, got 2'],
    [['simulate', 'gone.mjs'], 'evenkeel: there is no file gone.mjs'],
    [['simulate', 'test'], 'evenkeel: there is no file test'],
    [['simulate', `${SCENARIOS}#gone`], 'has no scenario as its export gone; it exports bare, '],
    [['simulate', `${SCENARIOS}#seven`], 'has no scenario as its export seven; '],
    [['simulate', SCENARIOS, '--seed', 'x'], '--seed must be a whole number, got x'],
    [['simulate', SCENARIOS, '--svg', 'gone/out.svg'], 'evenkeel: cannot write gone/out.svg: ENOENT'],
    [['simulate', SCENARIOS, '--png', 'x'], "Unknown option '--png'"],
    [['compare', SCENARIOS], 'compare takes two to five files, got 1'],
    [['compare', SCENARIOS, 'b', SCENARIOS], `evenkeel: compare got ${SCENARIOS} twice`],
    [['compare', ...'123456'], 'compare takes two to five files, got 6'],
  ])('%j', async (args, message) => {
    expect(await command(...args)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) });
  });

  it('a file that exports nothing, or null', async () => {
    const empty = await command('simulate', file('empty.mjs', ''));
    expect(empty).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/default export; it exports nothing$/) });
    const none = await command('simulate', file('null.mjs', 'export default null;'));
    expect(none).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/default export; it exports default$/) });
  });

  it.each([[[]], [['help']], [['--help']], [['compare', '-h']]])('the usage, when asked: %j', async (args) => {
    const { exitCode, stdout } = await command(...args);
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining('evenkeel simulate <file> [options]')]);
  });
});

describe('the process', () => {
  const { argv } = process;
  afterEach(() => {
    process.argv = argv;
    process.exitCode = undefined;
  });

  it.each([
    ['the exit code of the command', 'play', 2, /^evenkeel: there is no command play/],
    [
      '1 and the error, when the scenario is wrong',
      `simulate ${SCENARIOS}#wrong`,
      1,
      /^evenkeel: .*#wrong: simulate: durationMs must be/,
    ],
  ])('has %s', async (_, line, exitCode, message) => {
    process.argv = ['node', 'evenkeel', ...line.split(' ')];
    vi.resetModules();
    await import('../../src/cli/main.js');
    while (process.exitCode === undefined) await new Promise((resolve) => setImmediate(resolve));
    expect([process.exitCode, err.join('\n')]).toEqual([exitCode, expect.stringMatching(message)]);
  });
});
