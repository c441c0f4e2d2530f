import { seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Claim, Ledger, type Workers } from '../../../src/workers/isolation/ledger.js';
import { GivenUp, Phase } from '../../../src/workers/isolation/protocol.js';

/** A message: how often it was worked on to the end, and its outcome. */
class Message {
  kills = 0;
  answers = 0;
  constructor(readonly id: number) {}
}

/** A worker in the steps of `serve`: it can die before any of them. */
class Worker {
  phase: number = Phase.IDLE;
  place = 0;
  alive = true;
  /** Whether the host knows that it is dead. */
  buried = false;
  readonly replies: number[] = [];
  /** What it has claimed and not answered. */
  taken: number | undefined;
  #at = 0;

  step(ring: Ring): void {
    if (!this.alive) return;
    switch (this.#at++) {
      case 0:
        // Asleep while there is nothing to read.
        if (this.phase === Phase.IDLE && ring.read === ring.written) this.#at = 0;
        else this.phase = Phase.CLAIMING;
        break;
      case 1:
        if (ring.read < ring.written) {
          this.taken = ring.read++;
        } else {
          this.phase = Phase.IDLE;
          this.#at = 0;
        }
        break;
      case 2:
        this.place = this.taken as number;
        break;
      case 3:
        this.phase = Phase.CLAIMED;
        break;
      case 4:
        this.phase = Phase.HANDLING;
        break;
      default:
        this.replies.push(this.place);
        this.taken = undefined;
        this.#at = 0;
    }
  }
}

interface Ring {
  read: number;
  written: number;
}

/** A set whose workers go on in the middle of what the host does. */
class Model implements Workers {
  readonly ring: Ring = { read: 0, written: 0 };
  readonly workers: Worker[] = [];
  readonly sent: Message[] = [];
  readonly places: Message[] = [];

  constructor(
    readonly ledger: Ledger<Message>,
    readonly next: () => number,
    readonly first: number,
  ) {}

  lowBits(place: number): number {
    return (this.first + place) % 2 ** 32;
  }

  /** Some steps of some workers, one of which may die. */
  disturb(): void {
    for (let steps = this.next() % 4; steps > 0; steps--) {
      const worker = this.workers[this.next() % this.workers.length] as Worker;
      if (this.next() % 16 === 0) worker.alive = false;
      else worker.step(this.ring);
    }
  }

  send(message: Message): void {
    this.ledger.sent(message);
    this.places[this.ring.written++] = message;
  }

  readIndex(): number {
    this.disturb();
    return this.first + this.ring.read;
  }

  living(): Claim[] {
    return this.workers
      .filter((worker) => !worker.buried)
      .map((worker) => {
        this.disturb();
        const { phase } = worker;
        this.disturb();
        return { phase, place: this.lowBits(worker.place) };
      });
  }

  drain(): void {
    for (const worker of this.workers) {
      this.disturb();
      for (const place of worker.replies) {
        const message = this.ledger.take(this.lowBits(place));
        if (message !== undefined) message.answers++;
      }
      worker.replies.length = 0;
    }
  }

  /** One death that the host learns of, or a second look. */
  recover(dead?: Worker): boolean {
    if (dead !== undefined) dead.buried = true;
    const claim = dead && { phase: dead.phase, place: this.lowBits(dead.place) };
    const found = this.ledger.unheld(this, claim);
    for (const message of [found.held, ...found.orphans]) {
      if (message === undefined) continue;
      // Nobody is at it, and nobody has done it.
      expect(this.heldByLiving()).not.toContain(message);
      expect(this.unheard()).not.toContain(message);
      this.send(message);
    }
    return found.certain;
  }

  unheard(): Message[] {
    return this.workers.flatMap(({ replies }) => replies.map((place) => this.places[place] as Message));
  }

  heldByLiving(): Message[] {
    return this.workers
      .filter((worker) => worker.alive && worker.taken !== undefined)
      .map((worker) => this.places[worker.taken as number] as Message);
  }
}

describe('every message is answered once', () => {
  it('whoever dies when, and whatever happens while the host looks', { timeout: 20_000 }, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(0, 2 ** 31 - 4, 2 ** 32 - 4, 2 ** 45 - 4),
        fc.integer(),
        (size, count, first, seed) => {
          const random = seededRandom(seed);
          const next = (): number => Math.floor(random() * 65_536);
          const model = new Model(new Ledger(first), next, first);
          const start = (): number => model.workers.push(new Worker());
          for (let i = 0; i < size; i++) start();
          const messages = Array.from({ length: count }, (_, i) => new Message(i));
          let unsure = false;
          for (let i = 0; i < 200; i++) {
            if (next() % 8 === 0 && messages.length > model.sent.length) {
              const message = messages[model.sent.length] as Message;
              model.sent.push(message);
              model.send(message);
            }
            model.disturb();
            if (next() % 3 === 0) model.drain();
            const dead = model.workers.find((worker) => !worker.alive && !worker.buried);
            if (dead !== undefined && next() % 4 === 0) {
              unsure = !model.recover(dead);
              start();
            } else if (unsure && next() % 2 === 0) unsure = !model.recover();
          }
          settle(model, unsure);
          expect(model.sent.map((message) => message.answers)).toEqual(model.sent.map(() => 1));
          expect(model.ledger.size).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Nobody dies any more, and everybody goes on to the end. */
function settle(model: Model, wasUnsure: boolean): void {
  let unsure = wasUnsure;
  model.disturb = () => {};
  for (let round = 0; round < 40; round++) {
    const dead = model.workers.find((worker) => !worker.alive && !worker.buried);
    if (dead !== undefined) {
      unsure = !model.recover(dead);
      model.workers.push(new Worker());
    } else if (unsure) unsure = !model.recover();
    for (const worker of model.workers) for (let i = 0; i < 60; i++) worker.step(model.ring);
    model.drain();
  }
}

describe('places', () => {
  it.each([0, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 45 - 1])('from %d on are known by their low 32 bits', (first) => {
    const ledger = new Ledger<Message>(first);
    const messages = [0, 1, 2].map((id) => new Message(id));
    for (const one of messages) ledger.sent(one);
    const lowBits = (place: number): number => (first + place) % 2 ** 32;
    expect([2, 0, 1].map((place) => ledger.take(lowBits(place)))).toEqual([messages[2], messages[0], messages[1]]);
    expect(ledger.take(lowBits(0))).toBeUndefined();
    expect(ledger.size).toBe(0);
  });
});

describe('places that were given up', () => {
  it.each([0, 2 ** 31 - 2, 2 ** 32 - 2, 2 ** 45 - 2])('from %d on, with as many as there are slots', (first) => {
    const givenUp = GivenUp.of(3);
    const seen = new GivenUp(givenUp.buffer);
    for (let place = first; place < first + 12; place++) {
      givenUp.begin(place);
      // Late, for a slot that has another message by now.
      givenUp.add(place - 4);
      expect(seen.has(place % 2 ** 32)).toBe(false);
      if (place % 2 === 0) givenUp.add(place);
      expect(seen.has(place % 2 ** 32)).toBe(place % 2 === 0);
    }
  });

  it('are forgotten when their numbers come again', () => {
    const givenUp = GivenUp.of(1);
    givenUp.begin(5);
    givenUp.add(5);
    givenUp.begin(5 + 2 ** 32);
    expect(givenUp.has(5)).toBe(false);
  });
});
