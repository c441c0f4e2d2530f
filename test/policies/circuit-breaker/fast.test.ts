import { type CircuitBreaker, circuitBreaker, type Mode } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe("recovery: 'fast'", () => {
  const end = (breaker: CircuitBreaker, verdict: 'success' | 'failure'): void => {
    if (breaker.tryAcquire()) breaker.release(verdict, 0);
  };

  it('begins when more than k calls have ended for each that succeeded', () => {
    const breaker = circuitBreaker({ clock: manualClock() });
    for (let i = 0; i < 20; i++) end(breaker, i % 2 ? 'failure' : 'success');
    expect(breaker.snapshot()).toMatchObject({ requests: 20, accepts: 10, state: 'closed' });
    end(breaker, 'failure');
    expect(breaker.snapshot()).toMatchObject({ requests: 21, accepts: 10, state: 'throttling' });
  });

  it('does not begin with a call that succeeds', () => {
    const breaker = circuitBreaker({ clock: manualClock(), minRequests: 10 });
    for (let i = 0; i < 9; i++) end(breaker, 'failure');
    end(breaker, 'success');
    expect(breaker.snapshot().state).toBe('closed');
    end(breaker, 'failure');
    expect(breaker.snapshot().state).toBe('throttling');
  });

  it('sends the calls that are in flight when it begins first off what the callee has earned', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock, random: () => 0.999 });
    for (let i = 0; i < 60; i++) breaker.tryAcquire();
    for (let i = 0; i < 10; i++) breaker.release('failure', 0);
    for (let i = 0; i < 30; i++) breaker.release('success', 0);
    clock.jump(400);
    // 58.5 are earned, of which 53.2 are released by now; 50 were in flight.
    const sent = Array.from({ length: 100 }, () => breaker.tryAcquire()).filter(Boolean);
    expect(sent.length).toBe(3);
  });

  it('counts calls that fail after longer than the window', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock, windowMs: 1_000 });
    for (let i = 0; i < 20; i++) breaker.tryAcquire();
    clock.jump(5_000);
    breaker.tryAcquire();
    for (let i = 0; i < 20; i++) breaker.release('failure', 5_000, { startedAt: 0 });
    expect(breaker.snapshot().state).toBe('throttling');
  });

  it('forgets what it counted when the callee is well again', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock });
    const slow = { startedAt: 0 };
    for (let i = 0; i < 10; i++) breaker.tryAcquire(slow);
    for (let i = 0; i < 50; i++) end(breaker, 'failure');
    for (let i = 0; i < 300; i++) {
      clock.jump(10);
      end(breaker, 'success');
    }
    const { requests, accepts, state } = breaker.snapshot();
    expect(state).toBe('closed');
    expect(accepts).toBe(requests);
    expect(requests).toBeLessThan(200);
    // Nor do calls count that began before: neither as accepted, nor to be taken back.
    for (let i = 0; i < 5; i++) breaker.tryAcquire();
    for (const verdict of ['success', 'ignored', 'success', 'ignored'] as const) breaker.release(verdict, 0, slow);
    expect(breaker.snapshot()).toMatchObject({ requests: requests + 5, accepts });
  });

  it.each(['enforce', 'shadow'] as const)('tells its state, when it changes: %s', (mode) => {
    const clock = manualClock();
    const events: unknown[] = [];
    const breaker = circuitBreaker({
      clock,
      mode,
      observer: (event) => event.type === 'circuit_state' && events.push(event),
    });
    expect([breaker.snapshot().state, events]).toEqual(['closed', []]);
    const shadow = mode === 'shadow';
    for (let i = 0; i < 10; i++) {
      breaker.tryAcquire();
      breaker.release('failure', 0);
    }
    expect(events).toEqual([{ type: 'circuit_state', policy: 'circuitBreaker', at: 0, state: 'throttling', shadow }]);
    clock.jump(20_000);
    breaker.tryAcquire();
    expect(events[1]).toEqual({
      type: 'circuit_state',
      policy: 'circuitBreaker',
      at: 20_000,
      state: 'closed',
      shadow,
    });
  });

  it('lets a call through when the time it gave has passed, and not before', () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock });
    for (let i = 0; i < 10; i++) {
      breaker.tryAcquire();
      breaker.release('failure', 0);
    }
    for (let i = 0; i < 20; i++) {
      expect(breaker.tryAcquire()).toBe(false);
      const waitMs = breaker.retryAfterMs();
      expect(waitMs).toBeGreaterThan(0);
      clock.jump(waitMs - 0.001);
      expect(breaker.tryAcquire()).toBe(false);
      clock.jump(0.002);
      expect(breaker.tryAcquire()).toBe(true);
      breaker.release('failure', 0);
    }
  });

  it('in shadow mode a call that would have been refused gives nothing back', () => {
    let refused = 0;
    const breaker = circuitBreaker({
      clock: manualClock(),
      mode: 'shadow',
      observer: (event) => event.type === 'rejected' && refused++,
    });
    for (let i = 0; i < 10; i++) end(breaker, 'failure');
    for (let i = 0; i < 20; i++) {
      expect(breaker.tryAcquire({ startedAt: 1 })).toBe(true);
      breaker.release('ignored', 0, { startedAt: 1 });
    }
    expect(refused).toBe(20);
  });

  it('refunds the right that a call has spent, whatever the mode, and none that it has not', () => {
    const admitted = (after: Mode): boolean[] => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, random: () => 0.999 });
      for (let i = 0; i < 10; i++) end(breaker, 'failure');
      clock.jump(1_200);
      breaker.update({ mode: 'shadow' });
      const probe = { startedAt: clock.now() };
      const refused = Array.from({ length: 5 }, () => ({ startedAt: clock.now() }));
      // The probe spends a right; the others are let through by the mode alone.
      for (const ctx of [probe, ...refused]) expect(breaker.tryAcquire(ctx)).toBe(true);
      breaker.update({ mode: after });
      for (const ctx of refused) breaker.release('ignored', 0, ctx);
      breaker.update({ mode: 'enforce' });
      const before = [breaker.tryAcquire(), breaker.tryAcquire()];
      breaker.update({ mode: after });
      breaker.release('ignored', 0, probe);
      breaker.update({ mode: 'enforce' });
      return [...before, breaker.tryAcquire(), breaker.tryAcquire()];
    };
    for (const mode of ['enforce', 'shadow', 'off'] as const)
      expect(admitted(mode)).toEqual([false, false, true, false]);
  });

  it.each([
    ['throws', [new Error('broken observer')]],
    ['is not there', []],
  ])('an observer that %s changes nothing for the call', async (_, reported) => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error));
    const breaker = circuitBreaker({
      clock: manualClock(),
      ...(reported.length > 0 && {
        observer: () => {
          throw new Error('broken observer');
        },
      }),
    });
    for (let i = 0; i < 10; i++) {
      breaker.tryAcquire({ startedAt: 1 });
      breaker.release('failure', 0, { startedAt: 1 });
    }
    await new Promise(setImmediate);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(thrown).toEqual(reported);
    expect(breaker.snapshot().state).toBe('throttling');
  });
});

it('a probe that tells nothing is no probe: the next call goes in its place', () => {
  const breaker = circuitBreaker({ clock: manualClock() });
  for (let i = 0; i < 20; i++) {
    if (breaker.tryAcquire({ startedAt: 1 })) breaker.release('failure', 0, { startedAt: 1 });
  }
  let at = 1;
  while (!breaker.tryAcquire({ startedAt: ++at }));
  for (let i = 0; i < 5; i++) {
    breaker.release('ignored', 0, { startedAt: at });
    expect(breaker.tryAcquire({ startedAt: ++at })).toBe(true);
  }
  breaker.release('failure', 0, { startedAt: at });
  expect(breaker.tryAcquire({ startedAt: ++at })).toBe(false);
});
