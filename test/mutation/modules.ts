import { readdirSync } from 'node:fs';

/** What Stryker changes, and which tests have to notice: the module's own, so that no other's stand in for them. */
export interface Module {
  name: string;
  /** What to change, from the root. */
  files: readonly string[];
  /** The folder of test whose tests must notice. */
  tests: string;
  /** The share of the changes that must be noticed, in percent. */
  atLeast: number;
}

const SRC = new URL('../../src/', import.meta.url);

function module(name: string, only?: readonly string[]): Module {
  const all = readdirSync(new URL(name, SRC)).filter((file) => file !== 'index.ts');
  return {
    name,
    files: (only ?? all).map((file) => `src/${name}/${file}`),
    tests: name,
    atLeast: 95,
  };
}

const ring = module('ring-buffer');
/** The steps of claiming, publishing, sleeping and waking. */
const RING_STEPS = ['src/ring-buffer/protocol.ts', 'src/ring-buffer/waiting.ts'];

export const MODULES: readonly Module[] = [
  module('core'),
  module('circuit-breaker'),
  module('dynamic-timeout'),
  module('rate-limiter'),
  module('concurrency-limiter'),
  module('deadline'),
  module('priority'),
  module('retry'),
  module('balancer'),
  { ...ring, files: ring.files.filter((file) => !RING_STEPS.includes(file)) },
  { ...ring, name: 'ring-buffer-steps', files: RING_STEPS, atLeast: 100 },
  // What the host decides; what runs in a worker is out of Stryker's reach.
  module('isolation', ['call.ts', 'ledger.ts', 'sets.ts', 'worker-set.ts', 'worker-slot.ts']),
];

/** Tests that say nothing of a change in src, or that take many seconds. */
const LEFT_OUT = [
  'conservation.test.ts',
  'example.test.ts',
  // In processes of their own, which Stryker's changes do not reach.
  'exit.test.ts',
  // This, sets and workers start threads, which takes its time; isolation/host.test.ts plays them.
  'messages.test.ts',
  'million.test.ts',
  'overload.test.ts',
  'real-traffic.test.ts',
  'recovery.test.ts',
  'sets.test.ts',
  'saturation.test.ts',
  'threads.test.ts',
  'workers.test.ts',
];

export function testsOf({ tests }: Module): string[] {
  const own = readdirSync(new URL(`../${tests}`, import.meta.url)).filter(
    (file) => file.endsWith('.test.ts') && !LEFT_OUT.includes(file),
  );
  return [...own.map((file) => `test/${tests}/${file}`), 'test/bad-input.test.ts'];
}
