/**
 * The suite on other versions of Node, and a subset on other runtimes. They come as packages, into a cache in node_modules;
 * Chromium from the host. What is missing is named at the end: it was not tested.
 * `npm run test:runtimes -- bun deno` runs those, `here` is the Node that runs this; with `--subset` the versions of Node run the
 * subset only.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { subpaths } from '../../scripts/subpaths.js';
import type { SubsetResult } from './subset.js';
import { countsOf, type VitestReport } from './suite.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/runtimes');
const BINARY: Record<string, string> = { node: 'node/bin/node', workerd: 'workerd/bin/workerd' };
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'];
const LIMIT_MS = 120_000;
const SUITE_LIMIT_MS = 1_800_000;

interface Output {
  code: number;
  text: string;
}

/** Standard output and errors of a command, whatever its exit code. */
function output(command: string, args: string[], cwd: string, timeout = LIMIT_MS): Promise<Output> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout, maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1) || 1, text: `${stdout}\n${stderr}` });
    });
  });
}

/** The path of a runtime's binary, fetched if need be; undefined = the package cannot be had. */
async function fetched(spec: string): Promise<string | undefined> {
  const folder = join(CACHE, spec);
  const name = spec.split('@')[0] as string;
  const binary = join(folder, 'node_modules', BINARY[name] ?? `.bin/${name}`);
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    await output('npm', ['install', '--no-audit', '--no-fund', '--foreground-scripts', spec], folder, 600_000);
  }
  return existsSync(binary) && (await output(binary, ['--version'], ROOT)).code === 0 ? binary : undefined;
}

async function installed(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if ((await output(name, ['--version'], ROOT)).code === 0) return name;
  return undefined;
}

/** The subset as one file of its own. */
async function bundle(entry: string, folder: string): Promise<string> {
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'warn',
    resolve: {
      alias: [
        { find: /^evenkeel$/, replacement: `${ROOT}src/index.ts` },
        ...Object.entries(subpaths(ROOT)).map(([name, path]) => ({
          find: new RegExp(`^evenkeel/${name}$`),
          replacement: `${ROOT}${path}`,
        })),
      ],
    },
    build: {
      target: 'es2022',
      minify: false,
      outDir: folder,
      emptyOutDir: false,
      lib: { entry: join(ROOT, `test/runtimes/entry-${entry}.ts`), formats: ['es'], fileName: () => `${entry}.mjs` },
    },
  });
  return join(folder, `${entry}.mjs`);
}

function resultIn({ text }: Output): SubsetResult {
  const line = /^.*?RESULT (\{.*\})$/m.exec(text)?.[1];
  if (line === undefined) return { passed: 0, failed: [text.trim().slice(-1_000)], skipped: [], numbers: '' };
  return JSON.parse(line) as SubsetResult;
}

async function onWorkerd(binary: string, folder: string): Promise<SubsetResult> {
  writeFileSync(
    join(folder, 'workerd.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = (
  modules = [(name = "worker", esModule = embed "workerd.mjs")],
  compatibilityDate = "2026-01-01"))]);`,
  );
  return resultIn(await output(binary, ['test', 'workerd.capnp'], folder));
}

/** In a page of its own origin, isolated so that it may share memory. */
async function inChromium(binary: string, script: string, folder: string): Promise<SubsetResult> {
  const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  let arrived: (result: SubsetResult) => void;
  const result = new Promise<SubsetResult>((resolve) => {
    arrived = resolve;
  });
  const server = createServer(async (request, response) => {
    if (request.url === '/result') {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      response.end();
      arrived(JSON.parse(Buffer.concat(parts).toString()) as SubsetResult);
    } else if (request.url === '/subset.mjs') {
      response.writeHead(200, { ...headers, 'content-type': 'text/javascript' }).end(readFileSync(script));
    } else {
      response.writeHead(200, { ...headers, 'content-type': 'text/html' });
      response.end('<!doctype html><script type="module" src="/subset.mjs"></script>');
    }
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
  const browser = spawn(binary, [...flags, `--user-data-dir=${folder}/profile`, url], {
    stdio: 'ignore',
    detached: true,
  });
  const late = new Promise<SubsetResult>((resolve) => {
    setTimeout(resolve, LIMIT_MS, { passed: 0, failed: ['no answer from the page'], skipped: [], numbers: '' }).unref();
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    // Its whole group: the browser is several processes.
    if (browser.pid !== undefined) process.kill(-browser.pid, 'SIGKILL');
    server.closeAllConnections();
    server.close();
  }
}

const RUNTIMES = ['here', 'node@22', 'node@24', 'node@26', 'bun', 'deno', 'workerd', 'chromium'];
const USAGE = `npm run test:runtimes -- [runtime …]
  The suite on each version of Node, a subset of it elsewhere. Runtimes: ${RUNTIMES.join(', ')}.

  --subset  the subset only
`;
const { values, positionals: wanted } = readArguments(USAGE, {
  allowPositionals: true,
  options: { subset: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});
if (values.help) usageAndExit(USAGE);
const unknown = wanted.filter((name) => !RUNTIMES.includes(name));
if (unknown.length > 0) usageAndExit(USAGE, `no runtime ${unknown.join(', ')}`);
const subsetOnly = values.subset;
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
const folder = mkdtempSync(join(tmpdir(), 'evenkeel-runtimes-'));
const summary: string[] = [];
let failures = 0;

function report(name: string, { passed, failed, skipped, numbers }: SubsetResult, same: string): void {
  const wrong = [...failed, ...(numbers === same ? [] : ['a simulation comes to other numbers than here'])];
  if (wrong.length > 0) failures++;
  const notes = [...wrong.map((one) => `\n    FAILED ${one}`), ...skipped.map((one) => `\n    skipped ${one}`)];
  summary.push(
    `${name.padEnd(10)} ${passed} checks passed, numbers ${numbers === same ? 'the same' : 'differ'}${notes.join('')}`,
  );
}

/** The whole suite but for what is not about the runtime. */
async function suiteOn(name: string, binary: string): Promise<void> {
  const file = join(folder, `${name}.json`);
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--typecheck.enabled=false', '--exclude', 'test/package/**'];
  const run = await output(binary, [...args, '--reporter=json', `--outputFile=${file}`], ROOT, SUITE_LIMIT_MS);
  const line = (text: string): void => void summary.push(`${name.padEnd(10)} suite: ${text}`);
  if (!existsSync(file)) {
    failures++;
    line(`FAILED, no report: ${run.text.trim().slice(-2_000)}`);
    return;
  }
  const { passed, failed, skipped } = countsOf(JSON.parse(readFileSync(file, 'utf8')) as VitestReport);
  if (run.code !== 0 && failed.length === 0) failed.push(`exit code ${run.code}: ${run.text.trim().slice(-2_000)}`);
  if (failed.length > 0) failures++;
  const notes = [...failed.map((one) => `\n    FAILED ${one}`), ...skipped.map((one) => `\n    skipped ${one}`)];
  line(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped${notes.join('')}`);
}

function missing(name: string): void {
  summary.push(`${name.padEnd(10)} NOT TESTED: it is not here and its package cannot be had`);
}

try {
  const script = await bundle('console', folder);
  const here = resultIn(await output(process.execPath, [script], folder));
  report(`${process.version}`, here, here.numbers);

  for (const name of ['here', 'node@22', 'node@24', 'node@26'].filter(isWanted)) {
    const binary = name === 'here' ? process.execPath : await fetched(name);
    if (binary === undefined) {
      missing(name);
      continue;
    }
    if (name !== 'here') report(name, resultIn(await output(binary, [script], folder)), here.numbers);
    if (!subsetOnly) await suiteOn(name, binary);
  }
  for (const [name, runArgs] of [
    ['bun', ['run']],
    ['deno', ['run', '--no-remote', '--no-config']],
  ] as const) {
    if (!isWanted(name)) continue;
    const binary = await fetched(name);
    if (binary === undefined) missing(name);
    else report(name, resultIn(await output(binary, [...runArgs, script], folder)), here.numbers);
  }
  if (isWanted('workerd')) {
    const binary = await fetched('workerd');
    await bundle('workerd', folder);
    if (binary === undefined) missing('workerd');
    else report('workerd', await onWorkerd(binary, folder), here.numbers);
  }
  if (isWanted('chromium')) {
    const binary = await installed(CHROMIUM);
    if (binary === undefined) missing('chromium');
    else report('chromium', await inChromium(binary, await bundle('browser', folder), folder), here.numbers);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (!subsetOnly) {
  summary.push(
    'not run: test/package, as npm and the build are not of the runtime; type tests, which run in no runtime',
  );
}
console.log(`\n${summary.join('\n')}`);
process.exit(failures > 0 ? 1 : 0);
