import { describe, expect, it } from 'vitest';
import { type Case, type Group, withBase } from '../../bench/kit/case.js';
import { markdown } from '../../bench/kit/report.js';
import { newCaseResult, newRun, type Run } from '../../bench/kit/results.js';
import { verdicts } from '../../bench/kit/targets.js';
import { groups } from '../../bench/micro/cases/index.js';

const setup = (): (() => void) => () => {};
const ours: Case = { name: 'evenkeel', kind: 'ours', base: true, setup };
const group: Group = withBase({
  name: 'breaker success',
  cases: [ours, { name: 'cockatiel ConsecutiveBreaker', kind: 'peer', setup }, { name: 'other', kind: 'ours', setup }],
});

/** A run of `group` in three rounds, with so many ns by case. */
function runOf(nsByCase: Record<string, number[]>): Run {
  const run = newRun(3);
  run.cases = group.cases
    .filter(({ name }) => name in nsByCase)
    .map((made) => ({ ...newCaseResult(group, made), nsByRound: nsByCase[made.name] as number[], bytesByRound: [9] }));
  return run;
}

describe('0.1.0 in the same run', () => {
  it('is a case after each of ours that asks for it, with the same setup', () => {
    expect(group.cases.map(({ name, kind }) => [name, kind])).toEqual([
      ['evenkeel', 'ours'],
      ['evenkeel, 0.1.0', 'base'],
      ['cockatiel ConsecutiveBreaker', 'peer'],
      ['other', 'ours'],
    ]);
    expect(group.cases[1]?.setup).toBe(setup);
  });

  it('stands beside the six rows that the kernel is measured by', () => {
    const rows = groups.filter(({ cases }) => cases.some(({ kind }) => kind === 'base')).map(({ name }) => name);
    expect(rows).toEqual([
      'breaker success',
      'breaker refusal',
      'breaker + timeout',
      'fixed concurrency limit, free',
      '64 tasks through a limit of 8',
      'five policies',
    ]);
  });

  it('is compared within each round, and the median counts', () => {
    const run = runOf({
      evenkeel: [80, 160, 300],
      'evenkeel, 0.1.0': [100, 200, 200],
      'cockatiel ConsecutiveBreaker': [160, 160, 160],
    });
    const [ofBase, ofPeer] = verdicts(run);
    expect(ofBase).toMatchObject({ measured: 0.8, least: 0.8, most: 1.5, target: { text: '≤ 0.88 of 0.1.0' } });
    expect(ofPeer).toMatchObject({ measured: 1, target: { text: '≤ 1 of cockatiel ConsecutiveBreaker' } });
    const row = markdown(run)
      .split('\n')
      .find((line) => line.startsWith('| **evenkeel**'));
    expect(row).toMatch(/\| 0\.80 \| 1 of cockatiel ConsecutiveBreaker \|$/);
  });

  it('is left out where it cannot be built', () => {
    const run = runOf({ evenkeel: [80, 80, 80], 'cockatiel ConsecutiveBreaker': [100, 100, 100] });
    expect(verdicts(run).map(({ target }) => target.text)).toEqual([
      '≤ 1 of cockatiel ConsecutiveBreaker',
      '≤ 440 B a call',
    ]);
    expect(markdown(run)).toMatch(/\| {2}\| 0\.80 of cockatiel/);
  });
});
