import { expect, it } from 'vitest';
import { countsOf } from './suite.js';

it('names what failed, what was skipped, and files that could not be loaded', () => {
  const report = {
    testResults: [
      {
        name: '/somewhere/test/core/a.test.ts',
        status: 'failed',
        assertionResults: [
          { fullName: 'a holds', status: 'passed' },
          { fullName: 'a breaks', status: 'failed', failureMessages: ['Error: 1 is not 2\n    at a.test.ts'] },
          { fullName: 'a waits', status: 'pending' },
          { fullName: 'a is to come', status: 'todo' },
        ],
      },
      { name: '/somewhere/test/core/b.test.ts', status: 'failed', message: 'SyntaxError: b\nat', assertionResults: [] },
      {
        name: '/somewhere/test/core/c.test.ts',
        status: 'passed',
        assertionResults: [{ fullName: 'c', status: 'passed' }],
      },
    ],
  };
  expect(countsOf(report)).toEqual({
    passed: 2,
    failed: ['test/core/a.test.ts: a breaks: Error: 1 is not 2', 'test/core/b.test.ts: SyntaxError: b'],
    skipped: ['test/core/a.test.ts: a waits', 'test/core/a.test.ts: a is to come'],
  });
});
