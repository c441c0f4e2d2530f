/** Real processes: whether one lives while a caller waits, and ends when none does. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'tsup';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
/** A process that has not ended by then is killed, which is no exit code. */
const LIMIT_MS = 30_000;

let dir = '';

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'evenkeel-life-'));
  const entry = join(dir, 'entry.ts');
  const modules = ['src/index.ts', 'src/policies/chaos/index.ts'].map((path) => JSON.stringify(join(root, path)));
  writeFileSync(entry, modules.map((path) => `export * from ${path};\n`).join(''));
  await build({
    config: false,
    entry: { evenkeel: entry },
    outDir: dir,
    outExtension: ({ format }) => ({ js: format === 'esm' ? '.mjs' : '.cjs' }),
    format: ['esm', 'cjs'],
    target: 'node20',
    platform: 'node',
    clean: false,
    silent: true,
  });
}, 60_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const REPORT = '.catch((error) => { console.error(error); process.exitCode = 9; })';

const FORMS = {
  'CommonJS main()': {
    extension: '.cjs',
    wrap: (body: string) =>
      `const keel = require('./evenkeel.cjs');\nasync function main() {${body}}\nmain()${REPORT};`,
  },
  'ESM main()': {
    extension: '.mjs',
    wrap: (body: string) =>
      `import * as keel from './evenkeel.mjs';\nasync function main() {${body}}\nmain()${REPORT};`,
  },
  'top-level await': {
    extension: '.mjs',
    wrap: (body: string) => `import * as keel from './evenkeel.mjs';\n${body}`,
  },
};

type Form = keyof typeof FORMS;
const forms = Object.keys(FORMS) as Form[];

let scripts = 0;

interface Ended {
  /** Undefined for a process that had to be killed. */
  code: number | undefined;
  output: string;
}

function run(form: Form, body: string): Promise<Ended> {
  const { extension, wrap } = FORMS[form];
  const file = join(dir, `script-${++scripts}${extension}`);
  writeFileSync(file, wrap(body));
  return new Promise((resolve) => {
    execFile(process.execPath, [file], { timeout: LIMIT_MS }, (error, stdout) => {
      const code = error === null ? 0 : error.code;
      resolve({ code: typeof code === 'number' ? code : undefined, output: stdout.trim() });
    });
  });
}

const DEAF = '() => new Promise(() => {})';

/** A balancer whose instances are down, which counts its probes: the first is due in 20 ms. */
const PROBED = `
    let probes = 0;
    const instances = keel.balancer({
      instances: ['a', 'b'], consecutiveFailures: 1, probeIntervalMs: 20, probe: async () => { probes++; return false; },
    });
    const balanced = keel.pipeline(instances.policy());
    for (let i = 0; i < 4; i++) await balanced.execute(async () => { throw new Error('down'); }).catch(() => {});`;

/** Each prints `done` at its end, after a wait of which the process knows nothing but the library's timer. */
const WAITS: Record<string, string> = {
  'a retry’s back-off': `
    let tries = 0;
    const call = keel.pipeline(keel.retry({ backoff: () => 50 }));
    console.log(await call.execute(async () => {
      if (++tries === 1) throw new Error('the first try fails');
      return 'done';
    }));`,
  'a retry after the time that a refusal names': `
    const call = keel.pipeline(keel.retry({ maxRetries: 1 }), keel.rateLimiter({ limit: 1, windowMs: 50 }));
    await call.execute(async () => {});
    console.log(await call.execute(async () => 'done'));`,
  'a time limit on what never answers': `
    const call = keel.pipeline(keel.dynamicTimeout({ limitMs: 50, maxMs: 50 }));
    const error = await call.execute(${DEAF}).catch((error) => error);
    console.log(error.name === 'TimeoutError' ? 'done' : error);`,
  'a place in a queue': `
    const call = keel.pipeline(keel.concurrencyLimiter({
      minLimit: 1, maxLimit: 1, tierRatios: [1, 1, 1, 1], load: () => 1, queue: { maxSize: 1, maxWaitMs: 50 },
    }));
    void call.execute(${DEAF});
    const error = await call.execute(async () => {}).catch((error) => error);
    console.log(error.reason === 'concurrency_limited' ? 'done' : error);`,
  'a hedge’s delay': `
    let attempts = 0;
    const call = keel.pipeline(keel.hedge({ afterMs: 50 }));
    console.log(await call.execute(() => (++attempts === 1 ? new Promise(() => {}) : 'done')));`,
  'a delay by chaos': `
    const chaos = keel.chaos({ faults: [{ kind: 'latency', ratio: 1, delayMs: 50 }], steadyState: () => true });
    chaos.start();
    console.log(await keel.pipeline(chaos).execute(async () => 'done'));`,
  'a policy of the user’s own': `
    const wait = {
      name: 'wait',
      async run(ctx, next) {
        await new Promise((resolve) => ctx.clock.setTimer(resolve, 50));
        return next(ctx);
      },
    };
    console.log(await keel.pipeline(wait).execute(async () => 'done'));`,
  'a wait that begins while a timer is due sooner that only tidies up': `
    ${PROBED}
    const call = keel.pipeline(keel.dynamicTimeout({ limitMs: 80, maxMs: 80 }));
    for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
    const error = await call.execute(${DEAF}).catch((error) => error);
    console.log(error.name === 'TimeoutError' && probes > 0 ? 'done' : error);`,
};

describe.each(Object.entries(WAITS))('a process lives through %s', (_, body) => {
  it.each(forms)('%s', async (form) => {
    expect(await run(form, body)).toEqual({ code: 0, output: 'done' });
  });
});

/** Each has nothing left to do after `done`, but timers of a minute. */
const ENDS: Record<string, string> = {
  'a call under a time limit': `
    await keel.pipeline(keel.dynamicTimeout({ limitMs: 60_000, maxMs: 60_000 })).execute(async () => {});
    console.log('done');`,
  'many calls under time limits, some of them over several turns': `
    const call = keel.pipeline(keel.dynamicTimeout({ limitMs: 60_000, maxMs: 60_000 }));
    await Promise.all(Array.from({ length: 100 }, (_, i) => call.execute(
      () => new Promise((resolve) => (i % 2 ? setImmediate(resolve) : setTimeout(resolve, i))),
    )));
    console.log('done');`,
  'a call that its caller gave up in a back-off': `
    const controller = new AbortController();
    const call = keel.pipeline(keel.retry({ backoff: () => 60_000, maxDelayMs: 60_000 }));
    const answer = call.execute(async () => { throw new Error('fails'); }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await answer.catch(() => {});
    console.log('done');`,
  'a hedge that was not needed': `
    await keel.pipeline(keel.hedge({ afterMs: 60_000 })).execute(async () => {});
    console.log('done');`,
  'calls to a balancer that probes': `
    ${PROBED}
    await new Promise((resolve) => setTimeout(resolve, 200));
    console.log(probes > 0 ? 'done' : 'no probe');`,
  'an experiment of chaos': `
    const chaos = keel.chaos({ faults: [], steadyState: { minRequests: 1 } });
    const call = keel.pipeline(chaos.steadyState(), chaos);
    console.log(chaos.start() && (await call.execute(async () => 'done')));`,
  'a timer of the user’s own that only tidies up': `
    keel.systemClock.setTimer(() => {}, 60_000, { keepAlive: false });
    console.log('done');`,
};

describe.each(Object.entries(ENDS))('a process ends after %s', (_, body) => {
  it.each(forms)('%s', async (form) => {
    expect(await run(form, body)).toEqual({ code: 0, output: 'done' });
  });
});

/** 13: Node’s code for a top-level await that never ended. */
const UNFINISHED: [Form, number][] = [
  ['CommonJS main()', 0],
  ['ESM main()', 0],
  ['top-level await', 13],
];

describe.each([
  [
    'a back-off',
    'keel.retry({ backoff: () => 60_000, maxDelayMs: 60_000, clock })',
    "() => { throw new Error('fails'); }",
  ],
  ['a time limit', 'keel.dynamicTimeout({ limitMs: 60_000, maxMs: 60_000, clock })', DEAF],
  ['a timer by hand', '{ name: "wait", clock, run: () => new Promise((go) => clock.setTimer(go, 60_000)) }', DEAF],
])('a process does not live through %s of hostClock({ keepAlive: false })', (_, policy, fn) => {
  it.each(UNFINISHED)('%s', async (form, code) => {
    const body = `
      const clock = keel.hostClock({ keepAlive: false });
      console.log('started');
      await keel.pipeline(${policy}).execute(${fn});
      console.log('done');`;
    expect(await run(form, body)).toEqual({ code, output: 'started' });
  });
});
