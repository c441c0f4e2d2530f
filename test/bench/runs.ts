import { newRun, type Run } from '../../bench/kit/results.js';

/** A run of one group, `g`: a floor of 100 ns in each round, and cases that take so many times as long. */
export function runOf(ratiosByCase: Record<string, number[]>, floors: number[] = [100, 100, 100]): Run {
  const floor = { id: 'g / floor', group: 'g', name: 'floor', kind: 'floor', floorId: undefined } as const;
  const run = { ...newRun(floors.length), machine: { cpu: 'c', cores: 2, node: 'v20', platform: 'p', load: 0 } };
  run.cases = [
    { ...floor, nsByRound: floors, bytesByRound: [] },
    ...Object.entries(ratiosByCase).map(([name, ratios]) => ({
      id: `g / ${name}`,
      group: 'g',
      name,
      kind: name.startsWith('peer') ? ('peer' as const) : ('ours' as const),
      floorId: floor.id,
      nsByRound: ratios.map((ratio, round) => ratio * (floors[round] as number)),
      bytesByRound: [],
    })),
  ];
  return run;
}
