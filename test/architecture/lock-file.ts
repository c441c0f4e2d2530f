import type { Source } from './source.js';

/** A host, an address or a setting; code that has a metrics registry in it is none of these. */
const REGISTRY_NAMED =
  /\bregistry\.[\w-]+\.(?:org|com|net|io|dev|cn)\b|\/\/[^\s"'`)]*registry|registry["']?\s*[=:]\s*["']?https?:/gi;

/** Where `source` names the registry that packages come from: they must install from any. */
export function registryProblems({ path, text }: Source): string[] {
  return [...text.matchAll(REGISTRY_NAMED)].map(([found]) => `${path} names a registry: ${found}`);
}

interface Entry {
  version?: string;
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}

/** What of the lock file says where a package came from, and what `npm ci` would miss in it. */
export function lockFileProblems(text: string): string[] {
  const { packages } = JSON.parse(text) as { packages: Record<string, Entry> };
  return Object.entries(packages).flatMap(([path, { resolved, optionalDependencies = {} }]) => {
    const missing = Object.keys(optionalDependencies).filter((name) => {
      const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
      return !places.some((place) => packages[place]?.version !== undefined);
    });
    return [
      ...(resolved === undefined ? [] : [`${path} says where it came from: ${resolved}`]),
      ...missing.map((name) => `${name} of ${path} is missing: run npx tsx scripts/complete-lock-file.ts`),
    ];
  });
}
