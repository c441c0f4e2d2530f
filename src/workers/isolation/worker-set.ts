import { rejectSoon } from '../../core/call/promises.js';
import { type Reason, RejectedError } from '../../core/errors.js';
import { notify, type Observer, type ResilienceEvent } from '../../core/events.js';
import type { Clock, TimerHandle } from '../../core/time/clock.js';
import { HostHold, timerAt } from '../../core/time/timers.js';
import { createRing, type RingWriter, ringWriter } from '../ring-buffer/index.js';
import { Call, type CallOwner, type Outcome } from './call.js';
import { MessageLostError } from './errors.js';
import { type Claim, Ledger, type Workers } from './ledger.js';
import { Answer, errorOf, GivenUp, Header, REPLY_HEADER_BYTES, REQUEST_HEADER_BYTES, sharedClock } from './protocol.js';
import { newCounts, type SetSnapshot } from './snapshot.js';
import { type SlotOwner, type WorkerEnd, type WorkerSettings, WorkerSlot } from './worker-slot.js';

/** What all sets of one `createSets` have in common. */
export interface SetSettings extends WorkerSettings {
  readonly name: string;
  readonly observer: Observer;
  readonly messageTimeoutMs: number;
  readonly maxAgeMs: number;
  readonly maxKills: number;
}

/** One ring, its workers, and the outcome of each call. */
export class WorkerSet implements SlotOwner, CallOwner, Workers {
  readonly name: string;
  readonly clock: Clock;
  readonly requests: SharedArrayBuffer;
  readonly givenUp: GivenUp;
  readonly #set: string;
  readonly #settings: SetSettings;
  readonly #ring: RingWriter;
  readonly #slots: WorkerSlot[];
  readonly #ledger = new Ledger<Call>();
  readonly #header = new Header();
  readonly #now = sharedClock();
  readonly #counts = newCounts();
  /** Calls without an outcome. */
  #pending = 0;
  /** Nothing else keeps the process alive for them while there is no worker. */
  readonly #hold = new HostHold();
  readonly #lookEveryMs: number;
  #timer: TimerHandle;
  /** Whether a worker has died in the middle of claiming, and it is not certain yet what it has taken. */
  #orphaned = false;
  #closed = false;
  #drained: Promise<void> | undefined;
  #whenDone: (() => void) | undefined;

  constructor(set: string, workers: number, settings: SetSettings) {
    this.#set = set;
    this.name = `${settings.name}.${set}`;
    this.clock = settings.clock;
    this.#settings = settings;
    this.#lookEveryMs = Math.min(100, Math.max(1, settings.messageTimeoutMs / 10));
    const slotBytes = REQUEST_HEADER_BYTES + settings.messageBytes;
    this.requests = createRing({ capacity: settings.capacity, slotBytes, maxReaders: workers });
    this.#ring = ringWriter(this.requests);
    this.givenUp = GivenUp.of(settings.capacity);
    this.#slots = Array.from({ length: workers }, (_, reader) => new WorkerSlot(this, reader, settings));
  }

  call(message: Uint8Array, signal: AbortSignal | undefined, timeoutMs: number): Promise<Uint8Array> {
    if (this.#closed) return this.#refuse('no_instance');
    if (this.#isDown) return this.#refuse('no_instance', this.#restartInMs());
    // There is no observer then; it counts those too that were given up, whose messages are in the ring still.
    if (this.#pending === 0 && this.#ledger.size >= this.#settings.capacity) this.drain();
    if (this.#ledger.size >= this.#settings.capacity) return this.#refuse('concurrency_limited');
    return new Promise((resolve, reject) => {
      const frame = new Uint8Array(REQUEST_HEADER_BYTES + message.length);
      frame.set(message, REQUEST_HEADER_BYTES);
      const expiresAt = this.#now() + Math.min(this.#settings.maxAgeMs, timeoutMs);
      const call = new Call(this, frame, this.clock.now(), expiresAt, resolve, reject);
      this.#send(call);
      call.limit(signal, timeoutMs);
      if (++this.#pending === 1) this.#wake();
    });
  }

  get wantsReplies(): boolean {
    return this.#pending > 0;
  }

  replied(frame: Uint8Array): void {
    const { place, answer } = this.#header.read(frame, REPLY_HEADER_BYTES);
    const call = this.#ledger.take(place);
    if (call === undefined) return;
    if (answer === Answer.VALUE) call.answer(frame.slice(REPLY_HEADER_BYTES));
    else if (answer === Answer.SKIPPED) this.#expire(call);
    else call.fail('failed', errorOf(frame.subarray(REPLY_HEADER_BYTES)));
  }

  /**
   * What the dead worker held, and did not answer, is sent again, except a message that has killed too many workers.
   */
  died(slot: WorkerSlot, end: WorkerEnd, error: unknown): void {
    this.#counts.restarts++;
    this.#tell({ type: 'worker_exit', policy: this.#settings.name, at: this.clock.now(), set: this.#set, end, error });
    this.#recover(slot, error);
    if (this.#isDown) this.#failAll(error);
    if (this.#pending > 0) this.#hold.hold();
    if (this.#orphaned) this.#lookSoon();
  }

  readIndex(): number {
    return this.#ledger.nextPlace - this.#ring.stats().unread;
  }

  living(): Claim[] {
    return this.#slots.filter((slot) => slot.alive).map((slot) => slot.claim);
  }

  drain(): void {
    for (const slot of this.#slots) slot.drain();
  }

  ended(call: Call, outcome: Outcome): void {
    this.#counts[outcome]++;
    if (outcome !== 'done') this.givenUp.add(call.place);
    if (--this.#pending > 0) return;
    this.#hold.release();
    this.#whenDone?.();
  }

  snapshot(): SetSnapshot {
    const readIndex = this.readIndex();
    let queued = 0;
    let oldestAgeMs = 0;
    const now = this.clock.now();
    for (const [place, call] of this.#ledger.entries()) {
      if (!call.pending) continue;
      if (place >= readIndex) queued++;
      oldestAgeMs = Math.max(oldestAgeMs, now - call.acceptedAt);
    }
    const workers = this.#slots.filter((slot) => slot.ready).length;
    return { queued, inWork: this.#pending - queued, oldestAgeMs, ...this.#counts, workers };
  }

  /** Takes no more calls; resolves when every accepted one has its outcome. To be called before `close`. */
  drained(): Promise<void> {
    this.#closed = true;
    this.#drained ??= new Promise((resolve) => {
      if (this.#pending === 0) resolve();
      else this.#whenDone = resolve;
    });
    return this.#drained;
  }

  /** Ends the workers, and the calls that have no outcome. */
  async close(): Promise<void> {
    this.clock.clearTimer(this.#timer);
    await Promise.all(this.#slots.map((slot) => slot.close()));
    this.#failAll();
    this.#ring.close();
  }

  #send(call: Call): void {
    call.place = this.#ledger.nextPlace;
    this.givenUp.begin(call.place);
    this.#header.request(call.frame, call.place, call.expiresAt);
    // It holds as many messages as the set accepts.
    if (!this.#ring.tryWrite(call.frame)) throw new Error(`${this.name}: its ring is full, which must not be`);
    this.#ledger.sent(call);
  }

  /** Sends it to another worker, unless no caller waits for it any more or it is dangerous. */
  #again(call: Call, killed: boolean, error: unknown): void {
    if (killed) call.kills++;
    if (!call.pending) return;
    if (call.kills < this.#settings.maxKills) {
      this.#send(call);
      return;
    }
    call.fail('setAside', new MessageLostError(this.name, 'set_aside', call.kills, error));
    const { name } = this.#settings;
    this.#tell({ type: 'message_set_aside', policy: name, at: this.clock.now(), set: this.#set, kills: call.kills });
  }

  #failAll(error?: unknown): void {
    for (const [, call] of this.#ledger.entries()) {
      call.fail('workerLost', new MessageLostError(this.name, 'worker_lost', call.kills, error));
    }
  }

  /** Whether no worker is up, and those that were started last did not start. */
  get #isDown(): boolean {
    return this.#slots.every((slot) => slot.failsToStart);
  }

  /** When the next worker is started. */
  #restartInMs(): number {
    return Math.max(0, Math.min(...this.#slots.map((slot) => slot.startsAt)) - this.clock.now());
  }

  /** Sends again what no worker works on any more. */
  #recover(dead?: WorkerSlot, error?: unknown): void {
    const { held, orphans, certain } = this.#ledger.unheld(this, dead?.claim);
    this.#orphaned = !certain;
    for (const call of orphans) this.#again(call, false, error);
    // Last: an observer that is told of it may fill the ring by new calls.
    if (held !== undefined) this.#again(held, dead?.diedOfMessage === true, error);
  }

  #refuse(reason: Reason, retryAfterMs = 0): Promise<never> {
    this.#counts.refused++;
    return rejectSoon(this.#rejection(reason, retryAfterMs));
  }

  #rejection(reason: Reason, retryAfterMs = 0): RejectedError {
    const rejection = { policy: this.name, reason, retryAfterMs };
    this.#tell({ type: 'rejected', at: this.clock.now(), ...rejection, shadow: false });
    return new RejectedError(rejection);
  }

  #tell(event: ResilienceEvent): void {
    notify(this.#settings.observer, event);
  }

  /** There is work again: takes replies as they come, and looks after the workers. */
  #wake(): void {
    for (const slot of this.#slots) void slot.listen();
    if (!this.#slots.some((slot) => slot.alive)) this.#hold.hold();
    if (this.#timer === undefined) this.#lookSoon();
  }

  #lookSoon(): void {
    this.clock.clearTimer(this.#timer);
    const dueMs = this.clock.now() + (this.#orphaned ? 1 : this.#lookEveryMs);
    this.#timer = timerAt(this.clock, this.#look, dueMs, false);
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    this.drain();
    const [clockNow, now] = [this.clock.now(), this.#now()];
    for (const slot of this.#slots) slot.checkTime(clockNow, now, this.#settings.messageTimeoutMs);
    if (this.#orphaned) this.#recover();
    if (this.#settings.maxAgeMs < Infinity) this.#dropOld(now);
    if (this.#ledger.size > 0) this.#lookSoon();
  };

  /** Those that may never reach a worker. */
  #dropOld(now: number): void {
    const readIndex = this.readIndex();
    for (const [place, call] of this.#ledger.entries()) {
      if (place >= readIndex && now >= call.expiresAt) this.#expire(call);
    }
  }

  /** It has waited for longer than its caller allows, or than its set does. */
  #expire(call: Call): void {
    if (!call.pending) return;
    if (call.timeoutMs <= this.#settings.maxAgeMs) call.timeOut();
    else call.fail('droppedByAge', this.#rejection('too_old'));
  }
}
