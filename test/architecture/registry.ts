import type { Source } from './source.js';

/** A host, an address or a setting; code that has a metrics registry in it is none of these. */
const NAMED =
  /\bregistry\.[\w-]+\.(?:org|com|net|io|dev|cn)\b|\/\/[^\s"'`)]*registry|registry["']?\s*[=:]\s*["']?https?:/gi;

/** Where `source` names the registry that packages come from: they must install from any. */
export function registryProblems({ path, text }: Source): string[] {
  const hosts = [...text.matchAll(NAMED)].map(([found]) => `${path} names a registry: ${found}`);
  if (path !== 'package-lock.json') return hosts;
  const { packages } = JSON.parse(text) as { packages: Record<string, object> };
  const resolved = Object.entries(packages).filter(([, entry]) => 'resolved' in entry);
  return [...hosts, ...resolved.map(([name]) => `${path} says where ${name} came from`)];
}
