/** A process of its own: what keeps it alive, and what does not. */
import { createRing, ringReader, ringWriter } from 'evenkeel/ring-buffer';

const ring = createRing({ capacity: 4, slotBytes: 8 });
const reader = ringReader(ring);
const [what] = process.argv.slice(2);
if (what === 'no waitAsync') Reflect.deleteProperty(Atomics, 'waitAsync');

const abort = new AbortController();
if (what === 'aborted') {
  const end = reader
    .wait(Infinity, abort.signal)
    .catch((error) => console.log('aborted', error === abort.signal.reason));
  abort.abort();
  await end;
} else if (what === 'closed') {
  const end = reader.wait();
  reader.close();
  console.log('closed', await end);
} else if (what === 'left') {
  const messages = reader[Symbol.asyncIterator]();
  const next = messages.next();
  await messages.return?.();
  console.log('left', (await next).done);
} else {
  // Nothing else keeps the process: the wait has to.
  const writer = ringWriter(ring, { wakeThreshold: 2 });
  console.log('timeout', await reader.wait(20));
  const wait = reader.wait();
  writer.tryWrite(Uint8Array.of(1));
  console.log('message', await wait);
}
