import { workerData } from 'node:worker_threads';
import { invalid } from '../../core/options/validate.js';
import { hostTurn } from '../../core/time/turns.js';
import { ringReader, ringWriter } from '../ring-buffer/index.js';
import {
  Answer,
  bytesOfError,
  CONNECTION,
  type Connection,
  GivenUp,
  Header,
  isBytes,
  Phase,
  REPLY_HEADER_BYTES,
  REQUEST_HEADER_BYTES,
  sharedClock,
  WorkerStatus,
} from './protocol.js';

/**
 * Does the work of one message. The bytes are the handler's own; what it returns is the answer, what it throws rejects
 * the call with an error of the same name, message and stack.
 */
export type Handler = (message: Uint8Array) => Uint8Array | PromiseLike<Uint8Array>;

/** How long a worker without a message blocks for the next one before it gives its event loop free, ms. */
const BLOCK_MS = 10;

/** The worker's side of one connection. */
class Server {
  readonly #handler: Handler;
  readonly #requests: ReturnType<typeof ringReader>;
  readonly #replies: ReturnType<typeof ringWriter>;
  readonly #status: WorkerStatus;
  readonly #givenUp: GivenUp;
  readonly #header = new Header();
  readonly #request: Uint8Array;
  readonly #frame: Uint8Array;
  readonly #now = sharedClock();
  #turnedAt = 0;

  /** @throws Error when this worker has a server already */
  constructor(handler: Handler, connection: Connection) {
    this.#handler = handler;
    this.#status = new WorkerStatus(connection.status);
    if (this.#status.phase !== Phase.STARTING) throw new Error('serve: must be called only once in a worker');
    this.#givenUp = new GivenUp(connection.givenUp);
    this.#requests = ringReader(connection.requests, { id: connection.reader, takeOver: true });
    this.#replies = ringWriter(connection.replies);
    this.#request = new Uint8Array(REQUEST_HEADER_BYTES + connection.messageBytes);
    this.#frame = new Uint8Array(REPLY_HEADER_BYTES + connection.replyBytes);
  }

  async run(): Promise<never> {
    const status = this.#status;
    for (;;) {
      status.phase = Phase.CLAIMING;
      const length = this.#requests.tryRead(this.#request);
      if (length < 0) {
        status.phase = Phase.IDLE;
        // Blocking finds the next message sooner than the event loop does, but is nothing for an idle worker.
        if (!this.#requests.waitSync(BLOCK_MS)) await this.#requests.wait(Infinity);
        continue;
      }
      const pending = this.#answer(length);
      if (pending !== undefined) await pending;
      // A handler that never waits would keep its own timers and sockets from running.
      const now = this.#now();
      if (now - this.#turnedAt > BLOCK_MS) {
        await hostTurn();
        this.#turnedAt = now;
      }
    }
  }

  #answer(length: number): Promise<void> | undefined {
    const { place, expiresAt } = this.#header.read(this.#request, REQUEST_HEADER_BYTES);
    this.#status.claimed(place);
    const now = this.#now();
    if (now >= expiresAt || this.#givenUp.has(place)) {
      this.#send(place, Answer.SKIPPED, NOTHING);
      return undefined;
    }
    this.#status.handling(now);
    try {
      const answer = this.#handler(this.#request.slice(REQUEST_HEADER_BYTES, length));
      if (isBytes(answer)) this.#reply(place, answer);
      else return this.#later(place, answer);
    } catch (error) {
      this.#fail(place, error);
    }
    return undefined;
  }

  async #later(place: number, answer: PromiseLike<Uint8Array>): Promise<void> {
    try {
      this.#reply(place, await answer);
    } catch (error) {
      this.#fail(place, error);
    }
  }

  /** @throws TypeError or RangeError for a value that is not an answer, to be sent as an error */
  #reply(place: number, answer: unknown): void {
    if (!isBytes(answer)) invalid('serve', "the handler's answer", 'a Uint8Array', answer, true);
    const room = this.#frame.length - REPLY_HEADER_BYTES;
    if (answer.length > room) {
      throw new RangeError(`serve: the handler's answer must be ≤ replyBytes (${room}), got ${answer.length} bytes`);
    }
    this.#send(place, Answer.VALUE, answer);
  }

  #fail(place: number, error: unknown): void {
    this.#send(place, Answer.ERROR, bytesOfError(error, this.#frame.length - REPLY_HEADER_BYTES));
  }

  #send(place: number, answer: number, bytes: Uint8Array): void {
    const frame = this.#frame;
    this.#header.reply(frame, place, answer);
    frame.set(bytes, REPLY_HEADER_BYTES);
    // It holds as many replies as its set accepts messages.
    if (!this.#replies.tryWrite(frame.subarray(0, REPLY_HEADER_BYTES + bytes.length))) {
      throw new Error('serve: the ring of replies is full, which must not be');
    }
  }
}

const NOTHING = new Uint8Array(0);

/**
 * Does the work of a set: call it once in the file that `createSets` was given as `worker`. Messages come one at a
 * time; more at the same time is what more workers are for.
 *
 * @throws Error outside such a worker, or when it was called before; TypeError unless `handler` is a function.
 */
export function serve(handler: Handler): void {
  if (typeof handler !== 'function') invalid('serve', 'handler', 'a function', handler, true);
  const connection = (workerData as Record<string, unknown> | null)?.[CONNECTION] as Connection | undefined;
  if (connection === undefined) throw new Error('serve: must be called in a worker that createSets has started');
  void new Server(handler, connection).run();
}
