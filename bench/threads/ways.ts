/** Ways to bring messages to another thread, each with both ends. */
import type { MessagePort } from 'node:worker_threads';
import { createRing, ringReader, ringWriter } from 'evenkeel/ring-buffer';
import { RingBuffer } from 'ringbuf.js';

/** One end's part in a run. */
export interface Way {
  /** What the two ends share. */
  share(bytes: number): SharedArrayBuffer | undefined;
  /** Sends one message, or a batch of them; false = try again. */
  sender(shared: SharedArrayBuffer | undefined, port: MessagePort): (list: Uint8Array[]) => number;
  /** Reads until `done` says so. */
  receive(
    shared: SharedArrayBuffer | undefined,
    port: MessagePort,
    onMessage: (bytes: Uint8Array) => void,
    done: () => boolean,
    bytes: number,
  ): void;
}

const CAPACITY = 1_024;

const posted = (send: (port: MessagePort, list: Uint8Array[]) => void, open: (data: never) => Uint8Array[]): Way => ({
  share: () => undefined,
  sender: (_, port) => (list) => {
    send(port, list);
    return list.length;
  },
  receive: (_, port, onMessage) => {
    port.on('message', (data) => {
      for (const bytes of open(data as never)) onMessage(bytes);
    });
  },
});

const encoder = new TextEncoder();
const decoder = new TextDecoder('latin1');

const ring = (send: (writer: ReturnType<typeof ringWriter>, list: Uint8Array[]) => number): Way => ({
  share: (bytes) => createRing({ capacity: CAPACITY, slotBytes: bytes }),
  sender: (shared) => {
    const writer = ringWriter(shared as SharedArrayBuffer);
    return (list) => send(writer, list);
  },
  receive: (shared, _, onMessage, done) => {
    const reader = ringReader(shared as SharedArrayBuffer);
    while (!done()) if (reader.readBatch(onMessage) === 0) reader.waitSync(100);
    reader.close();
  },
});

/** As a server has it, which has read the clock for the request already. */
const receivedAt = performance.now();

export const WAYS: Record<string, Way> = {
  'evenkeel, tryWrite': ring((writer, list) => (writer.tryWrite(list[0] as Uint8Array, receivedAt) ? 1 : 0)),
  'evenkeel, tryWrite, reads the clock': ring((writer, list) => (writer.tryWrite(list[0] as Uint8Array) ? 1 : 0)),
  'evenkeel, writeBatch': ring((writer, list) => writer.writeBatch(list)),
  'ringbuf.js': {
    share: (bytes) => RingBuffer.getStorageForCapacity(CAPACITY * bytes, Uint8Array),
    sender: (shared) => {
      const buffer = new RingBuffer(shared as SharedArrayBuffer, Uint8Array);
      return (list) => {
        const bytes = list[0] as Uint8Array;
        return buffer.availableWrite() >= bytes.length && buffer.push(bytes) > 0 ? 1 : 0;
      };
    },
    receive: (shared, _, onMessage, done, bytes) => {
      const buffer = new RingBuffer(shared as SharedArrayBuffer, Uint8Array);
      const into = new Uint8Array(bytes);
      while (!done()) if (buffer.availableRead() >= into.length && buffer.pop(into) > 0) onMessage(into);
    },
  },
  'postMessage, Uint8Array': posted(
    (port, list) => port.postMessage(list[0]),
    (bytes: Uint8Array) => [bytes],
  ),
  'postMessage, transferred': posted(
    (port, list) => {
      const bytes = (list[0] as Uint8Array).slice();
      port.postMessage(bytes, [bytes.buffer as ArrayBuffer]);
    },
    (bytes: Uint8Array) => [bytes],
  ),
  'postMessage, string': posted(
    (port, list) => port.postMessage(decoder.decode(list[0])),
    (text: string) => [encoder.encode(text)],
  ),
  'postMessage, array of 32': posted(
    (port, list) => port.postMessage(list),
    (list: Uint8Array[]) => list,
  ),
};

/** How many messages a way sends at a time. */
export const batchOf = (name: string): number => (/Batch|32/.test(name) ? 32 : 1);

export const isPosted = (name: string): boolean => name.startsWith('postMessage');
