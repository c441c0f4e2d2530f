import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CONTROLS, isStale } from './controls.js';

// Whether each bug is caught takes a run of the suite for each: `npm run test:controls`.
it.each(CONTROLS)('can still be planted: $bug', (control) => {
  expect(isStale(control), `its text is not once in src/${control.file}: adapt test/controls/controls.ts`).toBe(false);
  for (const test of control.tests) expect(existsSync(new URL(`../${test}`, import.meta.url)), test).toBe(true);
});

it('would notice a bug that cannot be planted', () => {
  const [control] = CONTROLS;
  expect(control && isStale({ ...control, find: 'no such text' })).toBe(true);
  expect(control && isStale({ ...control, find: 'this' })).toBe(true);
});
