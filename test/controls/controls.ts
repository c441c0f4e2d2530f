import { readFileSync } from 'node:fs';

/**
 * Known bugs of other systems, each as a change of ours (section 2 of each chapter of ALGORITHMS; sources beside each).
 * `npm run test:controls` plants them one at a time and wants the named tests to fail.
 */
export interface Control {
  /** What is wrong, and whose bug it was. */
  bug: string;
  /** In src. */
  file: string;
  /** Occurs once in it. */
  find: string;
  replace: string;
  /** In test: which of them have to notice. */
  tests: readonly string[];
}

const BREAKER = 'policies/circuit-breaker/circuit-breaker.ts';
const TIMEOUT = 'policies/dynamic-timeout/dynamic-timeout.ts';
const LITTLE = 'policies/concurrency-limiter/little-law.ts';
const BREAKER_TESTS = ['formula', 'counts', 'fast', 'recovery'].map(
  (name) => `policies/circuit-breaker/${name}.test.ts`,
);
const LIMITER_TESTS = [
  'policies/concurrency-limiter/known-bugs.test.ts',
  'policies/concurrency-limiter/saturation.test.ts',
];
const RETRY_TESTS = ['retry', 'abort', 'wait'].map((name) => `policies/retry/${name}.test.ts`);
const RING = 'workers/ring-buffer/protocol.ts';
// Each what ends with it: some bugs keep the search of the model from coming to an end.
const RING_TESTS = ['workers/ring-buffer/ring.test.ts'];
const RING_SEARCH = ['workers/ring-buffer/model.test.ts'];
const LEDGER_TESTS = ['workers/isolation/ledger.test.ts'];
const SETS_TESTS = ['workers/isolation/sets.test.ts'];

// biome-ignore format: one line a bug and its change
export const CONTROLS: readonly Control[] = [
  // The kernel.
  { bug: 'a silent hour moves the window on by one bucket (cockatiel SamplingBreaker)',
    file: 'core/numbers/rolling-window.ts', find: 'const steps = Math.min(bucket - this.#head, this.#buckets);', replace: 'const steps = 1;',
    tests: ['core/numbers/rolling-window.test.ts'] },
  { bug: 'a call that throws keeps its permit (Netflix SimpleLimiter over VegasLimit)',
    file: 'core/pipeline/gate-step.ts', find: 'return this.fail(error, ctx, undefined, undefined);', replace: 'throw error;',
    tests: ['core/pipeline/conservation.test.ts', 'core/pipeline/pipeline.test.ts'] },
  { bug: "a listener on the caller's signal stays after each call (nodejs/node #54614, #55351)",
    file: 'core/call/abort.ts', find: 'if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#unlink();', replace: 'void listener;',
    tests: ['core/call/abort.test.ts', 'core/call/abort-scope.test.ts'] },
  { bug: 'a policy may call next only once (koa-compose, hono)',
    file: 'core/call/promises.ts', find: 'try {\n    return Promise.resolve(next(ctx));', replace: "try {\n    if ((next as { done?: boolean }).done) throw new Error('next() called multiple times');\n    (next as { done?: boolean }).done = true;\n    return Promise.resolve(next(ctx));",
    tests: ['core/pipeline/pipeline.test.ts', 'core/pipeline/conservation.test.ts'] },

  // The life of a call: faults of 0.1.0 (FAULTS A and B).
  { bug: 'A1: a call its caller aborts costs no quota (rapid reset of HTTP/2)',
    file: 'policies/rate-limiter/rate-limit-gate.ts', find: ' || (ctx !== undefined && wasSent(ctx))', replace: '',
    tests: ['policies/rate-limiter/sent.test.ts'] },
  { bug: 'A3: work that goes on has given its permit back',
    file: 'core/pipeline/work-permits.ts', find: 'if (!(this.abandonedMs > 0) || !isWorking(ctx, besides)) {', replace: 'if (this.abandonedMs >= 0) {',
    tests: ['core/pipeline/two-moments.test.ts'] },
  { bug: 'A4: a call is settled by the mode at its end, not by whether it was counted',
    file: 'policies/circuit-breaker/circuit-breaker.ts', find: 'if (admission === UNCOUNTED) return;', replace: "if (this.mode === 'off') return;",
    tests: ['core/gates/settled-if-counted.test.ts'] },
  { bug: 'A5: a mark of an earlier call speaks of a later one of the same context',
    file: 'core/gates/ledger.ts', find: "// A call of the same context that never ended: its mark is not about this one.\n      this.#unmark(ctx);", replace: '',
    tests: ['core/gates/ledger.test.ts', 'core/gates/settled-if-counted.test.ts'] },
  { bug: 'B1: outside hears of the end before what is inside has settled',
    file: 'core/pipeline/limited-calls.ts', find: 'afterMicrotasks(\n      grace,', replace: 'afterMicrotasks(\n      1,',
    tests: ['core/pipeline/two-moments.test.ts'] },
  { bug: "B2: the caller's abort is lost once a body is returned",
    file: 'core/pipeline/limited-calls.ts', find: 'if (ok && call.hasScope) followAbort(outer, call, result);', replace: '',
    tests: ['core/call/body.test.ts'] },
  { bug: 'B2: a body that breaks off counts as a success',
    file: 'core/call/body.ts', find: "this.#failed ? 'dropped' : 'success'", replace: "'success'",
    tests: ['core/call/body.test.ts'] },
  { bug: 'B4: a wait that a caller awaits does not keep the process alive',
    file: 'core/time/timers.ts', find: 'if (!this.#holds) this.#host.unref?.();', replace: 'this.#host.unref?.();',
    tests: ['core/time/host-timers.test.ts', 'core/time/clock.test.ts'] },
  { bug: 'B5: retryOn is told the context of the first try, whichever failed',
    file: 'policies/retry/retry.ts', find: 'return ok || this.#retryOn(result, ctx);', replace: 'return ok || this.#retryOn(result, { ...ctx, attempt: 0 });',
    tests: ['policies/retry/answers.test.ts', 'policies/retry/retry.test.ts'] },
  { bug: 'B6: a wait that is asked for is shortened to maxDelayMs',
    file: 'policies/retry/retry.ts', find: 'if (askedMs > maxDelayMs || askedMs >= leftMs) return Infinity;', replace: '',
    tests: ['policies/retry/wait.test.ts'] },
  { bug: 'B7: all who were told the same time come back at it',
    file: 'policies/retry/retry.ts', find: 'askedMs + this.#random() * Math.min(askedMs * SPREAD, (leftMs - askedMs) / 2)', replace: 'askedMs',
    tests: ['policies/retry/wait.test.ts'] },
  { bug: 'B8: a look closes the circuit',
    file: 'policies/circuit-breaker/circuit-breaker.ts', find: 'if (this.#throttling && this.#isOver(requests)) {', replace: 'if (this.#throttling && this.#isOver(requests)) {\n      this.#close(now);',
    tests: ['core/gates/looks.test.ts', 'policies/circuit-breaker/fast.test.ts'] },
  { bug: 'B9: each copy of the library has earlier errors of its own',
    file: 'policies/retry/earlier-errors.ts', find: "Symbol.for('evenkeel.earlierErrors')", replace: "Symbol('evenkeel.earlierErrors')",
    tests: ['policies/retry/earlier-errors.test.ts'] },

  // 1. Circuit breaker.
  { bug: 'local refusals are not counted (go-zero #3837, Envoy, failsafe-go)',
    file: BREAKER, find: 'this.#window.addNow(REQUESTS, 1);', replace: 'if (admitted) this.#window.addNow(REQUESTS, 1);',
    tests: BREAKER_TESTS },
  { bug: 'accepts count when the call returns (go-zero #5011)',
    file: BREAKER, find: 'window.add(ACCEPTS, admittedAt, 1)', replace: 'window.addNow(ACCEPTS, 1)',
    tests: BREAKER_TESTS },
  { bug: 'a summary is read without expiring what is old (failsafe-go ExecutionCount)',
    file: BREAKER, find: 'this.#window.advance(now);', replace: '',
    tests: BREAKER_TESTS },
  { bug: 'a few calls after a cold start are enough to refuse (Envoy #33739)',
    file: BREAKER, find: 'if (ended < minRequests || ended <= k * successes) return;', replace: 'if (ended <= k * successes) return;',
    tests: BREAKER_TESTS },
  { bug: 'a call that tells nothing leaks its probe (resilience4j #544)',
    file: BREAKER, find: 'if (admission === COUNTED) this.#throttle?.refund(admittedAt);', replace: '',
    tests: [...BREAKER_TESTS, 'policies/circuit-breaker/throttle.test.ts'] },
  { bug: 'calls from before the break speak for the callee after it (Polly #216 to #219, #223)',
    file: 'policies/circuit-breaker/throttle.ts', find: 'if (sentAt <= this.#refusedAt) return;', replace: '',
    tests: [...BREAKER_TESTS, 'policies/circuit-breaker/throttle.test.ts'] },

  // 2. Concurrency limiter.
  { bug: 'admit, then count: one more than the limit (aegis bbr.go, Sentinel checkBbr)',
    file: 'policies/concurrency-limiter/concurrency-limiter.ts', find: 'if (this.#inflight < this.#limitFor(ctx) ||', replace: 'if (this.#inflight <= this.#limitFor(ctx) ||',
    tests: ['policies/concurrency-limiter/limiter.test.ts'] },
  { bug: 'no headroom: every limit under the capacity is a fixed point (aegis bbr.go, checked strictly)',
    file: LITTLE, find: 'return Math.max(this.#settings.headroomRatio * this.#boost, 1 / this.capacity);', replace: 'return 0;',
    tests: LIMITER_TESTS },
  { bug: 'never drained, so the least response time drifts (aegis #35, sentinel-golang #436, failsafe-go #127)',
    file: LITTLE, find: 'if (this.#isFixed) return;', replace: 'return;',
    tests: LIMITER_TESTS },
  { bug: 'the least response time is rounded up to whole milliseconds (aegis bbr.go)',
    file: LITTLE, find: 'return this.#throughput.value * this.#minRtt.value;', replace: 'return this.#throughput.value * Math.ceil(this.#minRtt.value);',
    tests: [...LIMITER_TESTS, 'policies/concurrency-limiter/little-law.test.ts'] },
  { bug: 'quick failures count as throughput (aegis bbr.go)',
    file: 'policies/concurrency-limiter/cohort.ts', find: "if (verdict === 'success') {", replace: "if (verdict === 'success' || verdict === 'failure') {",
    tests: LIMITER_TESTS },
  { bug: 'drops are no reason to shrink (Netflix/concurrency-limits #176)',
    file: LITTLE, find: 'Math.max(0.5, 1 - droppedRatio)', replace: '1',
    tests: [...LIMITER_TESTS, 'policies/concurrency-limiter/little-law.test.ts'] },

  // 3. Retries.
  { bug: 'a wait before a retry is deaf to the abort (cockatiel RetryPolicy)',
    file: 'policies/retry/retry.ts', find: 'else abortable?.add(stop);', replace: '',
    tests: RETRY_TESTS },
  { bug: 'retries outlive the deadline (linkerd #2369)',
    file: 'policies/retry/retry.ts', find: '!(at + waitMs < ctx.deadline) || !this.#allowed', replace: '!this.#allowed',
    tests: RETRY_TESTS },
  { bug: 'one more try than asked for (cockatiel maxAttempts)',
    file: 'policies/retry/retry.ts', find: 'retry > this.#limits.maxRetries', replace: 'retry > this.#limits.maxRetries + 1',
    tests: RETRY_TESTS },
  { bug: 'a window that was not used up grows (the article allows it only where g ≥ ⌊f⌋)',
    file: 'policies/retry-budget/retry-window.ts', find: 'if (closed.sent >= Math.floor(this.#window)) this.#probe ??= closed;', replace: 'this.#probe ??= closed;',
    tests: ['policies/retry-budget/retry-window.test.ts'] },
  { bug: 'tokens beyond the maximum (grpc-java #4060, grpc-swift #1689: the clamp)',
    file: 'policies/retry-budget/token-budget.ts', find: 'Math.min(this.#max, this.#tokens + this.#gain)', replace: 'this.#tokens + this.#gain',
    tests: ['policies/retry-budget/budgets.test.ts'] },

  // 4. Dynamic timeout.
  { bug: 'a NaN poisons the average for good (ema-timeout)',
    file: TIMEOUT, find: "'elapsedMs', elapsedMs, { min: 0 }));", replace: "'elapsedMs', 0, {}) + elapsedMs);",
    tests: ['policies/dynamic-timeout/dynamic-timeout.test.ts'] },
  { bug: 'averageMs at or over limitMs turns the limit round (ema-timeout)',
    file: TIMEOUT, find: '{ min: 0, below: limitMs }', replace: '{ min: 0 }',
    tests: ['bad-input.test.ts', 'policies/dynamic-timeout/dynamic-timeout.test.ts'] },
  { bug: 'a timed-out call counts as what it took (ema-timeout)',
    file: TIMEOUT, find: 'this.#ema.record(this.#limits.maxMs);', replace: 'this.#ema.record(timeoutMs);',
    tests: ['policies/dynamic-timeout/dynamic-timeout.test.ts'] },
  { bug: "the caller's abort is called a time-out (cockatiel TimeoutPolicy, aggressive)",
    file: 'core/pipeline/limited-call.ts', find: 'this.stopper.stop(this, outer.reason)', replace: 'this.stopper.due(this)',
    tests: ['policies/dynamic-timeout/dynamic-timeout.test.ts'] },

  // 5. Rate limiter.
  { bug: 'one more than the limit (liwala/ay-framework #375)',
    file: 'policies/rate-limiter/log.ts', find: '.plus(cost) > limit) return false;', replace: '.plus(cost) > limit + 1) return false;',
    tests: ['policies/rate-limiter/log-and-buckets.test.ts'] },
  { bug: 'the window slides only in the very ms (mokies/ratelimitj #24: == for <=)',
    file: 'policies/rate-limiter/log.ts', find: 'now - time >= this.#windowMs;', replace: 'now - time === this.#windowMs;',
    tests: ['policies/rate-limiter/log-and-buckets.test.ts'] },
  { bug: 'the wait is that for the oldest call, whatever is wanted (ratelimit_meter #36)',
    file: 'policies/rate-limiter/log.ts', find: 'waitUntil(this.#goneAt(this.#time(nth)), now)', replace: 'waitUntil(this.#goneAt(this.#time(0)), now)',
    tests: ['policies/rate-limiter/log-and-buckets.test.ts'] },
  { bug: 'the previous window is looked for in the wrong place: a fixed window (upstash/ratelimit-js #61)',
    file: 'policies/rate-limiter/two-counter-table.ts', find: 'passed === 1 ? (cells[at + CURRENT] as number) : 0', replace: '0',
    tests: ['policies/rate-limiter/counter.test.ts'] },
  { bug: 'a limit of 1 refuses every call (upstash/ratelimit-js #39)',
    file: 'policies/rate-limiter/two-counter-table.ts', find: '+ current + cost > limit) return false;', replace: '+ current + cost >= limit) return false;',
    tests: ['policies/rate-limiter/counter.test.ts'] },
  { bug: 'the fraction is cut off before the comparison (tempesta xFW #79)',
    file: 'policies/rate-limiter/two-counter-table.ts', find: 'return this.#now - window;', replace: 'return Math.trunc(this.#now - window);',
    tests: ['policies/rate-limiter/counter.test.ts'] },
  { bug: 'a changed limit does not hold at once (boulder #8785)',
    file: 'policies/rate-limiter/rate-limit-gate.ts', find: 'this.mode = mode;\n    this.#limit = limit;', replace: 'this.mode = mode;\n    this.clock.setTimer(() => { this.#limit = limit; }, this.windowMs);',
    tests: ['policies/rate-limiter/gate.test.ts', 'bad-input.test.ts'] },

  // 6. Balancer.
  { bug: 'an instance with 3 % errors fades to nothing (MSEC nlb agent.c)',
    file: 'policies/balancer/health.ts', find: 'Math.max(LEAST_WEIGHT, (this.successRatio / healthyRatio) ** 16)', replace: 'this.weight * this.successRatio ** 2',
    tests: ['policies/balancer/known-bugs.test.ts'] },
  { bug: 'all masked, and nobody is picked (MSEC nlb, of which only the panic threshold keeps)',
    file: 'policies/balancer/pool.ts', find: ' || this.#masked === size', replace: '',
    tests: ['policies/balancer/invariants.test.ts', 'policies/balancer/instances.test.ts'] },

  // 7. Deadline.
  { bug: "a limit as long as the client's timeout serves only what is lost already (MSEC's and QQ's trap)",
    file: 'policies/deadline/deadline.ts', find: 'return ageMs <= wholeMs - this.#marginOf(wholeMs);', replace: 'return ageMs <= wholeMs;',
    tests: ['policies/deadline/overload.test.ts', 'policies/deadline/deadline.test.ts'] },

  // 8. Tiers.
  { bug: 'the histogram is of admitted calls, not of offered ones (failsafe-go prioritizer)',
    file: 'policies/priority/admission.ts', find: '(this.#offered[place] as number) += 1;', replace: 'if (place < this.cutoff) (this.#offered[place] as number) += 1;',
    tests: ['policies/priority/admission.test.ts', 'policies/priority/overload.test.ts'] },

  // 9. Ring.
  { bug: 'a message is claimed, which frees its slot, and then copied (the article that the ring is from, taken literally)',
    file: RING, find: 'memory.copy(slot, length, into);\n    const time = memory.timeOf(slot);\n    if (!memory.cas(READ, at, (at + 1) | 0)) return AGAIN;', replace: 'if (!memory.cas(READ, at, (at + 1) | 0)) return AGAIN;\n    memory.copy(slot, length, into);\n    const time = memory.timeOf(slot);',
    tests: RING_SEARCH },
  { bug: 'a reader that was paused goes on as if nobody had claimed meanwhile (cloudtoid/interprocess PR #55)',
    file: RING, find: 'if (!memory.cas(READ, at, (at + 1) | 0)) return AGAIN;', replace: 'memory.cas(READ, at, (at + 1) | 0);',
    tests: RING_SEARCH },
  { bug: 'a batch is claimed without a look whether another was faster',
    file: RING, find: 'if (!memory.cas(READ, at, (at + count) | 0)) return AGAIN;', replace: 'memory.cas(READ, at, (at + count) | 0);',
    tests: RING_SEARCH },
  { bug: 'the writer laps the readers by one (Disruptor 3.1.1, 3.3.6)',
    file: RING, find: 'if (((next - this.read) | 0) < this.shape.capacity) return true;', replace: 'if (((next - this.read) | 0) <= this.shape.capacity) return true;',
    tests: RING_TESTS },
  { bug: 'a batch laps the readers by one',
    file: RING, find: 'while (from + count < to && this.hasRoom(count)) {', replace: 'while (from + count < to && this.hasRoom(count - 1)) {',
    tests: RING_TESTS },
  { bug: 'a write that wakes nobody, as somebody will come (Disruptor #119, #246)',
    file: RING, find: 'return this.unread() >= threshold ? this.#wake(count) : 0;', replace: 'return this.unread() > threshold ? this.#wake(count) : 0;',
    tests: RING_TESTS },
  { bug: 'a reader sleeps without another look after its announcement (the article)',
    file: RING, find: 'if (!this.hasUnread()) return signal;', replace: 'return signal;',
    tests: RING_SEARCH },
  { bug: 'a wake that reached nobody counts (spp: the process may have died)',
    file: RING, find: 'if (memory.notify(signalOf(id)) > 0) woken++;', replace: 'memory.notify(signalOf(id));\n    woken++;',
    tests: RING_TESTS },
  { bug: 'who gives up waiting keeps the wake that was meant for somebody',
    file: RING, find: 'if (this.leave()) wake(this.memory, this.shape.maxReaders, 1, this.id + 1);', replace: 'this.leave();',
    tests: RING_SEARCH },
  { bug: 'indices are compared as numbers, which ends after 2^31 messages',
    file: RING, find: 'return (this.written - at) | 0;', replace: 'return this.written - at;',
    tests: RING_TESTS },

  // 10. Sets.
  { bug: 'a killed call is tried again and the kill not counted: for ever (sidekiq #4069, faktory #99)',
    file: 'workers/isolation/worker-set.ts', find: 'if (killed) call.kills++;', replace: '',
    tests: SETS_TESTS },
  { bug: 'a call is ended twice: given up, and then answered',
    file: 'workers/isolation/call.ts', find: 'if (!this.#pending) return false;', replace: '',
    tests: ['workers/isolation/messages.test.ts'] },
  { bug: 'what a crashed worker held is never settled (poolifier #3211)',
    file: 'workers/isolation/worker-set.ts', find: 'if (held !== undefined) this.#again(held, dead?.diedOfMessage === true, error);', replace: 'void held;',
    tests: SETS_TESTS },
  { bug: 'what a worker has answered just before its death is done once more',
    file: 'workers/isolation/ledger.ts', find: 'const readIndex = workers.readIndex();\n    const living = workers.living();\n    workers.drain();', replace: 'workers.drain();\n    const readIndex = workers.readIndex();\n    const living = workers.living();',
    tests: LEDGER_TESTS },
  { bug: 'a message claimed by a worker that dies before it names it is lost (eclipse-iceoryx #1546)',
    file: 'workers/isolation/ledger.ts', find: 'if (!named.has(place)) orphans.push(place);', replace: '',
    tests: LEDGER_TESTS },
  { bug: 'after a time limit the message that is in the worker by then is blamed',
    file: 'workers/isolation/worker-slot.ts', find: "(this.#end === 'exit' || place === this.#tooLong)", replace: 'place >= 0',
    tests: ['workers/isolation/workers.test.ts'] },
];

/** Whether its `find` is not in its file, or there more than once: nobody would know what is planted. */
export function isStale({ file, find }: Control): boolean {
  return readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8').split(find).length !== 2;
}
