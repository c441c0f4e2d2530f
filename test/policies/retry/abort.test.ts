import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { RecordingGate } from '../../simulation/recording-gate.js';
import { noUnhandledRejections } from '../../unhandled-rejections.js';
import { script, settled, setUp, throws } from './set-up.js';

noUnhandledRejections();

/** `signal`, and how many listeners it has. */
function counted(signal: AbortSignal): { signal: AbortSignal; listeners: () => number } {
  const { addEventListener, removeEventListener } = signal;
  let listeners = 0;
  signal.addEventListener = (...args: [never, never]) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: [never, never]) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  return { signal, listeners: () => listeners };
}

describe('an abort of the caller', () => {
  it('ends the wait at once with its reason, and leaves neither timer nor listener', async () => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, throws('no'));
    const caller = new AbortController();
    const { signal, listeners } = counted(caller.signal);
    const end = settled(guard.execute(fn, { signal }));
    await clock.advance(50);
    expect([clock.waiting, listeners()]).toEqual([1, 1]);
    const reason = Object.freeze({ left: true });
    caller.abort(reason);
    expect(await end).toEqual({ error: reason });
    expect(((await end) as { error: unknown }).error).toBe(reason);
    expect([clock.waiting, listeners()]).toEqual([0, 0]);
    await clock.advance(1_000);
    expect(tries).toHaveLength(1);
  });

  it('leaves no listener either where none comes', async () => {
    const { clock, guard } = setUp({ maxRetries: 5 });
    const caller = new AbortController();
    const { signal, listeners } = counted(caller.signal);
    const end = settled(guard.execute(script(clock, throws('no')).fn, { signal }));
    await clock.advance(1_000);
    await end;
    expect(listeners()).toBe(0);
  });

  it('in the middle of a try ends the call, whatever retryOn says', async () => {
    const { clock, guard } = setUp({ retryOn: () => true });
    const caller = new AbortController();
    const { fn, tries } = script(clock, () => new Promise(() => {}));
    const end = settled(guard.execute(fn, { signal: caller.signal }));
    await clock.advance(10);
    caller.abort('enough');
    expect(await end).toEqual({ error: 'enough' });
    await clock.advance(1_000);
    expect(tries).toHaveLength(1);
  });

  it('by the function itself, or by the observer, starts nothing more', async () => {
    for (const who of ['function', 'observer', 'backoff']) {
      const caller = new AbortController();
      const abort = (name: string): void => void (who === name && caller.abort(who));
      const { clock, guard } = setUp({
        observer: () => abort('observer'),
        backoff: () => {
          abort('backoff');
          return 100;
        },
      });
      const { fn, tries } = script(clock, () => {
        abort('function');
        throw new Error('no');
      });
      const end = settled(guard.execute(fn, { signal: caller.signal }));
      await clock.advance(0);
      expect(await end).toHaveProperty('error');
      await clock.advance(1_000);
      expect([tries.length, clock.waiting]).toEqual([1, 0]);
    }
  });

  it('by the observer, where there is no wait, takes no permit of a gate further in', async () => {
    const caller = new AbortController();
    const gate = new RecordingGate('gate', manualClock());
    const { guard } = setUp({ clock: gate.clock, backoff: () => 0, observer: () => caller.abort('gone') }, () => gate);
    expect(await settled(guard.execute(throws('no'), { signal: caller.signal }))).toEqual({ error: 'gone' });
    expect(gate.verdicts).toEqual(['failure']);
  });

  it('that came before the call starts nothing', async () => {
    const { clock, guard } = setUp();
    const { fn, tries } = script(clock, throws('no'));
    expect(await settled(guard.execute(fn, { signal: AbortSignal.abort('gone') }))).toEqual({ error: 'gone' });
    expect(tries).toHaveLength(0);
  });
});
