import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';
import { parse, place, type Source, walk } from './source.js';

/** What a room of src may import besides itself. */
interface Row {
  /** Rooms of which it may import any file. */
  files?: readonly string[];
  /** Rooms of which it may import the index.ts. */
  index?: readonly string[];
  /** Whether its code needs Node. Everything else also runs in browsers and edge runtimes. */
  node?: true;
  /** Whether it may take types of packages. */
  packages?: true;
}

const PARTS = ['core/call', 'core/gates', 'core/numbers', 'core/options', 'core/pipeline', 'core/time'];
const CORE = ['core', ...PARTS];
const MODULES = ['core', 'policies/*', 'workers/*'];

/** Who may import whom, by room; `x/*` is each folder of x, and a row of a file counts before that of its room. */
const TABLE: Record<string, Row> = {
  'core/numbers': {},
  'core/time': { files: ['core/options'] },
  'core/options': { files: ['core', 'core/call', 'core/numbers', 'core/time'] },
  'core/call': { files: ['core', 'core/numbers', 'core/options', 'core/time'] },
  'core/pipeline': { files: ['core', 'core/call', 'core/numbers', 'core/options', 'core/time'] },
  'core/gates': { files: CORE },
  // policy.ts, verdict.ts, errors.ts, events.ts
  core: { files: ['core/call', 'core/numbers', 'core/options', 'core/time'] },
  'core/index.ts': { files: PARTS },

  'policies/retry': { files: [...CORE, 'policies/retry-budget'] },
  'policies/hedge': { files: [...CORE, 'policies/retry-budget'] },
  'policies/failover': { files: [...CORE, 'policies/retry-budget'] },
  // One subpath of the package for all of these.
  'policies/retry/index.ts': {
    files: ['policies/retry-budget', 'policies/hedge', 'policies/failover', 'policies/fallback'],
  },
  'policies/*': { files: CORE, packages: true },
  'workers/isolation': { files: CORE, index: ['workers/ring-buffer'], node: true },
  'workers/*': { files: CORE, packages: true },

  presets: { files: CORE, index: MODULES },
  telemetry: { files: CORE, index: MODULES, packages: true },
  'adapters/*': { files: CORE, index: [...MODULES, 'telemetry'], packages: true },
  'shared-limits': { files: CORE, index: MODULES, packages: true },
  testing: { files: CORE, index: [...MODULES, 'presets'], packages: true },
  // The command is about the testing kit.
  cli: { files: CORE, index: [...MODULES, 'presets', 'testing'], node: true },
  'index.ts': { index: [...MODULES, 'presets'] },
};
/** Rooms that are folders of a folder. */
const NESTED = new Set(['core', 'policies', 'workers', 'adapters']);

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

/** `policies/retry` of `src/policies/retry/retry.ts`, `core` of `src/core/policy.ts`; `index.ts` for that of src. */
function roomOf(path: string): string {
  const [first = '', second = '', ...rest] = path.split('/').slice(1);
  return rest.length > 0 && NESTED.has(first) ? `${first}/${second}` : first;
}

const isRelative = ({ specifier }: Import): boolean => specifier.startsWith('.');

const fits = (patterns: readonly string[] = [], room: string): boolean =>
  patterns.some((one) => one === room || (one.endsWith('/*') && one.slice(0, -2) === posix.dirname(room)));

/** The row for a file of `room`. */
const rowOf = (path: string, room: string): Row | undefined =>
  TABLE[path.slice('src/'.length)] ?? TABLE[room] ?? TABLE[`${posix.dirname(room)}/*`];

/** What is wrong with one import by TABLE; undefined = nothing. */
function problem(one: Import, paths: ReadonlySet<string>): string | undefined {
  const from = roomOf(one.from);
  const row = rowOf(one.from, from);
  if (row === undefined) return `${from} is no room that test/architecture/imports.ts knows`;
  if (!isRelative(one)) {
    if (isBuiltin(one.specifier)) return row.node ? undefined : 'only Node has it';
    if (row.packages === undefined) return `${from} imports no package`;
    return one.typeOnly ? undefined : 'packages only as types';
  }
  const path = target(one);
  if (!paths.has(path)) return 'there is no such file in src';
  const to = roomOf(path);
  if (to === from || fits(row.files, to)) return undefined;
  if (!fits(row.index, to)) return `${from} does not import ${to}`;
  return path === `src/${to}/index.ts` ? undefined : `of ${to} it may import the index.ts only`;
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
