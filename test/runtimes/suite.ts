/** What of Vitest's JSON report counts here. */
export interface VitestReport {
  testResults: readonly {
    name: string;
    status: string;
    message?: string;
    assertionResults: readonly { fullName: string; status: string; failureMessages?: readonly string[] | null }[];
  }[];
}

export interface SuiteCounts {
  passed: number;
  /** Tests by name, with the first line of why; also files that could not be loaded. */
  failed: string[];
  /** Tests by name that did not run, for whatever reason. */
  skipped: string[];
}

export function countsOf({ testResults }: VitestReport): SuiteCounts {
  const counts: SuiteCounts = { passed: 0, failed: [], skipped: [] };
  for (const { name: file, status: ended, message, assertionResults } of testResults) {
    const place = file.slice(file.lastIndexOf('/test/') + 1);
    let failed = 0;
    for (const { fullName, status, failureMessages } of assertionResults) {
      const test = `${place}: ${fullName}`;
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') {
        failed++;
        counts.failed.push(`${test}: ${failureMessages?.[0]?.split('\n')[0] ?? ''}`);
      } else counts.skipped.push(test);
    }
    if (ended === 'failed' && failed === 0) counts.failed.push(`${place}: ${message?.split('\n')[0] ?? ''}`);
  }
  return counts;
}
