/** Sets whose messages poison, hang and throw, and whose workers are terminated at random. */
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { isRejected, isTimeout, type Random } from 'evenkeel';
import { createSets, isMessageLost, type SetSnapshot } from 'evenkeel/isolation';
import { type Part, sleep, soon } from './part.js';
import type { Programs } from './programs.js';
import { Deed } from './sets-deeds.js';

/** What came of calls, by the names of the sets' own counts. */
export interface Outcomes {
  done: number;
  failed: number;
  refused: number;
  droppedByAge: number;
  setAside: number;
  workerLost: number;
  abandoned: number;
}

/** Where the sets' books differ from what their callers have seen. */
export function differences(begun: number, seen: Outcomes, sets: readonly SetSnapshot[]): string[] {
  const sum = (count: (set: SetSnapshot) => number): number => sets.reduce((all, set) => all + count(set), 0);
  const total = Object.values(seen).reduce((all, n) => all + n, 0);
  const open = sum(({ queued, inWork }) => queued + inWork);
  return [
    ...(total === begun ? [] : [`sets: ${begun} calls, ${total} outcomes`]),
    ...(open === 0 ? [] : [`sets: ${open} calls are under way by their count`]),
    ...(Object.keys(seen) as (keyof Outcomes)[])
      .filter((outcome) => sum((set) => set[outcome]) !== seen[outcome])
      .map((outcome) => `sets: ${seen[outcome]} calls ${outcome}, ${sum((set) => set[outcome])} by their count`),
  ];
}

/** The threads that `createSets` starts from now on. */
function startedWorkers(): { alive: Set<Worker>; release(): void } {
  const alive = new Set<Worker>();
  const { unref } = Worker.prototype;
  Worker.prototype.unref = function (this: Worker) {
    alive.add(this);
    this.once('exit', () => alive.delete(this));
    unref.call(this);
  };
  return {
    alive,
    release: () => {
      Worker.prototype.unref = unref;
    },
  };
}

export function setsPart(random: Random, shutdown: AbortSignal, programs: Programs): Part {
  const started = startedWorkers();
  const sets = createSets({
    worker: pathToFileURL(programs.path('sets-worker')),
    sets: { even: { workers: 2 }, odd: { workers: 1 } },
    route: ([which]) => (which === 0 ? 'even' : 'odd'),
    messageTimeoutMs: 200,
    maxAgeMs: 3_000,
    capacity: 64,
    restartMinMs: 1,
    restartMaxMs: 20,
  });
  let begun = 0;
  let ended = 0;
  let terminated = 0;
  let settledTwice = 0;
  const seen: Outcomes = { done: 0, failed: 0, refused: 0, droppedByAge: 0, setAside: 0, workerLost: 0, abandoned: 0 };
  const wrong: string[] = [];

  const outcomeOf = (error: unknown): keyof Outcomes => {
    if (isMessageLost(error)) return error.reason === 'set_aside' ? 'setAside' : 'workerLost';
    if (isRejected(error)) return error.reason === 'too_old' ? 'droppedByAge' : 'refused';
    if (isTimeout(error) || error === GAVE_UP) return 'abandoned';
    return 'failed';
  };
  const deed = (): number => {
    const draw = random();
    if (draw < 0.002) return [Deed.EXIT, Deed.LOOP, Deed.NEVER][Math.floor(random() * 3)] as number;
    if (draw < 0.05) return Deed.THROW;
    return draw < 0.3 ? Deed.LATER : Deed.ECHO;
  };

  function call(): void {
    const id = begun++;
    const message = Uint8Array.of(id & 1, deed(), id >>> 16, id >>> 8, id);
    const own = random() < 0.1 ? new AbortController() : undefined;
    const timer = own && setTimeout(() => own.abort(GAVE_UP), random() * 20);
    let settled = false;
    const settle = (outcome: keyof Outcomes): void => {
      clearTimeout(timer);
      if (settled) settledTwice++;
      settled = true;
      seen[outcome]++;
      ended++;
    };
    sets.call(message, { signal: own?.signal ?? shutdown, timeoutMs: random() < 0.1 ? 5 : 5_000 }).then(
      (answer) => {
        if (answer.join() !== message.join()) wrong.push(`sets: ${message.join()} was answered by ${answer.join()}`);
        settle('done');
      },
      (error: unknown) => {
        const outcome = outcomeOf(error);
        if (outcome === 'failed' && message[1] !== Deed.THROW) wrong.push(`sets: ${message.join()} failed: ${error}`);
        settle(outcome);
      },
    );
  }

  let timer: ReturnType<typeof setInterval> | undefined;
  let going = false;
  let killer: Promise<void> | undefined;
  const kill = async (): Promise<void> => {
    while (going) {
      await sleep(200 + random() * 800);
      const victim = [...started.alive][Math.floor(random() * started.alive.size)];
      if (victim !== undefined) terminated++;
      await victim?.terminate();
    }
  };
  return {
    get calls() {
      return begun;
    },
    go() {
      going = true;
      timer = setInterval(() => {
        for (let i = 0; i < 4; i++) call();
      }, 5);
      killer = kill();
    },
    async rest() {
      going = false;
      clearInterval(timer);
      await killer;
      await soon(() => ended === begun);
      return [...wrong.splice(0), ...differences(begun, seen, Object.values(sets.snapshot()))];
    },
    async end() {
      const restarts = Object.values(sets.snapshot()).reduce((sum, set) => sum + set.restarts, 0);
      await sets.close();
      started.release();
      return [
        ...(settledTwice === 0 ? [] : [`sets: ${settledTwice} calls have settled twice`]),
        ...(restarts > terminated ? [] : ['sets: no message has killed a worker']),
        ...((await soon(() => started.alive.size === 0)) ? [] : [`sets: ${started.alive.size} threads are left`]),
      ];
    },
    summary: () =>
      `sets: ${begun} calls: ${JSON.stringify(seen)}; ${terminated} workers terminated, ` +
      `${Object.values(sets.snapshot()).reduce((sum, set) => sum + set.restarts, 0)} restarts`,
  };
}

const GAVE_UP = new Error('the caller gave up');
