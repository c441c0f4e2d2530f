import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';
import { parse, place, type Source, walk } from './source.js';

/** Folders whose code needs Node. Everything else also runs in browsers and edge runtimes. */
const NODE_ONLY = new Set(['isolation', 'cli']);
/** Primitives built on other primitives. */
const BUILT_ON: Record<string, readonly string[]> = { isolation: ['ring-buffer'] };
/** They stand on top of the primitives and may use all of them. */
const ON_TOP = new Set(['testing', 'adapters', 'presets', 'cli']);

export interface Import {
  from: string;
  /** As written. */
  specifier: string;
  /** Only types are taken, so that nothing of it is left at run time. */
  typeOnly: boolean;
  place: string;
}

/** Every import and re-export of `source`, also of types, `import()` and `require()`. */
export function importsOf(source: Source): Import[] {
  const file = parse(source);
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    found.push({ from: source.path, specifier: specifier.text, typeOnly, place: place(file, node) });
  };
  walk(file, (node) => {
    if (ts.isImportDeclaration(node)) {
      add(node, node.moduleSpecifier, node.importClause !== undefined && takesOnlyTypes(node.importClause));
    } else if (ts.isExportDeclaration(node)) {
      add(node, node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) {
      add(node, node.moduleReference.expression, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node, node.argument.literal, true);
    } else if (ts.isCallExpression(node)) {
      const { expression, arguments: given } = node;
      const loads =
        expression.kind === ts.SyntaxKind.ImportKeyword ||
        (ts.isIdentifier(expression) && expression.text === 'require');
      if (loads) add(node, given[0], false);
    }
  });
  return found;
}

function takesOnlyTypes(clause: ts.ImportClause): boolean {
  if (clause.isTypeOnly) return true;
  const { name, namedBindings } = clause;
  return (
    name === undefined &&
    namedBindings !== undefined &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.every((element) => element.isTypeOnly)
  );
}

/** The file that a relative import means. */
const target = ({ from, specifier }: Import): string =>
  posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts');

/** `core` of `src/core/ema.ts`; empty for `src/index.ts`. */
const folderOf = (path: string): string => path.split('/').slice(1, -1)[0] ?? '';

const isRelative = ({ specifier }: Import): boolean => specifier.startsWith('.');

/** What is wrong with one import by the table in DESIGN section 2; undefined = nothing. */
function problem(one: Import, paths: ReadonlySet<string>): string | undefined {
  const from = folderOf(one.from);
  if (!isRelative(one)) {
    if (isBuiltin(one.specifier)) return NODE_ONLY.has(from) ? undefined : 'only Node has it';
    if (from === 'core') return 'core imports nothing outside itself';
    return one.typeOnly ? undefined : 'packages only as types';
  }
  const path = target(one);
  if (!paths.has(path)) return 'there is no such file in src';
  const to = folderOf(path);
  if (to === from && from !== '') return undefined;
  const isIndex = path === `src/${to}/index.ts`;
  // The command is about the testing kit.
  if (to === 'testing') return from === 'cli' && isIndex ? undefined : 'nothing imports testing';
  if (from === '') return isIndex ? undefined : 'the root takes names of index.ts files only';
  if (from === 'core') return 'core imports nothing outside itself';
  if (to === '') return 'nothing imports the root';
  if (to === 'core' || BUILT_ON[from]?.includes(to)) return undefined;
  if (!ON_TOP.has(from)) return 'a primitive never imports a sibling';
  return isIndex ? undefined : 'of a primitive, only its index.ts';
}

/** The cycles in a graph of imports, type imports included: each once, from its first file on. */
function cycles(imports: readonly Import[]): string[] {
  const edges = new Map<string, string[]>();
  for (const one of imports) {
    if (isRelative(one)) edges.set(one.from, [...(edges.get(one.from) ?? []), target(one)]);
  }
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) {
      found.push(`${[...way.slice(way.indexOf(path)), path].join(' → ')}: a cycle`);
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}

/** Where `sources` break the import rules. */
export function importProblems(sources: readonly Source[]): string[] {
  const paths = new Set(sources.map(({ path }) => path));
  const imports = sources.flatMap(importsOf);
  const broken = imports.flatMap((one) => {
    const why = problem(one, paths);
    return why === undefined ? [] : [`${one.place} imports ${one.specifier}: ${why}`];
  });
  return [...broken, ...cycles(imports)];
}

/** Statements of `source` that are not re-exports: an index.ts is names only. */
export function indexProblems(source: Source): string[] {
  const file = parse(source);
  return file.statements
    .filter((statement) => !ts.isExportDeclaration(statement) || statement.moduleSpecifier === undefined)
    .map((statement) => `${place(file, statement)}: an index.ts only re-exports`);
}
