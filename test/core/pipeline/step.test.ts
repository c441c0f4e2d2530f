/** What runs as one step. That it makes no difference is asserted by fused-and-nested. */
import { type Context, dynamicTimeout, type Policy, pipeline, retry } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { stepStart } from '../../../src/core/pipeline/link.js';
import { OutcomeHook } from '../../../src/core/pipeline/outcome-hook.js';
import { RecordingGate } from '../../simulation/recording-gate.js';

const clock = manualClock();
const KINDS: Record<string, () => Policy> = {
  gate: () => new RecordingGate('gate', clock),
  stage: () => retry({ clock }),
  limit: () => dynamicTimeout({ limitMs: 9, maxMs: 9, clock }),
  other: () => ({ name: 'other', run: (ctx, next) => next(ctx) }),
};

it.each<[string, number]>([
  ['gate', 0],
  ['gate gate', 0],
  ['other gate', 1],
  ['gate stage limit', 0],
  ['stage stage', 0],
  ['gate limit', 0],
  // Nothing of a limit's step is inside it.
  ['limit gate', 1],
  ['limit gate stage', 1],
  ['other stage limit', 1],
  ['stage', 0],
  ['limit', 0],
  ['limit limit', 1],
  ['gate other', 2],
])('the last step of %s begins at %i', (kinds, start) => {
  const policies = kinds.split(' ').map((kind) => (KINDS[kind] as () => Policy)());
  expect(stepStart(policies, policies.length)).toBe(start);
});

describe('an outcome hook', () => {
  class Counting extends OutcomeHook {
    readonly name = 'counting';
    readonly clock = clock;
    admitted = 0;
    failed = 0;
    constructor(readonly succeed: OutcomeHook['succeed']) {
      super();
    }
    admit(): undefined {
      this.admitted++;
    }
    fail(): unknown {
      this.failed++;
      return 'instead';
    }
  }

  it.each([1, 2, 3])(
    'that has nothing to do with a value leaves it as it is; an error is its to replace; of %i',
    async (n) => {
      const stages = Array.from({ length: n }, () => new Counting(undefined));
      const policies = pipeline(...stages);
      expect(await policies.execute(() => 'value')).toBe('value');
      expect(await policies.execute((_: Context): Promise<unknown> => Promise.reject(new Error('x')))).toBe('instead');
      expect(stages.map(({ admitted }) => admitted)).toEqual(stages.map(() => 2));
      expect(stages.map(({ failed }) => failed)).toEqual(stages.map((_, i) => (i === n - 1 ? 1 : 0)));
    },
  );

  it.each([1, 2])('may make another value of it, of %i', async (n) => {
    const stages = Array.from({ length: n }, () => new Counting((value) => `${value}!`));
    expect(await pipeline(...stages).execute(() => 'value')).toBe(`value${'!'.repeat(n)}`);
  });
});
