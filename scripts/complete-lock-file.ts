/**
 * Adds the entries that npm leaves out of package-lock.json when the registry at hand lacks builds of a package for other
 * platforms: `npm ci` then refuses the file that `npm install` has just written (npm/cli issue 9846). Run after an
 * install; it changes nothing where nothing is missing.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const FILE = 'package-lock.json';
const lock: { packages: Record<string, Entry> } = JSON.parse(readFileSync(FILE, 'utf8'));

/** `@rollup/rollup-linux-arm64-musl` → linux, arm64, musl: what npm needs to skip it where it does not fit. */
function entry(name: string, version: string, dev: boolean | undefined): Entry {
  const found = name.match(/(android|darwin|freebsd|linux|openbsd|openharmony|win32)-([a-z\d]+)(?:-(gnu|musl))?/);
  if (found === null) throw new Error(`${name} is not in ${FILE}, and its name does not say which platform it is for`);
  const [, os = '', cpu = '', libc] = found;
  return {
    version,
    cpu: [cpu],
    ...(dev && { dev }),
    ...(libc !== undefined && { libc: [libc === 'musl' ? 'musl' : 'glibc'] }),
    optional: true,
    os: [os],
  };
}

const added: Record<string, Entry> = {};
for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
    if (places.some((place) => lock.packages[place]?.version !== undefined)) continue;
    added[`node_modules/${name}`] = entry(name, version, dev);
  }
}

const sorted = Object.entries({ ...lock.packages, ...added }).sort(([a], [b]) => (a < b ? -1 : 1));
if (Object.keys(added).length > 0) {
  writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
}
console.log(`${FILE}: ${Object.keys(added).length} entries added`);
