/**
 * Gates that count work, anywhere in a stack, whatever happens: every permit is released exactly once, not before the work
 * under it has ended unless it is written off, and an outcome is told once, at the answer or with the release.
 */
import {
  type Context,
  derive,
  dynamicTimeout,
  type Gate,
  hedge,
  type Next,
  type Policy,
  pipeline,
  type ReleaseDetails,
  retry,
  runGate,
  type Verdict,
  waitUntil,
  workPermits,
} from 'evenkeel';
import { type ManualClock, manualClock, seededRandom } from 'evenkeel/testing';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { noUnhandledRejections } from '../../unhandled-rejections.js';

noUnhandledRejections();

const KINDS = ['gate', 'hidden gate', 'retry', 'hedge', 'timeout', 'async', 'deaf', 'again'] as const;
const ABANDONED_MS = [0, 7.7, 30_000, Infinity];

/** One admission, and what ran under it. */
interface Admission {
  atWork: number;
  answers: number;
}

class HoldingGate implements Gate {
  readonly reason = 'concurrency_limited';
  readonly holds;
  readonly problems: string[] = [];
  /** Open admissions by the context that they were made with. */
  readonly open = new Map<Partial<Context>, Admission>();

  constructor(
    readonly name: string,
    readonly clock: ManualClock,
    readonly abandonedMs: number,
    readonly random: () => number,
  ) {
    this.holds = workPermits({ abandonedMs });
  }

  readonly classify = (): Verdict => {
    const chance = this.random();
    if (chance < 0.05) throw new Error('broken classify');
    return chance < 0.5 ? 'success' : chance < 0.7 ? 'failure' : chance < 0.85 ? 'dropped' : 'ignored';
  };

  tryAcquire(ctx?: Partial<Context>): boolean {
    if (this.random() < 0.1) return false;
    if (this.open.has(ctx as Context)) this.problems.push('the same context admitted twice at once');
    this.open.set(ctx as Context, { atWork: 0, answers: 0 });
    return true;
  }

  answered(_: Verdict, __: number, ctx?: Partial<Context>): void {
    const admission = this.open.get(ctx as Context);
    if (admission === undefined) this.problems.push('answered after the release');
    else if (++admission.answers > 1) this.problems.push('answered twice');
    if (this.random() < 0.05) throw new Error('broken answered');
  }

  release(_: Verdict, __: number, ctx?: Partial<Context>, details?: ReleaseDetails): void {
    const admission = this.open.get(ctx as Context);
    this.open.delete(ctx as Context);
    if (admission === undefined) this.problems.push('released twice');
    else if (admission.atWork > 0 && this.abandonedMs > 0 && details?.abandoned !== true) {
      this.problems.push('released while a function ran');
    }
    if (this.random() < 0.05) throw new Error('broken release');
  }

  retryAfterMs = (): number => 0;

  async run<C extends Context, R>(ctx: C, next: Next<C, R>): Promise<R> {
    return runGate(this, ctx, next);
  }
}

const scenarios = fc.record({
  stack: fc.array(fc.constantFrom(...KINDS), { minLength: 1, maxLength: 6 }),
  abandoned: fc.constantFrom(...ABANDONED_MS),
  seed: fc.nat(),
  hangs: fc.boolean(),
});

it('every permit is released once, and not while a function runs', async () => {
  const { queueMicrotask } = globalThis;
  // What a gate throws late reaches the host, and only that.
  vi.stubGlobal('queueMicrotask', (fn: () => void) =>
    queueMicrotask(() => {
      expect(fn).toThrow(/broken/);
    }),
  );
  await fc.assert(
    fc.asyncProperty(scenarios, async ({ stack, abandoned, seed, hangs }) => {
      const clock = manualClock();
      const random = seededRandom(seed);
      const gates: HoldingGate[] = [];
      const policies = stack.map((kind, i): Policy => {
        const name = `${kind} ${i}`;
        if (kind === 'retry') return retry({ clock, budget: [], backoff: () => 0, maxRetries: 1, name, random });
        if (kind === 'hedge') return hedge({ clock, budget: [], afterMs: 2.3, name });
        if (kind === 'timeout') return dynamicTimeout({ clock, limitMs: 4.1, maxMs: 4.1, name });
        if (kind === 'async') return { name, clock, run: async (ctx, next) => await next(ctx) };
        if (kind === 'deaf') {
          const sleeps: Policy = {
            name,
            clock,
            run: async (ctx, next) => {
              await new Promise<void>((resolve) => void clock.setTimer(resolve, 1.9));
              return next(ctx);
            },
          };
          return sleeps;
        }
        if (kind === 'again') {
          return { name, clock, run: (ctx, next) => next(ctx).then(() => next(derive<typeof ctx>(ctx, { cost: 1 }))) };
        }
        const gate = new HoldingGate(name, clock, abandoned, random);
        gates.push(gate);
        return kind === 'gate' ? gate : { name, clock, run: (ctx, next) => gate.run(ctx, next) };
      });
      const guard = pipeline(...policies);

      /** A function or body begins under whatever admissions of its call are open; returns what ends it. */
      const begin = (call: string): (() => void) => {
        const under = gates.flatMap(({ open }) =>
          [...open].filter(([ctx]) => ctx.key === call).map(([, admission]) => admission),
        );
        for (const admission of under) admission.atWork++;
        return () => {
          for (const admission of under) admission.atWork--;
        };
      };
      // Where attempts run at once, which admission a function is under cannot be told by its call.
      const tells = !stack.includes('hedge') && !stack.includes('retry') && !stack.includes('again');
      const sleep = (ms: number) => new Promise<void>((resolve) => void clock.setTimer(resolve, ms));
      const work = async (ctx: Context): Promise<unknown> => {
        const end = tells ? begin(ctx.key as string) : () => {};
        const chance = random();
        // What ends by itself does so in a microtask of its own: the end is told before the kernel sees it.
        if (chance < 0.2) return void end();
        if (chance < 0.3) {
          end();
          throw new Error('fails');
        }
        if (chance < 0.55) {
          await sleep(random() * 10);
          return void end();
        }
        if (chance < 0.7) {
          const aborted = new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()));
          await Promise.race([aborted, sleep(20)]);
          end();
          throw new Error('aborted');
        }
        if (chance < 0.85) {
          // Not counted: the body of an answer that `classify` takes for a failure is not read.
          end();
          const broken = random() < 0.5;
          waitUntil(
            ctx,
            sleep(random() * 10).then(() => {
              if (broken) throw new Error('broken off');
            }),
          );
          return 'body';
        }
        if (hangs) await new Promise(() => {});
        return void end();
      };
      const answered = new Set<string | undefined>();
      const calls = Array.from({ length: 12 }, async (_, i) => {
        await sleep(i * 1.37);
        const caller = new AbortController();
        if (random() < 0.6) clock.setTimer(() => caller.abort(new Error('gone')), random() * 8);
        await guard.execute(work, { key: `call ${i}`, signal: caller.signal }).catch(() => {});
        answered.add(`call ${i}`);
      });
      await clock.advance(40_000);
      if (!hangs) await Promise.all(calls);
      for (const { name, problems, open } of gates) {
        const left = [...open.keys()].map(({ key }) => key).filter((key) => answered.has(key));
        expect([name, problems]).toEqual([name, []]);
        // Only what never ends may hold a permit of a call that was answered, and only where nothing is written off.
        if (!hangs || abandoned !== Infinity) expect([name, left]).toEqual([name, []]);
      }
    }),
    { numRuns: process.env.MUTATION_TESTS === undefined ? 1_000 : 100 },
  );
  vi.unstubAllGlobals();
});
