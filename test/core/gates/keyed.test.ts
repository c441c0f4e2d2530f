import {
  type Classify,
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  type Gate,
  keyed,
  pipeline,
  RejectedError,
  type ReleaseDetails,
  workPermits,
} from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type GateScript, RecordingGate } from '../../simulation/recording-gate.js';

let clock = manualClock();
let made: (string | undefined)[];
beforeEach(() => {
  clock = manualClock();
  made = [];
});

const make = (key: string | undefined, script: Partial<GateScript> = {}): RecordingGate => {
  made.push(key);
  return new RecordingGate(`gate of ${key}`, clock, script);
};

describe('keyed', () => {
  it('makes one gate a key, and one for the calls without a key', () => {
    const gates = keyed((key) => make(key));
    for (const key of ['a', 'b', undefined, 'a', undefined, 'b', 'undefined']) {
      expect(gates.tryAcquire({ ...(key !== undefined && { key }) })).toBe(true);
    }
    gates.tryAcquire();
    expect(made.sort()).toEqual(['a', 'b', 'undefined', undefined]);
    expect(gates.snapshot()).toEqual({ keys: 3 });
    expect(gates.peek('a')?.permitsInUse).toBe(2);
    expect(gates.peek()?.permitsInUse).toBe(3);
    expect(gates.peek('undefined')?.permitsInUse).toBe(1);
    expect(gates.peek('never used')).toBe(undefined);
  });

  it('is not fooled by keys that objects have by themselves', () => {
    const gates = keyed((key) => make(key));
    for (const key of ['__proto__', 'constructor', '', 'size']) gates.tryAcquire({ key });
    expect(gates.snapshot()).toEqual({ keys: 4 });
  });

  it('gives a permit back to the gate that it came from, with what it is told', async () => {
    const gates = keyed((key) => make(key));
    await pipeline(gates).execute(() => clock.jump(5), { key: 'a' });
    await pipeline(gates)
      .execute(() => Promise.reject(new Error('x')), { key: 'b' })
      .catch(() => {});
    expect([gates.peek('a')?.verdicts, gates.peek('b')?.verdicts]).toEqual([['success'], ['failure']]);
    expect(gates.peek('a')?.log.at(-1)?.rest.slice(0, 2)).toEqual(['success', 5]);
    gates.release('success', 0, { key: 'never used' });
    gates.release('success', 0, { key: 'a' });
    expect(gates.peek('a')?.permitsInUse).toBe(0);
    gates.tryAcquire();
    expect(gates.peek()?.permitsInUse).toBe(1);
    gates.release('success', 0);
    expect(gates.peek()?.permitsInUse).toBe(0);
  });

  it('refuses by its own name, with the reason and the advice of the gate that refused', async () => {
    const gates = keyed(
      (key) => make(key, key === 'bad' ? { admit: ['no'], reason: 'circuit_open', retryAfter: [40] } : {}),
      {
        name: 'hosts',
      },
    );
    expect(await pipeline(gates).tryExecute(() => 1, { key: 'good' })).toEqual({ ok: true, value: 1 });
    expect(await pipeline(gates).tryExecute(() => 1, { key: 'bad' })).toEqual({
      ok: false,
      rejection: { policy: 'hosts', reason: 'circuit_open', retryAfterMs: 40 },
    });
  });

  it('gives a refusal the stack trace that the key’s gate wants', async () => {
    const gates = keyed((key) => make(key, { admit: ['no'], captureStack: key === 'traced' }));
    expect(gates.captureStack).toBe(false);
    for (const key of ['plain', 'traced', 'plain']) {
      const error: Error = await pipeline(gates)
        .execute(() => 1, { key })
        .catch((e) => e);
      expect(error.stack?.includes('gate-step.ts')).toBe(key === 'traced');
    }
  });

  it('has a classify before any gate has one, as the pipeline asks for it once; the default where a gate has none', () => {
    const gates = keyed((key) => Object.assign(make(key), key === 'own' ? { classify: () => 'dropped' as const } : {}));
    const { classify } = gates;
    for (const key of ['default', 'own']) gates.tryAcquire({ key });
    const verdicts = ['own', 'default', 'new'].map((key) =>
      classify?.({ ok: true, value: 1 }, { key } as unknown as Context),
    );
    expect(verdicts).toEqual(['dropped', 'success', 'success']);
    const refused = new RejectedError({ policy: 'inner', reason: 'too_old', retryAfterMs: 0 });
    expect(classify?.({ ok: false, error: refused }, { key: 'new' } as unknown as Context)).toBe('ignored');
  });

  it('judges outcomes by the classify of the key’s gate, where that has one', async () => {
    const classify: Classify = ({ ok }) => (ok ? 'dropped' : 'success');
    const gates = keyed((key) => Object.assign(make(key), key === 'own' ? { classify } : {}));
    const inFront = new RecordingGate('in front', clock);
    for (const key of ['default', 'own', 'default']) {
      await pipeline(inFront, gates).execute(() => 1, { key });
      await pipeline(inFront, gates)
        .execute(() => Promise.reject(new Error('x')), { key })
        .catch(() => {});
    }
    expect(gates.peek('own')?.verdicts).toEqual(['dropped', 'success']);
    expect(gates.peek('default')?.verdicts).toEqual(['success', 'failure', 'success', 'failure']);
  });

  it('spares the second clock read while no gate uses the elapsed time', () => {
    const gates = keyed((key) => make(key, { usesElapsed: key === 'uses' }));
    gates.tryAcquire({ key: 'a' });
    expect(gates.usesElapsed).toBe(false);
    gates.tryAcquire({ key: 'uses' });
    expect(gates.usesElapsed).toBe(true);
  });

  it('uses the elapsed time from the next call on when an update makes a gate use it', () => {
    const gates = keyed(() => concurrencyLimiter({ clock, load: () => 1, minLimit: 2, maxLimit: 2 }));
    gates.tryAcquire({ key: 'a' });
    expect(gates.usesElapsed).toBe(false);
    gates.peek('a')?.update({ maxLimit: 3 });
    gates.tryAcquire({ key: 'a' });
    expect(gates.usesElapsed).toBe(true);
  });

  it('holds work as the gates do, and passes on what is said of it', () => {
    const plain = keyed((key) => make(key));
    expect(plain.holds).toBe(undefined);
    const permits = workPermits({ abandonedMs: 70 });
    const told: unknown[] = [];
    const holding = (key: string | undefined): Gate =>
      Object.assign(make(key), {
        holds: permits,
        answered: (verdict: string, elapsedMs: number, ctx: unknown) =>
          told.push(['answered', key, verdict, elapsedMs, ctx]),
        release: (verdict: string, elapsedMs: number, ctx: unknown, details?: ReleaseDetails) =>
          told.push(['release', key, verdict, elapsedMs, ctx, details]),
      });
    const gates = keyed(holding);
    expect(gates.holds).toBe(permits);
    const ctx = { key: 'a' };
    gates.answered?.('success', 5, ctx);
    expect(told).toEqual([]);
    gates.tryAcquire(ctx);
    gates.answered?.('success', 5, ctx);
    gates.release('ignored', 7, ctx, { abandoned: true });
    expect(told).toEqual([
      ['answered', 'a', 'success', 5, ctx],
      ['release', 'a', 'ignored', 7, ctx, { abandoned: true }],
    ]);
    gates.answered?.('success', 5, ctx);
    expect(told).toHaveLength(2);
  });

  it('wants one clock for all gates', () => {
    const gates = keyed((key) => new RecordingGate('gate', key === 'odd' ? manualClock() : clock));
    expect(gates.tryAcquire({ key: 'a' })).toBe(true);
    expect(() => gates.tryAcquire({ key: 'odd' })).toThrow('keyed: make must give all gates one clock');
    expect(gates.peek('odd')).toBe(undefined);
    expect(() => pipeline(gates, new RecordingGate('other', manualClock()))).toThrow(/must share one clock/);
  });

  it('keeps the breakers of two hosts apart', async () => {
    const breakers = keyed(() => circuitBreaker({ clock, random: () => 0, minRequests: 1 }));
    const policies = pipeline(breakers);
    for (let i = 0; i < 50; i++) {
      await policies.tryExecute(() => Promise.reject(new Error('down')), { key: 'bad host' }).catch(() => {});
      expect(await policies.tryExecute(() => 1, { key: 'good host' })).toEqual({ ok: true, value: 1 });
    }
    expect(breakers.peek('bad host')?.snapshot().state).toBe('throttling');
    expect(breakers.peek('good host')?.snapshot()).toMatchObject({ state: 'closed', requests: 50, accepts: 50 });
  });
});

describe('keyed by hand', () => {
  it.each([undefined, {}, 'breaker'])('refuses %s for make', (wrong) => {
    expect(() => keyed(wrong as never)).toThrow(`keyed: make must be a function, got ${typeof wrong}`);
  });

  it('may be run as any policy, for a context of somebody else’s making', async () => {
    const gates = keyed((key) => make(key, key === 'bad' ? { admit: ['no'], reason: 'circuit_open' } : {}));
    const ctx = (key: string) => ({ key, clock, startedAt: 0 }) as unknown as Context;
    expect(await gates.run(ctx('good'), async () => 'done')).toBe('done');
    expect(gates.peek('good')?.verdicts).toEqual(['success']);
    const refused = { policy: 'keyed', reason: 'circuit_open' };
    await expect(gates.run(ctx('bad'), async () => 'never')).rejects.toMatchObject(refused);
  });

  it('has no advice for a key that it does not know, and the reason of a gate before any refusal', () => {
    const gates = keyed((key) => make(key, { reason: 'too_old', retryAfter: [9] }));
    expect([gates.retryAfterMs({ key: 'new' }), gates.retryAfterMs()]).toEqual([0, 0]);
    expect(gates.reason).toBe('too_old');
    expect(gates.retryAfterMs()).toBe(9);
  });
});

describe('the number of keys', () => {
  const keys = fc.array(fc.integer({ min: 0, max: 9 }).map(String), { maxLength: 100 });

  it('is bounded by maxKeys; the least recently used goes first, with all that it had counted', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), keys, (maxKeys, list) => {
        const gates = keyed((key) => make(key), { maxKeys });
        let model: { key: string; gate: Gate | undefined }[] = [];
        for (const key of list) {
          gates.tryAcquire({ key });
          gates.release('success', 0, { key });
          const known = model.find((one) => one.key === key);
          const gate = gates.peek(key);
          if (known !== undefined) expect(gate).toBe(known.gate);
          else expect(model.map((one) => one.gate)).not.toContain(gate);
          model = [...model.filter((one) => one !== known), { key, gate }].slice(-maxKeys);
          for (let i = 0; i < 10; i++) {
            expect(gates.peek(String(i))).toBe(model.find((one) => one.key === String(i))?.gate);
          }
          expect(gates.snapshot()).toEqual({ keys: model.length });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('never costs a key its gate while it has calls in flight, and grows by no more than those', () => {
    const operations = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 30 }).map(String)), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), operations, (maxKeys, list) => {
        const gates = keyed((key) => make(key), { maxKeys });
        const inFlight = new Map<string, { gate: Gate | undefined; calls: number }>();
        let most = 0;
        for (const [begins, key] of list) {
          const known = inFlight.get(key);
          if (begins) {
            gates.tryAcquire({ key });
            inFlight.set(key, { gate: gates.peek(key), calls: (known?.calls ?? 0) + 1 });
            if (known) expect(gates.peek(key)).toBe(known.gate);
          } else if (known) {
            gates.release('success', 0, { key });
            expect((known.gate as RecordingGate).verdicts.length).toBeGreaterThan(0);
            if (known.calls === 1) inFlight.delete(key);
            else known.calls--;
          }
          for (const [busy, { gate, calls }] of inFlight) {
            expect(gates.peek(busy)).toBe(gate);
            expect((gate as RecordingGate).permitsInUse).toBe(calls);
          }
          most = Math.max(most, inFlight.size);
          expect(gates.snapshot().keys).toBeLessThanOrEqual(maxKeys + most);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('comes back to maxKeys once calls have ended and others begin', () => {
    const gates = keyed((key) => make(key), { maxKeys: 10 });
    for (let i = 0; i < 100; i++) gates.tryAcquire({ key: `busy ${i}` });
    expect(gates.snapshot()).toEqual({ keys: 100 });
    for (let i = 0; i < 100; i++) gates.release('success', 0, { key: `busy ${i}` });
    for (let i = 0; i < 100; i++) {
      gates.tryAcquire({ key: `new ${i}` });
      gates.release('success', 0, { key: `new ${i}` });
    }
    expect(gates.snapshot()).toEqual({ keys: 10 });
  });
});
