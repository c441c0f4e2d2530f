import { defineConfig, mergeConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import config from './vitest.config.js';

/** The quick files first: they notice most changes, and a run ends with the first test that fails. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { cache, config } = this.ctx;
    const tookMs = ({ project, moduleId }: TestSpecification): number =>
      cache.getFileTestResults(`${project.name}:${moduleId.slice(config.root.length + 1)}`)?.duration ?? 0;
    return [...files].sort((a, b) => tookMs(a) - tookMs(b));
  }
}

export default mergeConfig(
  config,
  defineConfig({ test: { typecheck: { enabled: false }, sequence: { sequencer: QuickFirst } } }),
);
