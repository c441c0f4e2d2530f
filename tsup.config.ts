import { existsSync, readdirSync } from 'node:fs';
import { defineConfig } from 'tsup';

/** Each folder of src with an index.ts is a subpath of the package. */
const modules = readdirSync('src').filter((folder) => existsSync(`src/${folder}/index.ts`));

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    cli: 'src/cli/main.ts',
    ...Object.fromEntries(modules.map((folder) => [folder, `src/${folder}/index.ts`])),
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
