import { defineConfig } from 'tsup';
import { subpaths } from './scripts/subpaths.js';

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    cli: 'src/cli/main.ts',
    ...subpaths(),
  },
  format: ['esm', 'cjs'],
  // All subpaths of a format share one copy of the core, whose classes know each other by private fields.
  splitting: true,
  // Rollup writes the CommonJS files; without it tsup has sucrase do so, which turns each `?.` into a chain of closures.
  treeshake: true,
  dts: true,
  target: ['es2022', 'node20'],
  platform: 'neutral',
  external: [/^node:/],
  removeNodeProtocol: false,
  clean: true,
});
