/**
 * Part of the build: the types of `evenkeel/testing` name fast-check, an optional peer. Without it a consumer that checks
 * library files would get an error for a function it does not use.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = process.argv[2] ?? 'dist';
const IMPORT = /^import .* from 'fast-check';$/m;

let found = 0;
for (const name of readdirSync(folder).filter((file) => /\.d\.c?ts$/.test(file))) {
  const text = readFileSync(`${folder}/${name}`, 'utf8');
  if (!IMPORT.test(text)) continue;
  writeFileSync(`${folder}/${name}`, text.replace(IMPORT, '// @ts-ignore: an optional peer dependency\n$&'));
  found++;
}
if (found === 0) throw new Error(`no types in ${folder} name fast-check: this script has nothing to do any more`);
