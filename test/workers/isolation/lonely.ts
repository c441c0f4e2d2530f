/** A process with nothing to do but its calls: what it prints is what it lived to see. */
import { createSets } from 'evenkeel/isolation';
import { Command } from './commands.js';

const [worker = '', what = ''] = process.argv.slice(2);

const message = (command: number): Uint8Array => Uint8Array.of(command);

const sets = createSets({
  worker: what === 'unstarted' ? new URL('data:text/javascript,process.exit(1)') : new URL(worker),
  sets: 1,
  route: () => 0,
  messageTimeoutMs: 600_000,
  restartMinMs: 600_000,
  restartMaxMs: 600_000,
});

async function run(): Promise<void> {
  if (what === 'later') {
    for (let i = 0; i < 3; i++) await sets.call(message(Command.LATER));
    console.log('answered');
  } else if (what === 'restarted') {
    await sets.call(message(Command.EXIT)).catch(() => console.log('set aside'));
  } else if (what === 'given up') {
    await sets.call(message(Command.ECHO));
    await sets.call(message(Command.LOOP), { timeoutMs: 200 }).catch(() => console.log('timed out'));
  } else {
    // The second worker comes at once, the third in ten minutes.
    await sets.call(message(Command.ECHO)).catch(({ reason }) => console.log(reason));
  }
}

void run();
