/** A worker whose messages say what to do: the first byte is the command, the rest is echoed. */
import { workerData } from 'node:worker_threads';
import { serve } from 'evenkeel/isolation';
import { BEGUN, COUNTER, Command, FAILING_STARTS, HANGING_STARTS } from './commands.js';

const shared: Int32Array = workerData.shared ?? new Int32Array(new SharedArrayBuffer(128));
if (Atomics.sub(shared, FAILING_STARTS, 1) > 0) process.exit(1);
if (Atomics.sub(shared, HANGING_STARTS, 1) > 0)
  Atomics.wait(shared, HANGING_STARTS, Atomics.load(shared, HANGING_STARTS));

serve((message) => {
  switch (message[0]) {
    case Command.EXIT:
      process.exit(1);
      break;
    case Command.CRASH_LATER:
      setTimeout(() => {
        throw new Error('too late to be caught');
      }, 1);
      return new Promise(() => {});
    case Command.LOOP:
      for (;;);
    case Command.THROW:
      throw Object.assign(new RangeError(`no room for ${message.length}`), { name: 'NoRoomError' });
    case Command.THROW_NOTHING:
      throw undefined;
    case Command.LATER:
      return new Promise((resolve) => setTimeout(() => resolve(message), 5));
    case Command.HANG:
      setInterval(() => {}, 1_000);
      return new Promise(() => {});
    case Command.NEVER:
      return new Promise(() => {});
    case Command.NONSENSE:
      return 'nonsense' as unknown as Uint8Array;
    case Command.LONG:
      return new Uint8Array(10_000);
    case Command.BUSY: {
      const until = performance.now() + (message[1] as number);
      while (performance.now() < until);
      return message;
    }
    case Command.WAIT:
      Atomics.add(shared, BEGUN, 1);
      Atomics.wait(shared, message[1] as number, 0);
      return message;
    case Command.COUNT:
      Atomics.add(shared, COUNTER, 1);
      return message;
    case Command.THROW_ODD:
      throw Object.create(null);
    case Command.SERVE_AGAIN:
      serve((bytes) => bytes);
      return message;
    case Command.EMPTY:
      return new Uint8Array(0);
    case Command.DETACHED: {
      const bytes = new Uint8Array(4);
      structuredClone(bytes, { transfer: [bytes.buffer] });
      return bytes;
    }
    case Command.SHARED: {
      const bytes = new Uint8Array(new SharedArrayBuffer(message.length));
      bytes.set(message);
      return bytes;
    }
    default:
      return message;
  }
  return message;
});
