import { afterEach, describe, expect, it, vi } from 'vitest';
import { hostTurn } from '../../../src/core/time/turns.js';

describe('hostTurn', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each(['with', 'without'])('comes after promise chains of any depth, %s setImmediate', async (host) => {
    // A browser clamps setTimeout to 4 ms.
    vi.stubGlobal(host === 'with' ? 'setTimeout' : 'setImmediate', undefined);
    let depth = 0;
    const chain = async (): Promise<void> => {
      for (; depth < 1_000; depth++) await null;
    };
    void chain();
    await hostTurn();
    expect(depth).toBe(1_000);
  });
});
