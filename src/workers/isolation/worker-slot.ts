import { Worker, type WorkerOptions } from 'node:worker_threads';
import type { Clock, TimerHandle } from '../../core/time/clock.js';
import { hostTurn } from '../../core/time/turns.js';
import { createRing, type RingReader, ringReader } from '../ring-buffer/index.js';
import type { Claim } from './ledger.js';
import { CONNECTION, type Connection, type GivenUp, Phase, REPLY_HEADER_BYTES, WorkerStatus } from './protocol.js';

/** Why a worker ended: of itself or by an error, at one message for too long, or before it was ready. */
export type WorkerEnd = 'exit' | 'timeout' | 'start_timeout';

/** What every worker of all sets is started with. */
export interface WorkerSettings {
  readonly clock: Clock;
  readonly worker: URL | string;
  readonly workerOptions: WorkerOptions;
  /** As many replies as can be under way. */
  readonly capacity: number;
  readonly messageBytes: number;
  readonly replyBytes: number;
  readonly startTimeoutMs: number;
  readonly restartMinMs: number;
  readonly restartMaxMs: number;
}

/** The set that a slot belongs to. */
export interface SlotOwner {
  readonly requests: SharedArrayBuffer;
  readonly givenUp: GivenUp;
  /** Whether a caller waits for a reply. */
  readonly wantsReplies: boolean;
  replied(frame: Uint8Array): void;
  /** The worker is dead for certain: what it held, and why it died. */
  died(slot: WorkerSlot, end: WorkerEnd, error: unknown): void;
}

/** The place of one worker in a set: starts it, reads its replies, and starts another when it has died. */
export class WorkerSlot {
  readonly #owner: SlotOwner;
  /** Its place among the readers of the requests. */
  readonly #reader: number;
  readonly #settings: WorkerSettings;
  #worker: Worker | undefined;
  #status = new WorkerStatus();
  #replies: RingReader | undefined;
  #startedAt = 0;
  #startsAt = 0;
  #failed = false;
  #end: WorkerEnd = 'exit';
  /** The place of the message that took too long. */
  #tooLong: number | undefined;
  /** Deaths of workers that had not lived long. */
  #quickDeaths = 0;
  #restart: TimerHandle;
  /** Whose replies are waited for. */
  #heard: RingReader | undefined;
  #closed = false;

  constructor(owner: SlotOwner, reader: number, settings: WorkerSettings) {
    this.#owner = owner;
    this.#reader = reader;
    this.#settings = settings;
    this.#start();
  }

  get alive(): boolean {
    return this.#worker !== undefined;
  }

  get ready(): boolean {
    return this.alive && this.#status.phase !== Phase.STARTING;
  }

  /** Whether the last worker has died before it was ready, and none has come up since. */
  get failsToStart(): boolean {
    return this.#failed && !this.ready;
  }

  /** When the next worker is started, clock ms. */
  get startsAt(): number {
    return this.#startsAt;
  }

  /** What the worker says that it holds; of a dead one, what it said last. */
  get claim(): Claim {
    const { phase } = this.#status;
    return { phase, place: this.#status.place };
  }

  /**
   * Whether its worker died of the message that it held: by the time that a worker is ended it may have begun with
   * another.
   */
  get diedOfMessage(): boolean {
    const { phase, place } = this.claim;
    return phase === Phase.HANDLING && (this.#end === 'exit' || place === this.#tooLong);
  }

  /** Gives all replies that are there to the owner. */
  drain(): void {
    const replies = this.#replies;
    if (replies === undefined) return;
    const take = (frame: Uint8Array): void => this.#owner.replied(frame);
    while (replies.readBatch(take, 256) > 0);
  }

  /** Gives replies to the owner as they come, while it wants them; keeps the process alive for that. */
  async listen(): Promise<void> {
    const replies = this.#replies;
    if (replies === undefined || replies === this.#heard) return;
    this.#heard = replies;
    for (let round = 1; replies === this.#replies && this.#owner.wantsReplies; round++) {
      this.drain();
      await replies.wait(LISTEN_MS);
      // While there are always more, there is no wait, and nothing else of this thread would run.
      if (round % TURN_EVERY === 0) await hostTurn();
    }
    if (replies === this.#heard) this.#heard = undefined;
  }

  /** Ends the worker if it has been at one message, or at its start, for too long. */
  checkTime(clockNow: number, sharedNow: number, messageTimeoutMs: number): void {
    if (!this.alive || this.#end !== 'exit') return;
    // In this order: when it has begun with no other message between the looks at `beganAt`, all is of one message.
    const { beganAt, place, phase } = this.#status;
    if (phase === Phase.STARTING) {
      if (clockNow - this.#startedAt >= this.#settings.startTimeoutMs) this.#kill('start_timeout');
    } else if (
      phase === Phase.HANDLING &&
      sharedNow - beganAt >= messageTimeoutMs &&
      this.#status.beganAt === beganAt
    ) {
      this.#tooLong = place;
      this.#kill('timeout');
    }
  }

  /** Ends the worker permanently. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#settings.clock.clearTimer(this.#restart);
    await this.#worker?.terminate();
    this.drain();
    this.#drop();
  }

  #kill(end: WorkerEnd): void {
    this.#end = end;
    void (this.#worker as Worker).terminate();
  }

  #start(): void {
    const { worker, workerOptions, capacity, messageBytes, replyBytes, clock } = this.#settings;
    const replies = createRing({ capacity, slotBytes: REPLY_HEADER_BYTES + replyBytes, maxReaders: 1 });
    this.#status = new WorkerStatus();
    this.#end = 'exit';
    this.#tooLong = undefined;
    this.#startedAt = clock.now();
    const connection: Connection = {
      requests: this.#owner.requests,
      givenUp: this.#owner.givenUp.buffer,
      reader: this.#reader,
      replies,
      status: this.#status.buffer,
      messageBytes,
      replyBytes,
    };
    const started = new Worker(worker, {
      ...workerOptions,
      workerData: { ...workerOptions.workerData, [CONNECTION]: connection },
    });
    started.unref();
    let thrown: unknown;
    started.on('error', (error) => {
      thrown = error;
    });
    started.once('exit', (code) => this.#exited(thrown ?? this.#whyNotStarted(code)));
    this.#worker = started;
    this.#replies = ringReader(replies);
    void this.listen();
  }

  readonly #startAgain = (): void => {
    try {
      this.#start();
    } catch (error) {
      // The host has no thread to give, or takes the options only once.
      this.#exited(error);
    }
  };

  #whyNotStarted(code: number): Error | undefined {
    if (this.#status.phase !== Phase.STARTING) return undefined;
    const { startTimeoutMs } = this.#settings;
    return new Error(
      this.#end === 'start_timeout'
        ? `the worker did not call serve within startTimeoutMs, ${startTimeoutMs}`
        : `the worker ended with exit code ${code} before it called serve`,
    );
  }

  #exited(error: unknown): void {
    this.#worker = undefined;
    if (this.#closed) return;
    const { clock, restartMinMs, restartMaxMs } = this.#settings;
    const now = clock.now();
    this.#failed = this.#status.phase === Phase.STARTING;
    this.#quickDeaths = now - this.#startedAt < restartMaxMs ? this.#quickDeaths + 1 : 0;
    // The first at once: one bad message is no reason to wait.
    const n = this.#quickDeaths - 2;
    const delayMs = n < 0 ? 0 : Math.min(restartMaxMs, restartMinMs * 2 ** n);
    this.#startsAt = now + delayMs;
    // The calls that wait for it hold the process, where there are any.
    this.#restart = clock.setTimer(this.#startAgain, delayMs, { keepAlive: false });
    this.#owner.died(this, this.#end, error);
    this.#drop();
  }

  #drop(): void {
    this.#replies?.close();
    this.#replies = undefined;
  }
}

/** The host gets a turn after so many looks for replies. */
const TURN_EVERY = 64;

/** How long it waits for replies at most before it looks whether they are wanted still, ms. */
const LISTEN_MS = 50;
