import { type Clock, type Gate, tierShedder } from 'evenkeel';
import { seededRandom } from 'evenkeel/testing';
import { dagor } from '../../test/simulation/dagor.js';
import { serve } from '../../test/simulation/queue.js';
import { tieredLoad } from '../../test/simulation/tiers.js';
import { type Colour, lineChart, type Panel, type Point } from './line-chart.js';

const SECOND = 1_000;
const END = 60;
const BIN = 2;
const COLOURS: readonly Colour[] = ['blue', 'green', 'orange', 'red'];

function panel(title: string, make: (clock: Clock, load: () => number) => Gate, ends: readonly string[]): Panel {
  const requests = tieredLoad('in turn', [25, 25, 25, 25], END * SECOND, seededRandom(1));
  const served = serve(requests, (clock, fill) => ({
    serviceMs: () => 20,
    room: 25,
    untilMs: (END + 1) * SECOND,
    atDoor: make(clock, fill),
  }));
  const ratio = (tier: number, from: number): number => {
    const own = served.filter((one) => one.tier === tier && one.at >= from && one.at < from + BIN * SECOND);
    return (100 * own.filter(({ fate }) => fate === 'served').length) / own.length;
  };
  return {
    title,
    height: 130,
    max: 105,
    ticks: [0, 50, 100],
    series: COLOURS.map((colour, i) => ({
      label: `tier ${i + 1}`,
      colour,
      ...(ends[i] && { endLabel: ends[i] }),
      points: Array.from(
        { length: END / BIN },
        (_, bin): Point => [(bin + 0.5) * BIN, ratio(i + 1, bin * BIN * SECOND)],
      ),
    })),
  };
}

/** Four tiers of 25 per second, capacity 50, room for 25: ours and DAGOR's steps. */
export const tiersChart = (): string =>
  lineChart({
    title: 'Four tiers of 25 requests per second, capacity for 50',
    subtitle: 'Room for 25 in the queue; the load is how full it is. Virtual time, the real library.',
    summary:
      'With tierShedder tiers 1 and 2 are served whole and tiers 3 and 4 not at all from the first seconds on. With the steps of ' +
      'DAGOR, 5 % less and 1 % more, tier 3 is admitted again and again and tier 2 loses as much.',
    x: { label: 'time, s', min: 0, max: END, ticks: [0, 10, 20, 30, 40, 50, 60] },
    panels: [
      panel(
        'tierShedder: share of each tier that is served, %',
        (clock, load) => tierShedder({ clock, load, hour: () => 495_000, random: seededRandom(1) }),
        ['', 'tiers 1, 2', '', 'tiers 3, 4'],
      ),
      panel('DAGOR, α = 5 %, β = 1 %: the same', (_, load) => dagor({ overloaded: () => load() >= 0.8 }), []),
    ],
  });
