/** The sets: one worker each, with users of its own. */
import { createSets } from 'evenkeel/isolation';
import type { Counts } from './counts.js';
import { decoded, encoded, type Order } from './orders.js';

/** A minute of a set takes 1.5 s on a quiet core and 16 s on a very busy one; what takes this long is hung. */
const HUNG_AFTER_MS = 300_000;
/** An order is harmless: who dies at it was killed from outside, so it is tried again, but not for ever. */
const MAX_KILLS = 3;

export interface CrewOptions extends Pick<Order, 'users' | 'sets' | 'seed'> {
  worker: URL;
}

export interface Crew {
  /** Has set `place` offer so many requests, as its minute `minute`. Rejects when worker after worker dies at it. */
  run(place: number, minute: number, offered: number): Promise<Counts>;
  /** Workers that died, and whose orders others began again. */
  readonly deaths: number;
  close(): Promise<void>;
}

export function startCrew({ worker, ...all }: CrewOptions): Crew {
  let deaths = 0;
  const sets = createSets({
    name: 'ten-billion',
    worker,
    sets: all.sets,
    route: (message) => decoded<Order>(message).place,
    messageTimeoutMs: HUNG_AFTER_MS,
    maxKills: MAX_KILLS,
    capacity: 4,
    observer: (event) => {
      if (event.type === 'worker_exit') deaths++;
    },
  });
  return {
    run: async (place, minute, offered) =>
      decoded<Counts>(await sets.call(encoded({ ...all, place, minute, offered } satisfies Order))),
    get deaths() {
      return deaths;
    },
    close: () => sets.close({ graceMs: 0 }),
  };
}
