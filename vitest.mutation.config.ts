import { defineConfig, mergeConfig } from 'vitest/config';
import { BaseSequencer, type Reporter, type TestSpecification, type Vitest } from 'vitest/node';
import config from './vitest.config.js';

const tookMs = new Map<string, number>();

/** The quick files first: they notice most changes, and a run ends with the first test that fails. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { cache, config } = this.ctx;
    for (const { project, moduleId } of files) {
      const now = cache.getFileTestResults(`${project.name}:${moduleId.slice(config.root.length + 1)}`)?.duration ?? 0;
      // A run that ended before this file came to its end says less.
      tookMs.set(moduleId, Math.max(now, tookMs.get(moduleId) ?? 0));
    }
    return [...files].sort((a, b) => (tookMs.get(a.moduleId) ?? 0) - (tookMs.get(b.moduleId) ?? 0));
  }
}

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
      sequence: { sequencer: QuickFirst },
      reporters: [failToLoad()],
      // What hangs is the change's doing: for Stryker a test that fails is cheaper than a run that it has to end.
      testTimeout: 5_000,
    },
  }),
);
// Not by merging, which would add them to the others.
merged.test.include = process.env.MUTATION_TESTS?.split(',') ?? merged.test.include;
export default merged;
