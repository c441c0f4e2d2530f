import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { subpaths } from './scripts/subpaths.js';

const root = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
/** Where `.ci/run` wants the counts. */
const report = process.env.TEST_REPORT;

export default defineConfig({
  resolve: {
    alias: [
      { find: /^evenkeel$/, replacement: `${root}/src/index.ts` },
      ...Object.entries(subpaths(root)).map(([name, path]) => ({
        find: new RegExp(`^evenkeel/${name}$`),
        replacement: `${root}/${path}`,
      })),
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    typecheck: { enabled: true, include: ['test/types/**/*.test-d.ts'], tsconfig: 'test/types/tsconfig.json' },
    allowOnly: false,
    maxWorkers: 2,
    // Only to end what hangs: properties and simulations take their time on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text', 'html'],
      thresholds: { lines: 98, branches: 98 },
    },
  },
});
