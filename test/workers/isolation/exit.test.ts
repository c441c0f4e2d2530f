import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { builtWorker } from './build.js';

const worker = builtWorker(join(import.meta.dirname, 'work.ts'));
const lonely = builtWorker(join(import.meta.dirname, 'lonely.ts'));

const outputOf = async (what: string): Promise<string> => {
  const args = [fileURLToPath(lonely.url()), worker.url().href, what];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout.trim();
};

describe('a process with nothing else to do', () => {
  it.each([
    ['stays until its calls are answered, and ends then', 'later', 'answered'],
    ['stays while a worker is started anew, and ends then', 'restarted', 'set aside'],
    ['does not wait for a worker at a message that was given up', 'given up', 'timed out'],
    ['does not wait for the next start of a worker that does not start', 'unstarted', 'worker_lost'],
  ])(
    '%s',
    async (_, what, output) => {
      expect(await outputOf(what)).toBe(output);
    },
    30_000,
  );
});
