/** Request headers as hosts have them: fetch's `Headers`, a `Map`, or Node's plain object. */
export type HeaderSource =
  | { get(name: string): string | readonly string[] | null | undefined }
  | { readonly [name: string]: string | readonly string[] | undefined };

/**
 * The value of the header `name` (in lower case), undefined where there is none. Several are joined by commas, as HTTP
 * says and `Headers` does. Headers come from strangers: whatever they hold, this does not throw.
 */
export function headerValue(headers: HeaderSource, name: string): string | undefined {
  const value = lookUp(headers, name);
  if (typeof value === 'string') return value;
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
    ? value.join(', ')
    : undefined;
}

function lookUp(headers: HeaderSource | null | undefined, name: string): unknown {
  if (typeof headers !== 'object' || headers === null) return undefined;
  if (typeof headers.get === 'function') return headers.get(name);
  const plain = headers as Record<string, unknown>;
  if (Object.hasOwn(plain, name)) return plain[name];
  const spelled = Object.keys(plain).find((key) => key.toLowerCase() === name);
  return spelled === undefined ? undefined : plain[spelled];
}
