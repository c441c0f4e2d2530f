/** A worker of the sets: what a message's second byte says. */
import { serve } from 'evenkeel/isolation';
import { Deed } from './sets-deeds.js';

serve((message) => {
  switch (message[1]) {
    case Deed.LATER:
      return new Promise((resolve) => setTimeout(() => resolve(message), 3));
    case Deed.THROW:
      throw new RangeError('as it was told');
    case Deed.EXIT:
      process.exit(1);
      break;
    case Deed.LOOP:
      for (;;);
    case Deed.NEVER:
      return new Promise(() => {});
  }
  return message;
});
