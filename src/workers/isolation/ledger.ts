/**
 * The messages of one set that have been accepted and have no outcome yet, and who holds each: what makes it certain
 * that every message gets exactly one outcome, no matter which side dies, and when.
 *
 * Messages are known by their place, the number of the write that put them into the ring. The ring hands them out in
 * that order, so all places below its read index have been claimed by some worker.
 */
import { Phase } from './protocol.js';

/** What a worker's status says. */
export interface Claim {
  readonly phase: number;
  /** The low 32 bits of a place; of meaning from `CLAIMED` on. */
  readonly place: number;
}

/** What a ledger has to know of a message. */
export interface Entry {
  /** How many workers it has killed. */
  kills: number;
}

/** What can be seen of a set's workers. */
export interface Workers {
  /** How many messages have been claimed. */
  readIndex(): number;
  /** The claims of those that are not proven dead, the phase of each read before its place. */
  living(): readonly Claim[];
  /** Takes out all messages that were answered, also by the dead. */
  drain(): void;
}

/** What {@link Ledger.unheld} finds. */
export interface Unheld<E> {
  /** What the dead worker held. */
  held: E | undefined;
  orphans: E[];
  /** Whether that is all: a living worker may be about to name one of the messages, so look again soon. */
  certain: boolean;
}

export class Ledger<E extends Entry> {
  // In the order of places: what is sent again goes to the end, with a new place.
  readonly #entries = new Map<number, E>();
  #nextPlace: number;

  /** `nextPlace`: where its numbers begin. */
  constructor(nextPlace = 0) {
    this.#nextPlace = nextPlace;
  }

  /** How many messages have no outcome yet. */
  get size(): number {
    return this.#entries.size;
  }

  /** The place that the next message gets. */
  get nextPlace(): number {
    return this.#nextPlace;
  }

  /** Each message with its place, in the order of places. */
  entries(): IterableIterator<[place: number, entry: E]> {
    return this.#entries.entries();
  }

  /** A message has been put into the ring, as the next. */
  sent(entry: E): void {
    this.#entries.set(this.#nextPlace++, entry);
  }

  /** Takes out the message at the place with these low 32 bits; undefined = it has had its outcome. */
  take(lowBits: number): E | undefined {
    const place = this.#whole(lowBits);
    const entry = this.#entries.get(place);
    this.#entries.delete(place);
    return entry;
  }

  /**
   * Takes out the messages that no worker works on any more: the one that the dead worker `dead` held, and those that
   * were claimed, as the ring's read index says, but that no worker has named: who claimed them died before it could.
   *
   * The order is what makes it certain. The read index first, then the claims, then the replies: so a living worker
   * that had claimed one of these messages by then either still says that it holds it, or has answered it, or is
   * claiming.
   */
  unheld(workers: Workers, dead?: Claim): Unheld<E> {
    const readIndex = workers.readIndex();
    const living = workers.living();
    workers.drain();
    const held = dead !== undefined && dead.phase >= Phase.CLAIMED ? this.take(dead.place) : undefined;
    const named = new Set<number>();
    let claiming = false;
    for (const { phase, place } of living) {
      if (phase >= Phase.CLAIMED) named.add(this.#whole(place));
      else if (phase === Phase.CLAIMING) claiming = true;
    }
    const orphans: number[] = [];
    for (const place of this.#entries.keys()) {
      if (place >= readIndex) break;
      if (!named.has(place)) orphans.push(place);
    }
    if (claiming && orphans.length > 0) return { held, orphans: [], certain: false };
    return { held, orphans: orphans.map((place) => this.take(place) as E), certain: true };
  }

  /** A place from its low 32 bits: the newest that has been given out and has them. */
  #whole(lowBits: number): number {
    const last = this.#nextPlace - 1;
    return last - ((last - lowBits) >>> 0);
  }
}
