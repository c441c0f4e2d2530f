import { defineConfig, mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

/** What of the suite judges a mutant: all that runs the source. What packs, builds or reads the tree knows nothing of it. */
export default mergeConfig(
  config,
  defineConfig({
    test: {
      exclude: [
        'test/package/**',
        'test/bench/**',
        'test/architecture/**',
        'test/docs/**',
        'test/controls/**',
        'test/**/example.test.ts',
      ],
      typecheck: { enabled: false },
    },
  }),
);
