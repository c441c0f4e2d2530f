/** A worker whose messages say what to do: the first byte is the command, the rest is echoed. */
import { serve } from 'evenkeel/isolation';
import { Command } from './commands.js';

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
    default:
      return message;
  }
  return message;
});
