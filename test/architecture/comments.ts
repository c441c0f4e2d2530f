import ts from 'typescript';
import { parse, type Source, walk } from './source.js';

export const MAX_COLUMNS = 120;

/** The lines of `source` that have a comment in them and are longer than MAX_COLUMNS. */
export function longComments(source: Source): string[] {
  const lines = source.text.split('\n');
  return [...commentLines(parse(source))]
    .sort((a, b) => a - b)
    .filter((line) => (lines[line] as string).length > MAX_COLUMNS)
    .map((line) => `${source.path}:${line + 1} is ${lines[line]?.length} columns long`);
}

/** From 0 on. */
function commentLines(file: ts.SourceFile): Set<number> {
  const found = new Set<number>();
  const lineAt = (position: number): number => file.getLineAndCharacterOfPosition(position).line;
  walk(file, (node) => {
    const { text } = file;
    for (const range of [
      ...(ts.getLeadingCommentRanges(text, node.pos) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.end) ?? []),
    ]) {
      for (let line = lineAt(range.pos); line <= lineAt(range.end); line++) found.add(line);
    }
  });
  // The last token is no node that walk comes by.
  for (const range of ts.getLeadingCommentRanges(file.text, file.endOfFileToken.pos) ?? []) {
    for (let line = lineAt(range.pos); line <= lineAt(range.end); line++) found.add(line);
  }
  return found;
}
