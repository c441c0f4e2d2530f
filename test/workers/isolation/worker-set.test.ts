/** What a set makes of a worker that does what none should. */
import { systemClock } from 'evenkeel';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Answer, Header, REPLY_HEADER_BYTES } from '../../../src/workers/isolation/protocol.js';
import { WorkerSet } from '../../../src/workers/isolation/worker-set.js';
import { message } from './open.js';

const IDLE = new URL('data:text/javascript,setInterval(() => {}, 1000)');

let set: WorkerSet;
beforeEach(() => {
  set = new WorkerSet('0', 1, {
    name: 'sets',
    clock: systemClock,
    observer: () => {},
    worker: IDLE,
    workerOptions: {},
    capacity: 4,
    messageBytes: 16,
    replyBytes: 64,
    messageTimeoutMs: 60_000,
    maxAgeMs: Infinity,
    maxKills: 2,
    startTimeoutMs: 60_000,
    restartMinMs: 1,
    restartMaxMs: 1,
  });
});
afterEach(() => set.close());

const reply = (place: number, ...bytes: number[]): Uint8Array => {
  const frame = new Uint8Array(REPLY_HEADER_BYTES + bytes.length);
  new Header().reply(frame, place, Answer.VALUE);
  frame.set(bytes, REPLY_HEADER_BYTES);
  return frame;
};

it('takes the first answer to a message, and no other', async () => {
  const call = set.call(message(1), undefined, Infinity);
  for (const frame of [reply(1, 9), reply(0, 7), reply(0, 8)]) set.replied(frame);
  expect(await call).toEqual(message(7));
  expect(set.snapshot()).toMatchObject({ done: 1, failed: 0, queued: 0, inWork: 0 });
});

it('rejects a call rather than lose it, where messages are answered that nobody has taken out of the ring', async () => {
  for (let place = 0; place < 4; place++) {
    const call = set.call(message(1), undefined, Infinity);
    set.replied(reply(place, place));
    expect(await call).toEqual(message(place));
  }
  await expect(set.call(message(1), undefined, Infinity)).rejects.toThrow(
    'sets.0: its ring is full, which must not be',
  );
  expect(set.snapshot()).toMatchObject({ done: 4, queued: 0, inWork: 0 });
});
