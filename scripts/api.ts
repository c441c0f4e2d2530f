/**
 * `npm run api`: writes `api/evenkeel.api.txt`, the package's public types as the built declarations have them: each
 * subpath's names, then each declaration once, sorted, without comments. A change of it is a change of the API, and shows
 * in a diff; a test refuses a file that is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

export const API_FILE = 'api/evenkeel.api.txt';

/** What the bundler adds to the name of one of two types that are called the same. */
const RENAMED = /\b([A-Za-z_]\w*)\$\d+\b/g;

const HEAD = `Public types of evenkeel, by \`npm run api\`. Not to be edited by hand.`;

class Surface {
  readonly #folder: string;
  readonly #program: ts.Program;
  readonly #checker: ts.TypeChecker;
  readonly #printer = ts.createPrinter({ removeComments: true });

  constructor(folder: string, files: readonly string[]) {
    this.#folder = folder;
    this.#program = ts.createProgram(files, {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      strict: true,
      exactOptionalPropertyTypes: true,
      types: [],
      noEmit: true,
    });
    this.#checker = this.#program.getTypeChecker();
  }

  /** What a file exports, by name. */
  exportsOf(file: string): Map<string, ts.Symbol> {
    const source = this.#program.getSourceFile(file);
    const module = source && this.#checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${file} is missing or exports nothing`);
    const all = this.#checker.getExportsOfModule(module).map((one): [string, ts.Symbol] => [one.name, this.#real(one)]);
    return new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #real(symbol: ts.Symbol): ts.Symbol {
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
  }

  /** Its declarations in this package; `declare const` whole. */
  #declarations(symbol: ts.Symbol): ts.Node[] {
    return (symbol.declarations ?? [])
      .filter((one) => one.getSourceFile().fileName.startsWith(this.#folder))
      .map((one) => (ts.isVariableDeclaration(one) ? one.parent.parent : one))
      .filter((one) => ts.isStatement(one));
  }

  textOf(symbol: ts.Symbol): string {
    const text = this.#declarations(symbol)
      .map((one) => this.#printer.printNode(ts.EmitHint.Unspecified, one, one.getSourceFile()))
      .join('\n');
    return text
      .replace(RENAMED, '$1')
      .replace(/^(export |declare )+/gm, '')
      .replace(/^( {4})+/gm, (indent) => ' '.repeat(indent.length / 2));
  }

  /** What is declared in this package and named by `symbols`, or by what they name, and is none of them. */
  namedBy(symbols: ReadonlySet<ts.Symbol>): ts.Symbol[] {
    const found = new Set(symbols);
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node)) {
        const symbol = this.#checker.getSymbolAtLocation(node);
        const real = symbol && this.#real(symbol);
        if (real !== undefined && this.#declarations(real).length > 0) found.add(real);
      }
      ts.forEachChild(node, visit);
    };
    // A set goes on to what is added on the way.
    for (const symbol of found) for (const declaration of this.#declarations(symbol)) visit(declaration);
    return [...found].filter((one) => !symbols.has(one));
  }
}

/** @param entries the subpaths and their declaration files, in `folder` with all that they import */
export function apiText(folder: string, entries: Readonly<Record<string, string>>): string {
  const surface = new Surface(folder, Object.values(entries));
  const exported = new Map<ts.Symbol, string>();
  const subpaths = Object.keys(entries).sort();
  const lists = subpaths.map((subpath) => {
    const names = surface.exportsOf(entries[subpath] as string);
    for (const [name, symbol] of names) exported.set(symbol, name);
    return `## ${subpath}\n\n${[...names.keys()].join('\n')}\n`;
  });
  const section = (named: Iterable<[ts.Symbol, string]>): string => {
    const nameByText = new Map(
      [...named].map(([symbol, name]) => [surface.textOf(symbol), name.replace(RENAMED, '$1')]),
    );
    return [...nameByText]
      .sort(([aText, a], [bText, b]) => (a < b ? -1 : a > b ? 1 : aText < bText ? -1 : 1))
      .map(([text]) => `${text}\n`)
      .join('\n');
  };
  const others = surface.namedBy(new Set(exported.keys())).map((one): [ts.Symbol, string] => [one, one.name]);
  return [HEAD, ...lists, '# Declarations', section(exported), '# Not exported, named by those', section(others)].join(
    '\n\n',
  );
}

/** The same of a package's folder, by its `exports`. */
export function apiOfPackage(folder: string): string {
  const { name, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    exports: Record<string, { import: { types: string } } | string>;
  };
  const entries = Object.entries(exports).flatMap(([subpath, target]): [string, string][] =>
    typeof target === 'string' ? [] : [[join(name, subpath), join(folder, target.import.types)]],
  );
  return apiText(join(folder, 'dist'), Object.fromEntries(entries));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = join(import.meta.dirname, '..');
  writeFileSync(join(root, API_FILE), apiOfPackage(root));
}
