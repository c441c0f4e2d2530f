/**
 * A call is settled if and only if it was counted, whatever the mode does in between: a gate on which the mode changes has
 * to stand as one on which it does not, and which never saw the calls that were not counted.
 */
import {
  type Context,
  circuitBreaker,
  concurrencyLimiter,
  deadline,
  type Gate,
  keyed,
  keyedRateLimiter,
  type Mode,
  rateLimiter,
  tierShedder,
  type Verdict,
} from 'evenkeel';
import { type ManualClock, manualClock } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';

type AnyGate = Gate & { update(options: { mode: Mode }): void };

interface Subject {
  make(clock: ManualClock): AnyGate;
  /** Whether a call is counted that begins in this mode; `refused`: it is not let in. */
  admits?(mode: Mode): 'counted' | 'uncounted' | 'refused';
  /** What happens first, in mode enforce. */
  history?(gate: AnyGate, clock: ManualClock): void;
  /** All that can be seen of what was counted. */
  seen(gate: AnyGate, clock: ManualClock): unknown;
}

const KEY = 'a';
const fill = (calls: number, verdict: Verdict) => (gate: AnyGate, clock: ManualClock) => {
  for (let i = 0; i < calls; i++) {
    const ctx = { startedAt: clock.now(), key: KEY };
    if (gate.tryAcquire(ctx)) gate.release(verdict, 0, ctx);
  }
  clock.jump(60);
};

/** What the next calls meet, after what a snapshot says. */
const decisions = (gate: AnyGate, clock: ManualClock): boolean[] =>
  Array.from({ length: 30 }, () => {
    clock.jump(20);
    const ctx = { startedAt: clock.now(), key: KEY };
    const taken = gate.tryAcquire(ctx);
    if (taken) gate.release('success', 0, ctx);
    return taken;
  });

const breaker = (recovery: 'fast' | 'sre', calls: number): Subject => ({
  make: (clock) => circuitBreaker({ clock, recovery, windowMs: 2_000, minRequests: 1, random: () => 0.5 }),
  admits: (mode) => (mode === 'off' ? 'uncounted' : 'counted'),
  history: (gate, clock) => {
    fill(calls, 'failure')(gate, clock);
    // Something is earned, so that a right more or less shows.
    if (calls > 0 && recovery === 'fast') gate.release('success', 60, waiting(gate, clock));
    clock.jump(30);
  },
  seen: (gate, clock) => [(gate as ReturnType<typeof circuitBreaker>).snapshot(), decisions(gate, clock)],
});

/** The context of a call that is let in although the breaker throttles. */
function waiting(gate: AnyGate, clock: ManualClock): Partial<Context> {
  clock.jump(500);
  const ctx = { startedAt: clock.now(), key: KEY };
  expect(gate.tryAcquire(ctx)).toBe(true);
  return ctx;
}

const quota = (options: { algorithm?: 'log' | 'counter'; limit: number }): Subject => {
  const full = options.limit === 1;
  return {
    make: (clock) => rateLimiter({ windowMs: 1_000, clock, ...options }),
    admits: (mode) => (mode === 'off' ? 'uncounted' : !full ? 'counted' : mode === 'shadow' ? 'uncounted' : 'refused'),
    history: (gate, clock) => full && gate.tryAcquire({ startedAt: clock.now(), key: KEY }),
    seen: (gate) => (gate as ReturnType<typeof rateLimiter>).snapshot(),
  };
};

const SUBJECTS: Record<string, Subject> = {
  'a breaker': breaker('fast', 0),
  'a breaker that throttles': breaker('fast', 20),
  'a breaker, sre': breaker('sre', 4),
  'a breaker a key': {
    ...breaker('fast', 0),
    make: (clock) => {
      const gates = keyed(() => circuitBreaker({ clock, minRequests: 1, random: () => 0.5 }));
      return Object.assign(gates, {
        update: (options: { mode: Mode }) => {
          for (const key of [undefined, KEY]) {
            if (gates.peek(key) === undefined) {
              gates.tryAcquire(key === undefined ? {} : { key });
              gates.release('ignored', 0, key === undefined ? {} : { key });
            }
            gates.peek(key)?.update(options);
          }
        },
      });
    },
    seen: (gate, clock) => {
      const gates = gate as unknown as ReturnType<typeof keyed<ReturnType<typeof circuitBreaker>>>;
      return [gates.peek()?.snapshot(), gates.peek(KEY)?.snapshot(), decisions(gate, clock)];
    },
  },
  'a quota by buckets': quota({ limit: 5 }),
  'a quota by log': quota({ limit: 5, algorithm: 'log' }),
  'a quota by counters': quota({ limit: 5, algorithm: 'counter' }),
  'a quota that is used up': quota({ limit: 1 }),
  'a quota a key': {
    ...quota({ limit: 5 }),
    make: (clock) => keyedRateLimiter({ limit: 5, windowMs: 1_000, clock }),
    seen: (gate) => [undefined, KEY].map((key) => (gate as ReturnType<typeof keyedRateLimiter>).peek(key)),
  },
  'a deadline': {
    make: (clock) => deadline({ clock, maxAgeMs: 1_000 }),
    admits: (mode) => (mode === 'off' ? 'uncounted' : 'counted'),
    history: fill(3, 'success'),
    seen: (gate) => (gate as ReturnType<typeof deadline>).snapshot(),
  },
  'a tier shedder': {
    make: (clock) => tierShedder({ clock, load: () => 0.8, random: () => 0.5, hour: () => 1 }),
    admits: (mode) => (mode === 'off' ? 'uncounted' : 'counted'),
    history: (gate, clock) => {
      for (const verdict of ['success', 'success', 'success', 'failure'] as const) {
        const ctx = { startedAt: clock.now(), key: KEY };
        gate.tryAcquire(ctx);
        gate.release(verdict, 0, ctx);
      }
    },
    seen: (gate, clock) => {
      clock.jump(50);
      const ctx = { startedAt: clock.now(), key: KEY };
      if (gate.tryAcquire(ctx)) gate.release('success', 0, ctx);
      return (gate as ReturnType<typeof tierShedder>).snapshot();
    },
  },
  'a concurrency limiter': {
    make: (clock) => concurrencyLimiter({ clock, load: () => 1, maxLimit: 50, windowMs: 1_000 }),
    admits: (mode) => (mode === 'off' ? 'uncounted' : 'counted'),
    seen: (gate, clock) => {
      clock.jump(11);
      const ctx = { startedAt: clock.now(), key: KEY };
      gate.tryAcquire(ctx);
      gate.release('ignored', 0, ctx);
      return (gate as ReturnType<typeof concurrencyLimiter>).snapshot();
    },
  },
};

const MODES = ['enforce', 'shadow', 'off'] as const;
const VERDICTS = ['success', 'failure', 'dropped', 'ignored'] as const;
const CONTEXTS = ['a context each', 'none', 'one reused'] as const;
/** What came before, in the same instant: a call in this mode that ended, or one that never did. */
const EARLIER = ['nothing', 'off', 'shadow', 'off, never ended'] as const;

interface Case {
  before: Mode;
  after: Mode;
  verdict: Verdict;
  elapsedMs: number;
  context: (typeof CONTEXTS)[number];
  earlier: (typeof EARLIER)[number];
}

/** With `switches` false, the modes stay as the calls found them, and uncounted calls do not come. */
function run(subject: Subject, one: Case, switches: boolean): unknown {
  const clock = manualClock(10_000);
  const gate = subject.make(clock);
  const admits = subject.admits ?? (() => 'counted');
  gate.update({ mode: 'enforce' });
  subject.history?.(gate, clock);
  const reused = { key: KEY };
  const contextOf = (): Partial<Context> | undefined =>
    one.context === 'none' ? undefined : one.context === 'one reused' ? reused : { startedAt: clock.now(), key: KEY };

  const call = (before: Mode, after: Mode, verdict: Verdict, elapsedMs: number, ends = true): void => {
    gate.update({ mode: before });
    const how = admits(before);
    if (switches || how === 'counted') {
      const ctx = contextOf();
      const taken = gate.tryAcquire(ctx);
      clock.jump(elapsedMs);
      if (switches) gate.update({ mode: after });
      if (taken && ends) gate.release(verdict, elapsedMs, ctx);
    } else clock.jump(elapsedMs);
  };
  if (one.earlier === 'shadow') call('shadow', 'shadow', 'failure', 0);
  else if (one.earlier === 'off') call('off', 'enforce', 'success', 0);
  else if (one.earlier === 'off, never ended') call('off', 'enforce', 'success', 0, false);
  call(one.before, one.after, one.verdict, one.elapsedMs);
  gate.update({ mode: 'enforce' });
  const seen = subject.seen(gate, clock);
  return JSON.stringify(seen, (key, value) => (key === 'inflight' ? undefined : value));
}

function* cases(): Generator<Case> {
  for (const before of MODES)
    for (const after of MODES)
      for (const verdict of VERDICTS)
        for (const elapsedMs of [0, 7])
          for (const context of CONTEXTS)
            for (const earlier of EARLIER) {
              // Without a context the one that never ended is taken for the one that ends.
              if (context === 'none' && earlier === 'off, never ended') continue;
              yield { before, after, verdict, elapsedMs, context, earlier };
            }
}

describe.each(Object.entries(SUBJECTS))('%s', (_, subject) => {
  it('settles a call if and only if it was counted', () => {
    const wrong: string[] = [];
    let differ = 0;
    for (const one of cases()) {
      const seen = run(subject, one, true);
      if (seen !== run(subject, one, false)) wrong.push(JSON.stringify(one));
      if (seen !== run(subject, { ...one, verdict: one.verdict === 'ignored' ? 'success' : 'ignored' }, true)) differ++;
    }
    expect([wrong.length, wrong.slice(0, 5)]).toEqual([0, []]);
    // Or nothing of it could be seen.
    if (subject.admits?.('enforce') !== 'refused') expect(differ).toBeGreaterThan(0);
  });

  it.each(VERDICTS)('settles nothing without an acquire: %s', (verdict) => {
    const look = (releases: boolean): unknown => {
      const clock = manualClock(10_000);
      const gate = subject.make(clock);
      for (const ctx of releases ? [undefined, {}, { startedAt: 10_000, key: KEY }] : []) gate.release(verdict, 0, ctx);
      return subject.seen(gate, clock);
    };
    expect(look(true)).toEqual(look(false));
  });
});
