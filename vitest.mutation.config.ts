import { defineConfig, mergeConfig } from 'vitest/config';
import { BaseSequencer, type Reporter, type TestSpecification, type Vitest } from 'vitest/node';
import config from './vitest.config.js';

/** What takes so long hangs, which is the change's doing: a test that fails is cheaper than a run that Stryker has to end. */
const HANGS_MS = 5_000;
/** To load a file takes about as long. */
const QUICK_MS = 300;
const tookMs = new Map<string, number>();
let latest: string[] = [];
/** The quick files that have noticed a change, the latest first. */
let noticed: string[] = [];

/**
 * First the file that noticed the change before, which was next to this one; then the quick ones. A run ends with the
 * first test that fails.
 */
class LikelyFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { cache, config, projects } = this.ctx;
    const resultOf = (id: string) => cache.getFileTestResults(`:${id.slice(config.root.length + 1)}`);
    const first = latest.find((id) => resultOf(id)?.failed);
    if (first !== undefined && took(first) < QUICK_MS) noticed = [first, ...noticed.filter((id) => id !== first)];
    // In the first run nothing is changed, and coverage takes its time.
    if (latest.length > 0) for (const project of projects) project.config.testTimeout = HANGS_MS;
    latest = files.map(({ moduleId }) => moduleId);
    for (const id of latest) {
      const result = resultOf(id);
      // A run that ended before this file came to its end says less.
      if (result?.failed === false) tookMs.set(id, Math.max(result.duration, took(id)));
    }
    latest.sort((a, b) => rank(a) - rank(b) || took(a) - took(b));
    return [...files].sort((a, b) => latest.indexOf(a.moduleId) - latest.indexOf(b.moduleId));
  }
}
const took = (id: string): number => tookMs.get(id) ?? 0;
const rank = (id: string): number => (noticed.includes(id) ? noticed.indexOf(id) : noticed.length);

/** A test file that does not even load is an error of the run; Stryker would see a file without tests. */
function failToLoad(): Reporter {
  let vitest: Vitest;
  return {
    onInit: (host) => {
      vitest = host;
    },
    onTestModuleEnd: (module) => {
      for (const error of module.errors()) vitest.state.catchError(error, 'Import Error');
    },
  };
}

const merged = mergeConfig(
  config,
  defineConfig({
    test: {
      typecheck: { enabled: false },
      sequence: { sequencer: LikelyFirst },
      reporters: [failToLoad()],
    },
  }),
);
// Not by merging, which would add them to the others.
merged.test.include = process.env.MUTATION_TESTS?.split(',') ?? merged.test.include;
export default merged;
