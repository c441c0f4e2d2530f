import type { Context } from '../../core/call/context.js';
import { isRejected } from '../../core/errors.js';
import type { Random } from '../../core/numbers/random.js';
import { type ManualClock, manualClock } from '../clock.js';
import { seededRandom } from '../random.js';
import type { Env, SimulatedPipeline } from '../simulator/scenario/scenario.js';
import type { CallEvent, ClockStep } from './arbitraries.js';
import { inVirtualTime } from './in-virtual-time.js';

/** Makes a pipeline on a clock and a random source of its own, for a property or for {@link simulate}. */
export type PipelineMaker = (env: Pick<Env, 'clock' | 'random'>) => SimulatedPipeline;

/** The same for a pipeline that needs the clock of the properties. */
export type VirtualPipelineMaker = (env: { clock: ManualClock; random: Random }) => SimulatedPipeline;

/** What became of a trace. */
export interface TraceRun {
  clock: ManualClock;
  pipeline: SimulatedPipeline;
  /** Tries that reached the downstream: when, of which call of the trace, at what cost. */
  tries: { atMs: number; call: number; cost: number }[];
  /** How each call ended, and when; a missing one has not. */
  ends: { how: 'value' | 'refused' | 'error'; atMs: number }[];
  /** Listeners that calls have left on the callers' signals. */
  listenersLeft: number;
}

/** An `AbortSignal` that counts its listeners. */
function countedSignal(controller: AbortController): { signal: AbortSignal; listeners: () => number } {
  const listening = new Set<unknown>();
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, fn: EventListener, options?: AddEventListenerOptions | boolean) => {
    listening.add(fn);
    add(type, fn, options);
  };
  signal.removeEventListener = (type: string, fn: EventListener) => {
    listening.delete(fn);
    remove(type, fn);
  };
  return { signal, listeners: () => (signal.aborted ? 0 : listening.size) };
}

/** Sends a trace through a pipeline in virtual time, and waits `settleMs` for what is under way then. */
export async function runTrace(
  owner: string,
  make: VirtualPipelineMaker,
  seed: number,
  trace: readonly CallEvent[],
  steps: readonly ClockStep[],
  settleMs: number,
): Promise<TraceRun> {
  const clock = manualClock();
  const pipeline = inVirtualTime(owner, make({ clock, random: seededRandom(seed) }), clock);
  const run: TraceRun = { clock, pipeline, tries: [], ends: [], listenersLeft: 0 };
  const signals: (() => number)[] = [];

  const begin = ({ key, tier, cost, outcome, abortAfterMs }: CallEvent, call: number): void => {
    const controller = new AbortController();
    const { signal, listeners } = countedSignal(controller);
    signals.push(listeners);
    const giveUp = abortAfterMs === undefined ? undefined : clock.setTimer(() => controller.abort(), abortAfterMs);
    const downstream = (ctx: Context): Promise<number> => {
      run.tries.push({ atMs: clock.now(), call, cost: ctx.cost });
      return new Promise((resolve, reject) => {
        if (outcome.kind === 'hang') return;
        clock.setTimer(() => {
          if (outcome.kind === 'success') resolve(call);
          else reject(new Error('the downstream failed'));
        }, outcome.tookMs);
      });
    };
    const end = (how: 'value' | 'refused' | 'error'): void => {
      clock.clearTimer(giveUp);
      run.ends[call] = { how, atMs: clock.now() };
    };
    pipeline.execute(downstream, { key, tier, cost, signal }).then(
      () => end('value'),
      (error: unknown) => end(isRejected(error) ? 'refused' : 'error'),
    );
  };

  // By the time that has passed, whatever the clock shows.
  let passedMs = 0;
  const passTo = async (ms: number): Promise<void> => {
    await clock.advance(ms - passedMs);
    passedMs = ms;
  };
  const waiting = [...steps];
  for (const [call, event] of trace.entries()) {
    while (waiting[0] !== undefined && waiting[0].atMs <= event.atMs) {
      const { atMs, byMs } = waiting.shift() as ClockStep;
      await passTo(Math.max(passedMs, atMs));
      clock.jump(byMs);
    }
    if (event.atMs > passedMs) await passTo(event.atMs);
    begin(event, call);
  }
  await clock.advance(settleMs);
  run.listenersLeft = signals.reduce((sum, listeners) => sum + listeners(), 0);
  return run;
}
