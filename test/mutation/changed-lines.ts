/** The lines that a diff (`git diff --unified=0`) adds or changes, file by file, as Stryker wants them: `src/a.ts:3-7`. */
export function changedLines(diff: string): Map<string, string[]> {
  const changed = new Map<string, string[]>();
  let ranges: string[] = [];
  let file = '';
  for (const line of diff.split('\n')) {
    if (line.startsWith('+++ ')) {
      file = line.replace(/^\+\+\+ (b\/)?/, '');
      ranges = [];
      changed.set(file, ranges);
    }
    const hunk = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk === null) continue;
    const from = Number(hunk[1]);
    const lines = Number(hunk[2] ?? 1);
    if (lines > 0) ranges.push(`${file}:${from}-${from + lines - 1}`);
  }
  return changed;
}
