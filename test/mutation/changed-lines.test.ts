import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { changedLines } from './changed-lines.js';
import { MODULES, testsOf } from './modules.js';

const ROOT = new URL('../../', import.meta.url);

const DIFF = `diff --git a/src/core/numbers/ema.ts b/src/core/numbers/ema.ts
index 1111111..2222222 100644
--- a/src/core/numbers/ema.ts
+++ b/src/core/numbers/ema.ts
@@ -3 +3,2 @@ import
-const a = 1;
+const a = 2;
+const b = 3;
@@ -9,2 +10,0 @@ function
-gone();
-gone();
@@ -20 +19 @@ function
-x
+y
diff --git a/src/core/new.ts b/src/core/new.ts
--- /dev/null
+++ b/src/core/new.ts
@@ -0,0 +1,40 @@
`;

it('tells added and changed lines by file; removed ones are none', () => {
  expect([...changedLines(DIFF)]).toEqual([
    ['src/core/numbers/ema.ts', ['src/core/numbers/ema.ts:3-4', 'src/core/numbers/ema.ts:19-19']],
    ['src/core/new.ts', ['src/core/new.ts:1-40']],
  ]);
  expect(changedLines('')).toEqual(new Map());
});

it('every module has files to change and tests to notice', () => {
  for (const module of MODULES) {
    expect(module.files.length, module.name).toBeGreaterThan(0);
    expect(testsOf(module).length, module.name).toBeGreaterThan(1);
    for (const file of [...module.files, ...testsOf(module)]) expect(existsSync(new URL(file, ROOT)), file).toBe(true);
  }
});

it('the kernel is judged whole, with the tests of all its rooms', () => {
  const core = MODULES.find(({ name }) => name === 'core');
  expect(core).toMatchObject({ atLeast: 100 });
  expect(core?.files).toEqual(expect.arrayContaining(['src/core/errors.ts', 'src/core/numbers/ema.ts']));
  expect(core && testsOf(core)).toEqual(
    expect.arrayContaining(['test/core/errors.test.ts', 'test/core/numbers/ema.test.ts']),
  );
});
