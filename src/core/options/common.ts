import type { Observer } from '../events.js';
import { type Random, systemRandom } from '../numbers/random.js';
import type { Classify } from '../policy.js';
import { type Clock, systemClock } from '../time/clock.js';
import type { OptionReader } from './validate.js';

/** The options that every policy has. */
export interface Common {
  name: string;
  clock: Clock;
  random: Random;
  observer: Observer | undefined;
  classify: Classify | undefined;
}

export function readCommon(read: OptionReader, name: string): Common {
  return {
    name: read.name(name),
    clock: read.object('clock', systemClock, ['now', 'setTimer', 'clearTimer']),
    random: read.fn('random') ?? systemRandom,
    observer: read.fn('observer'),
    classify: read.fn('classify'),
  };
}
