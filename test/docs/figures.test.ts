import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { figures } from '../../scripts/figures/index.js';
import { ROOT } from './markdown.js';

const FOLDER = join(ROOT, 'docs/figures');

it('the figures are what `npm run figures` draws', { timeout: 600_000 }, async () => {
  const drawn = await figures();
  expect(readdirSync(FOLDER).sort()).toEqual(Object.keys(drawn).sort());
  for (const [name, svg] of Object.entries(drawn))
    expect(readFileSync(join(FOLDER, name), 'utf8') === svg, `docs/figures/${name}: run npm run figures`).toBe(true);
});
