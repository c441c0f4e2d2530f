/**
 * Searches the interleavings of the ring's own protocol code (`src/workers/ring-buffer/protocol.ts`) over a memory that
 * stops a thread before each step. A thread's call is run from its start with the results of the steps that it has done
 * already, then does one more: so ordinary code can be stopped anywhere, and a state is plain data.
 */
import { placeOf, READ, SLEEPERS, signalOf, WRITE, WRITER } from '../../../src/workers/ring-buffer/layout.js';
import type { Memory } from '../../../src/workers/ring-buffer/memory.js';
import { EMPTY, ReadSide, WriteSide } from '../../../src/workers/ring-buffer/protocol.js';
import {
  clone,
  hashOf,
  type Search,
  type Setup,
  type Shape,
  type Sides,
  type State,
  type Thread,
} from './model-state.js';

const STOP = Symbol('stop');
const WAITED = ['ok', 'not-equal', 'timed-out'] as const;
/** Bytes from one message to the next in a batch, and of those before the payload. */
const STRIDE = 24;
const HEADER = 16;
/** A message, in words of memory: its two halves are written and read one by one. */
const HALVES = 2;
const slotsAt = (readers: number): number => placeOf(readers);
/** A call of more steps than this, and a run of more, goes on for ever. */
const MAX_CALL = 500;
const MAX_RUN = 100_000;

export class Model implements Memory {
  readonly #setup: Required<Setup>;
  readonly #shape: Shape;
  readonly #writer: WriteSide;
  readonly #readers: ReadSide[];
  readonly #batch: { bytes: Uint8Array; size: number; next: number; end: number };
  readonly #into = new Uint8Array(HALVES);
  #state: State;
  #log: number[] = [];
  #at = 0;
  #mayStep = false;
  #thread: Thread | undefined;
  #problem: string | undefined;

  constructor(setup: Setup) {
    const capacity = setup.capacity ?? 2;
    const slots = setup.slots ?? 2 ** Math.ceil(Math.log2(capacity));
    this.#setup = {
      capacity,
      slots,
      extraWords: [],
      start: 0,
      crashes: 0,
      writerCrashes: false,
      quitters: 0,
      polls: false,
      whole: false,
      batch: 1,
      wakeThreshold: 1,
      wakeCount: 1,
      timer: true,
      monotonic: true,
      roomWord: () => READ,
      mayLose: 0,
      ...setup,
      sides: { ...setup.sides },
    };
    const count = setup.readers + this.#setup.quitters;
    this.#shape = { capacity, mask: slots - 1, slotBytes: HALVES, maxReaders: count };
    this.#batch = { bytes: new Uint8Array(STRIDE * this.#setup.batch), size: this.#setup.batch, next: 0, end: 0 };
    const extra = this.#setup.extraWords;
    const words = new Int32Array(slotsAt(count) + slots * HALVES + extra.length);
    words[WRITE] = words[READ] = this.#setup.start;
    words[WRITER] = 1;
    for (let id = 0; id < count; id++) words[placeOf(id)] = 1;
    words.set(extra, slotsAt(count) + slots * HALVES);
    this.#state = { words, threads: [], delivered: 0, crashes: 0 };
    // The sides look at the memory when they are made.
    this.#free();
    const make = { writer: defaultWriter, reader: defaultReader, ...this.#setup.sides };
    this.#writer = make.writer(this, this.#shape, 1);
    this.#readers = Array.from({ length: count }, (_, id) => make.reader(this, this.#shape, id, 1));
    const kinds = ['writer' as const, ...this.#readers.map((_, id) => (id < setup.readers ? 'reader' : 'quitter'))];
    this.#state.threads = kinds.map((kind, i) => ({
      kind: kind as Thread['kind'],
      alive: true,
      log: [],
      blockedOn: -1,
      fields: i === 0 ? this.#saveWriter() : [this.#reader(i).written],
      at: 0,
      wakes: false,
      armed: false,
      waitsAt: undefined,
    }));
  }

  /** Every order of steps, and a crash at every step. */
  searchAll(maxStates = Infinity): Search {
    const seen = new Set<number>([hashOf(this.#state, this.#setup.polls)]);
    const path: { state: State; choices: number[]; next: number }[] = [];
    const enter = (state: State): void => {
      this.#state = state;
      const choices = this.#choices();
      if (!choices.some((choice) => choice < state.threads.length * 2)) this.#checkEnd();
      path.push({ state, choices, next: 0 });
    };
    enter(this.#state);
    while (path.length > 0 && this.#problem === undefined) {
      const top = path.at(-1) as (typeof path)[number];
      const choice = top.choices[top.next++];
      if (choice === undefined) {
        path.pop();
        continue;
      }
      this.#state = clone(top.state);
      this.#take(choice);
      const hash = hashOf(this.#state, this.#setup.polls);
      if (seen.has(hash) && this.#problem === undefined) continue;
      seen.add(hash);
      if (seen.size > maxStates) throw new Error(`more than ${maxStates} states`);
      enter(this.#state);
    }
    return { states: seen.size, problem: this.#problem, steps: path.length };
  }

  /** One run in which the thread of the highest priority goes first; at `changes` random steps it drops to the lowest. */
  runOnce(random: () => number, changes: number, expectedSteps: number): Search {
    const start = clone(this.#state);
    const priority = start.threads.map(() => random());
    const at = new Set(Array.from({ length: changes }, () => Math.floor(random() * expectedSteps)));
    const crashAt = this.#setup.crashes > 0 ? Math.floor(random() * expectedSteps) : -1;
    let steps = 0;
    for (; this.#problem === undefined; steps++) {
      if (steps > MAX_RUN) this.#fail('a run without end');
      const threads = this.#state.threads.length;
      const all = this.#choices();
      const choices = all.filter((choice) => choice < threads * 2);
      if (choices.length === 0) {
        this.#checkEnd();
        break;
      }
      const crash = all.filter((choice) => choice >= threads * 2);
      if (steps === crashAt && crash.length > 0) {
        this.#take(crash[Math.floor(random() * crash.length)] as number);
        continue;
      }
      const best = choices.reduce((a, b) =>
        (priority[b % threads] as number) > (priority[a % threads] as number) ? b : a,
      );
      if (at.has(steps)) priority[best % threads] = -steps;
      this.#take(best);
    }
    const problem = this.#problem;
    this.#problem = undefined;
    this.#state = start;
    return { states: steps, problem, steps };
  }

  /** Thread i does a step: i. Its wait times out: n + i. It is stopped for ever: 2n + i. */
  #choices(): number[] {
    const { threads, words, crashes } = this.#state;
    const choices: number[] = [];
    threads.forEach((thread, i) => {
      if (!thread.alive) return;
      if (thread.blockedOn >= 0) {
        if (thread.kind === 'quitter') choices.push(threads.length + i);
      } else if (this.#canGoOn(thread, words)) choices.push(i);
      if (crashes >= this.#setup.crashes) return;
      if (thread.kind === 'reader' || (thread.kind === 'writer' && this.#setup.writerCrashes)) {
        choices.push(2 * threads.length + i);
      }
    });
    return choices;
  }

  #canGoOn(thread: Thread, words: Int32Array): boolean {
    if (thread.log.length > 0) return true;
    if (thread.kind === 'quitter') return thread.at === 0;
    if (thread.kind === 'reader') return thread.waitsAt === undefined || thread.waitsAt !== words[WRITE];
    return this.#writerHasWork(thread, words) || thread.armed;
  }

  #writerHasWork = (thread: Thread, words: Int32Array): boolean =>
    thread.wakes ||
    (thread.at < this.#setup.messages &&
      (thread.waitsAt === undefined || thread.waitsAt !== words[this.#setup.roomWord(words.length)]));

  #take(choice: number): void {
    const { threads } = this.#state;
    const i = choice % threads.length;
    const thread = threads[i] as Thread;
    const what = Math.floor(choice / threads.length);
    if (what === 2) this.#crash(thread);
    else if (what === 1) {
      thread.blockedOn = -1;
      thread.log.push(WAITED.indexOf('timed-out'));
    } else this.#step(thread, i);
    const { words } = this.#state;
    const unread = ((words[WRITE] as number) - (words[READ] as number)) | 0;
    if (this.#setup.monotonic && (unread < 0 || unread > this.#setup.capacity)) this.#fail(`${unread} unread`);
  }

  #crash(thread: Thread): void {
    this.#state.crashes++;
    thread.blockedOn = -1;
    if (thread.kind === 'reader') {
      thread.alive = false;
      thread.log = [];
      thread.fields = [];
      thread.at = 0;
      thread.waitsAt = undefined;
      return;
    }
    // Another writer takes over.
    const { words } = this.#state;
    thread.fields = [words[WRITE] as number, words[READ] as number, 0];
    thread.log = [];
    thread.wakes = false;
    thread.at = ((words[WRITE] as number) - this.#setup.start) | 0;
    thread.armed = this.#setup.timer && words[WRITE] !== words[READ];
    thread.waitsAt = undefined;
  }

  #reader(i: number): ReadSide {
    return this.#readers[i - 1] as ReadSide;
  }

  #saveWriter(): number[] {
    return [this.#writer.index, this.#writer.read, this.#writer.first];
  }

  /** Steps without end: for what is not part of the search. */
  #free(): void {
    this.#thread = undefined;
  }

  #step(thread: Thread, i: number): void {
    if (thread.log.length > MAX_CALL) this.#fail('a call without end');
    this.#thread = thread;
    this.#log = thread.log;
    this.#at = 0;
    this.#mayStep = true;
    try {
      if (thread.kind === 'writer') this.#write(thread);
      else if (thread.kind === 'reader') this.#read(thread, i);
      else this.#quit(thread, i);
    } catch (error) {
      if (error !== STOP) this.#fail(String(error));
      return;
    } finally {
      this.#free();
    }
    thread.log = [];
    thread.fields = thread.kind === 'writer' ? this.#saveWriter() : [this.#reader(i).written];
  }

  #write(thread: Thread): void {
    const { messages, wakeThreshold, wakeCount, batch, polls } = this.#setup;
    const timer = this.#setup.timer && !polls;
    const side = this.#writer;
    [side.index, side.read, side.first] = thread.fields as [number, number, number];
    // What a call does is fixed when it begins.
    const first = this.#choose(this.#writerHasWork(thread, this.#state.words) ? 1 : 0);
    if (first === 0) {
      thread.armed = side.rouse(wakeCount) > 0;
      return;
    }
    if (thread.wakes) {
      side.wakeIfDue(wakeThreshold, wakeCount);
      thread.wakes = false;
      return;
    }
    const message = (k: number): Uint8Array => new Uint8Array(HALVES).fill(k + 1);
    const list = Array.from({ length: Math.min(batch, messages - thread.at) }, (_, k) => message(thread.at + k));
    const written = batch > 1 ? side.writeBatch(list, 0, list.length, 0) : Number(side.write(list[0] as Uint8Array, 0));
    thread.wakes = written > 0 && !polls;
    thread.waitsAt = written > 0 ? undefined : side.read;
    thread.at += written;
    if (written > 0) thread.armed = timer;
  }

  /** A choice that the call remembers; no step. */
  #choose(value: number): number {
    if (this.#at === this.#log.length) this.#log.push(value);
    return this.#log[this.#at++] as number;
  }

  #read(thread: Thread, i: number): void {
    const side = this.#reader(i);
    side.written = thread.fields[0] as number;
    if (thread.at === 1) {
      // What `sleep` does, in two calls.
      thread.at = side.announce() === undefined ? 0 : 2;
      return;
    }
    if (thread.at === 2) {
      this.wait(signalOf(side.id), 0);
      thread.at = 0;
      this.#state.words[signalOf(side.id)] = 0;
      return;
    }
    let count: number;
    if (this.#setup.batch > 1) {
      count = side.tryReadBatch(this.#batch as never, this.#setup.batch);
      for (let k = 0; k < count; k++) this.#deliver(this.#batch.bytes, k * STRIDE + HEADER);
    } else {
      count = side.tryRead(this.#into);
      if (count > 0) this.#deliver(this.#into, 0);
    }
    const isEmpty = count === 0 || count === EMPTY;
    thread.at = isEmpty && !this.#setup.polls ? 1 : 0;
    thread.waitsAt = isEmpty && this.#setup.polls ? side.written : undefined;
  }

  #quit(thread: Thread, i: number): void {
    const side = this.#reader(i);
    const signal = side.announce();
    if (signal !== undefined) this.wait(signalOf(side.id), signal);
    side.passOn();
    thread.at = 1;
  }

  #deliver(bytes: Uint8Array, at: number): void {
    const [a, b] = [bytes[at] as number, bytes[at + 1] as number];
    if (a !== b || a < 1 || a > this.#setup.messages) this.#fail(`a torn message: ${a} ${b}`);
    const bit = 1 << (a - 1);
    if ((this.#state.delivered & bit) !== 0) this.#fail(`message ${a} twice`);
    this.#state.delivered |= bit;
  }

  #checkEnd(): void {
    const { words, threads, delivered } = this.#state;
    if (!threads.some(({ kind, alive }) => kind === 'reader' && alive)) return;
    const sent = (threads[0] as Thread).at;
    const count = delivered.toString(2).replaceAll('0', '').length;
    const unread = ((words[WRITE] as number) - (words[READ] as number)) | 0;
    if (sent < this.#setup.messages) this.#fail(`stuck: ${sent} sent`);
    else if (unread !== 0) this.#fail(`stuck: all readers asleep, ${unread} unread`);
    // A message is delivered here in the step that claims it, so that not even a crash loses one.
    else if (count < sent - this.#setup.mayLose) this.#fail(`${sent - count} lost`);
    threads.forEach(({ kind }, i) => {
      if (kind === 'quitter' && ((words[SLEEPERS] as number) & (1 << (i - 1))) !== 0)
        this.#fail('a bit of one that left');
    });
  }

  #fail(problem: string): void {
    this.#problem ??= problem;
  }

  /** `free`: belongs to the step before. */
  #op(effect: () => number, free = false): number {
    if (this.#thread === undefined) return effect();
    if (this.#at < this.#log.length) return this.#log[this.#at++] as number;
    if (!free) {
      if (!this.#mayStep) throw STOP;
      this.#mayStep = false;
    }
    const result = effect();
    this.#log.push(result);
    this.#at++;
    return result;
  }

  #set(word: number, to: (now: number) => number, free = false): void {
    this.#op(() => {
      const { words } = this.#state;
      words[word] = to(words[word] as number);
      return 0;
    }, free);
  }

  /** Of the writer's place, which nobody changes while the writer lives: no step. */
  peek(word: number): number {
    return this.#state.words[word] as number;
  }

  load(word: number): number {
    // Nor a reader's.
    if (this.#isPlace(word)) return this.#state.words[word] as number;
    if (this.#isSignal(word)) {
      // Only whether it changes from now on matters, so it is 0 now and 1 once it has changed: fewer states.
      this.#set(word, () => 0);
      return 0;
    }
    return this.#op(() => this.#state.words[word] as number);
  }

  #isPlace(word: number): boolean {
    return word >= placeOf(0) && word < placeOf(this.#shape.maxReaders) && word % 2 === placeOf(0) % 2;
  }

  #isSignal(word: number): boolean {
    return word >= placeOf(0) && word < placeOf(this.#shape.maxReaders) && !this.#isPlace(word);
  }

  store(word: number, value: number): void {
    this.#set(word, () => value);
  }

  cas(word: number, expected: number, value: number): boolean {
    const done = this.#op(() => {
      const { words } = this.#state;
      if (words[word] !== expected) return 0;
      words[word] = value;
      return 1;
    });
    return done === 1;
  }

  set(word: number, bit: number): void {
    this.#set(word, (now) => now | bit);
  }

  clear(word: number, bit: number): boolean {
    const was = this.#op(() => {
      const { words } = this.#state;
      const now = words[word] as number;
      words[word] = now & ~bit;
      return now & bit;
    });
    return was !== 0;
  }

  add(word: number, by: number): void {
    this.#set(word, (now) => (this.#isSignal(word) ? 1 : now + by));
  }

  wait(word: number, expected: number): 'ok' | 'not-equal' | 'timed-out' {
    const end = this.#op(() => {
      if (this.#state.words[word] !== expected) return WAITED.indexOf('not-equal');
      (this.#thread as Thread).blockedOn = word;
      throw STOP;
    });
    return WAITED[end] as (typeof WAITED)[number];
  }

  notify(word: number): number {
    return this.#op(() => {
      const waiting = this.#state.threads.filter(({ alive, blockedOn }) => alive && blockedOn === word);
      for (const thread of waiting) {
        thread.blockedOn = -1;
        thread.log.push(WAITED.indexOf('ok'));
      }
      return waiting.length;
    });
  }

  #half(slot: number, half: number): number {
    return slotsAt(this.#shape.maxReaders) + slot * HALVES + half;
  }

  /** The `i`th of the further words. */
  extra(i: number): number {
    return this.#half(this.#setup.slots, 0) + i;
  }

  put(slot: number, bytes: Uint8Array): void {
    const free = this.#setup.whole;
    this.#set(this.#half(slot, 0), () => bytes[0] as number, free);
    this.#set(this.#half(slot, 1), () => bytes[1] as number, free);
  }

  lengthOf(): number {
    return HALVES;
  }

  timeOf(): number {
    return 0;
  }

  copy(slot: number, _length: number, into: Uint8Array): void {
    this.#copyTo(slot, into, 0);
  }

  copyBatch(slot: number, count: number, into: Uint8Array): void {
    for (let i = 0; i < count; i++) this.#copyTo(slot + i, into, i * STRIDE + HEADER);
  }

  #copyTo(slot: number, into: Uint8Array, at: number): void {
    for (let half = 0; half < HALVES; half++) {
      into[at + half] = this.#op(() => this.#state.words[this.#half(slot, half)] as number, this.#setup.whole);
    }
  }
}

const defaultWriter: Sides['writer'] = (memory, shape, place) => new WriteSide(memory, shape, place);
const defaultReader: Sides['reader'] = (memory, shape, id, place) => new ReadSide(memory, shape, id, place);
