import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** A file by its path from the project's root, with `/`. */
export interface Source {
  path: string;
  text: string;
}

/** Left out wherever they are: made or fetched, not written. */
const NOT_OURS = new Set(['node_modules', '.git', '.stryker-tmp', 'dist', 'coverage', 'results']);

/** All files under `folder`, which is relative to `root`. */
export function readSources(root: string, folder: string): Source[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    if (NOT_OURS.has(name)) return [];
    const path = folder === '.' ? name : `${folder}/${name}`;
    if (statSync(join(root, path)).isDirectory()) return readSources(root, path);
    return [{ path, text: readFileSync(join(root, path), 'utf8') }];
  });
}

export const parse = ({ path, text }: Source): ts.SourceFile =>
  ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);

/** Calls `visit` with each node of the tree. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

/** `path:line`, for messages. */
export function place(file: ts.SourceFile, node: ts.Node): string {
  return `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`;
}
