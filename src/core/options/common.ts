import type { Observer } from '../events.js';
import { type Random, systemRandom } from '../numbers/random.js';
import type { Classify } from '../policy.js';
import { type Clock, systemClock } from '../time/clock.js';
import type { OptionReader } from './validate.js';

/** All of these options, as they hold once they are read. */
export type Complete<T> = { [F in keyof T]-?: Exclude<T[F], undefined> };

/** Some of these options, to be changed; `undefined` leaves one as it is. */
export type Changes<T> = { [F in keyof T]?: T[F] | undefined };

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
