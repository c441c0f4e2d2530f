import { readdirSync } from 'node:fs';

/** What Stryker changes, and which tests have to notice: the module's own, so that no other's stand in for them. */
export interface Module {
  name: string;
  /** What to change, from the root. */
  files: readonly string[];
  /** The folder of test whose tests, and those of its folders, must notice. */
  tests: string;
  /** The share of the changes that must be noticed, in percent. */
  atLeast: number;
}

const ROOT = new URL('../../', import.meta.url);

/** The files under a folder, also of folders in it, as paths from the root. */
const filesOf = (folder: string): string[] =>
  readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`);

/** @param room its folder in src and in test */
function module(room: string, only?: readonly string[]): Module {
  const all = filesOf(`src/${room}`).filter((file) => !file.endsWith('/index.ts'));
  return {
    name: room.slice(room.lastIndexOf('/') + 1),
    files: only?.map((file) => `src/${room}/${file}`) ?? all,
    tests: room,
    atLeast: 95,
  };
}

const ring = module('workers/ring-buffer');
/** The steps of claiming, publishing, sleeping and waking. */
const RING_STEPS = ['src/workers/ring-buffer/protocol.ts', 'src/workers/ring-buffer/waiting.ts'];

export const MODULES: readonly Module[] = [
  { ...module('core'), atLeast: 100 },
  module('policies/circuit-breaker'),
  module('policies/dynamic-timeout'),
  module('policies/rate-limiter'),
  module('policies/concurrency-limiter'),
  module('policies/deadline'),
  module('policies/priority'),
  module('policies/retry'),
  module('policies/retry-budget'),
  module('policies/hedge'),
  module('policies/failover'),
  module('policies/fallback'),
  module('policies/balancer'),
  { ...ring, files: ring.files.filter((file) => !RING_STEPS.includes(file)) },
  { ...ring, name: 'ring-buffer-steps', files: RING_STEPS, atLeast: 100 },
  // What the host decides; what runs in a worker is out of Stryker's reach.
  module('workers/isolation', ['call.ts', 'ledger.ts', 'sets.ts', 'worker-set.ts', 'worker-slot.ts']),
];

/** Tests that say nothing of a change in src, or that take many seconds. */
const LEFT_OUT = [
  'conservation.test.ts',
  'example.test.ts',
  // In processes of their own, which Stryker's changes do not reach.
  'exit.test.ts',
  // This, sets and workers start threads, which takes its time; the host-*.test.ts beside them play them.
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
  const own = filesOf(`test/${tests}`).filter(
    (file) => file.endsWith('.test.ts') && !LEFT_OUT.some((name) => file.endsWith(`/${name}`)),
  );
  return [...own, 'test/bad-input.test.ts'];
}
