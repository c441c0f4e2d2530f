import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { figures } from './index.js';

const folder = fileURLToPath(new URL('../../docs/figures/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, svg] of Object.entries(await figures())) {
  writeFileSync(folder + name, svg);
  console.log(`docs/figures/${name}`);
}
