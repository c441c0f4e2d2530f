/** What holds many things stays within its bounds. Apart, since mutation testing leaves these seconds out. */
import { type Gate, keyed } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { expect, it } from 'vitest';
import { TimerQueue } from '../../../src/core/time/timers.js';
import { RecordingGate } from '../../simulation/recording-gate.js';

it('a timer queue holds a million timers and leaves nothing behind when they are cleared', () => {
  const queue = new TimerQueue();
  const count = 1_000_000;
  const handles: unknown[] = new Array(count);
  // 7,919 is prime to the count: every due time once, out of order.
  for (let i = 0; i < count; i++) handles[i] = queue.set(() => {}, (i * 7_919) % count);
  expect(queue.size).toBe(count);
  expect(queue.nextDueMs).toBe(0);
  for (let i = 0; i < count; i++) queue.clear(handles[i]);
  expect(queue.size).toBe(0);
  expect(queue.nextDueMs).toBe(Infinity);
});

it('keyed stays bounded under a million invented keys', () => {
  const clock = manualClock();
  const one = new RecordingGate('all', clock);
  const gate: Gate = {
    name: 'all',
    reason: 'rate_limited',
    clock,
    tryAcquire: () => true,
    release: () => {},
    retryAfterMs: () => 0,
    run: one.run,
  };
  const gates = keyed(() => gate, { maxKeys: 1_000 });
  let most = 0;
  for (let i = 0; i < 1_000_000; i++) {
    const ctx = { key: `key ${i}` };
    gates.tryAcquire(ctx);
    gates.release('success', 0, ctx);
    if (i % 100 === 0) most = Math.max(most, gates.snapshot().keys);
  }
  expect(most).toBe(1_000);
  expect(gates.snapshot()).toEqual({ keys: 1_000 });
});
