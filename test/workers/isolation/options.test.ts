import { createSets, type SetsOptions } from 'evenkeel/isolation';
import { describe, expect, it, vi } from 'vitest';

vi.mock('node:worker_threads', async (original) => ({
  ...(await original<object>()),
  Worker: function Worker() {
    throw new Error('bad options start no worker');
  },
}));

describe('createSets', () => {
  it.each<[object, string]>([
    [{ route: undefined }, 'route must be a function, got undefined'],
    [{ worker: '' }, 'worker must be the URL of a file, as new URL(\'./worker.js\', import.meta.url), got ""'],
    [{ worker: undefined }, 'worker must be the URL of a file'],
    [{ worker: 7 }, 'worker must be the URL of a file'],
    [{ workerOptions: [] }, 'workerOptions must be an object, got an array'],
    [{ workerOptions: null }, 'workerOptions must be an object, got null'],
    [{ workerOptions: { workerData: 'x' } }, 'workerOptions.workerData must be a plain object, got "x"'],
    [{ workerOptions: { workerData: [1] } }, 'workerOptions.workerData must be a plain object, got an array'],
    [{ sets: {} }, 'sets must be a number, or an object of { workers } by name, got an object'],
    [{ sets: ['a'] }, 'sets must be a number, or an object of { workers } by name, got an array'],
    [{ sets: { a: 2 } }, 'sets.a must be an object of { workers }, got 2'],
    [{ sets: { a: { workers: 1 }, b: null } }, 'sets.b must be an object of { workers }, got null'],
    [{ sets: { a: {} } }, 'sets.a.workers must be a whole number ≥ 1 and ≤ 32, got undefined'],
    [{ sets: { a: { workers: 0 } } }, 'sets.a.workers must be a whole number ≥ 1 and ≤ 32, got 0'],
    [{ sets: { a: { workers: 1.5 } } }, 'sets.a.workers must be a whole number ≥ 1 and ≤ 32, got 1.5'],
    [{ sets: { a: { workers: 33 } } }, 'sets.a.workers must be a whole number ≥ 1 and ≤ 32, got 33'],
  ])('refuses %j', (wrong, text) => {
    const options = { worker: new URL('file:///work.mjs'), sets: 1, route: () => 0, ...wrong } as SetsOptions;
    expect(() => createSets(options)).toThrow(`createSets: ${text}`);
    expect(() => createSets(options)).toThrow(
      /got [\d.]+$/.test(text) && !text.endsWith(' 2') ? RangeError : TypeError,
    );
  });
});
