/**
 * The protocol in every order of steps: claims alone (readers that do not sleep), sleep and wake alone (messages that are
 * copied in no time), and both. `npm run test:model` searches the larger setups too, in some minutes.
 */
import { seededRandom } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { claimThenRead, indexModulo, sleepWithoutLooking, slotSequence } from './bad-protocols.js';
import { Model } from './model.js';
import type { Search, Setup } from './model-state.js';

const FULL = process.env.RING_MODEL === 'full';
const MAX_STATES = FULL ? 16_000_000 : 1_000_000;
/** Of both indices; the wraps at 2^31 and 2^32 come in the middle of the messages. */
const STARTS = [0, 2 ** 31 - 8, -8, 2 ** 31 - 2, -2];

const search = (setup: Setup): Search => new Model(setup).searchAll(MAX_STATES);

const quick: Record<string, Setup> = {
  'claims: 1 reader, 5 messages, a crash': { readers: 1, messages: 5, crashes: 1, polls: true },
  'claims: 2 readers, 3 messages, a crash': { readers: 2, messages: 3, crashes: 1, polls: true },
  'claims: 3 readers, 2 messages, a crash': { readers: 3, messages: 2, crashes: 1, polls: true },
  'claims: 2 readers, 4 messages in batches of 2, a crash': {
    readers: 2,
    messages: 4,
    crashes: 1,
    polls: true,
    batch: 2,
  },
  'sleep: 1 reader, 5 messages, a crash': { readers: 1, messages: 5, crashes: 1, whole: true },
  'sleep: 1 reader, threshold 2, a crash': { readers: 1, messages: 5, crashes: 1, whole: true, wakeThreshold: 2 },
  'sleep: 2 readers, 1 message, a crash': { readers: 2, messages: 1, crashes: 1, whole: true },
  'sleep: 1 reader, and 1 that leaves as it is woken': {
    readers: 1,
    quitters: 1,
    messages: 1,
    whole: true,
    timer: false,
  },
  'both: 1 reader, 5 messages, a crash': { readers: 1, messages: 5, crashes: 1 },
  'both: a writer that dies, and another that takes over': {
    readers: 1,
    messages: 4,
    crashes: 1,
    writerCrashes: true,
  },
};

const full: Record<string, Setup> = {
  'claims: 2 readers, 5 messages, a crash': { readers: 2, messages: 5, crashes: 1, polls: true },
  'claims: 3 readers, 4 messages, a crash': { readers: 3, messages: 4, crashes: 1, polls: true },
  'sleep: 2 readers, 3 messages, a crash': { readers: 2, messages: 3, crashes: 1, whole: true },
  'sleep: 1 reader and 1 that leaves': { readers: 1, quitters: 1, messages: 1, crashes: 1, whole: true },
};

describe('every order of steps', { timeout: 3_600_000 }, () => {
  for (const [name, setup] of Object.entries(FULL ? { ...quick, ...full } : quick))
    it(name, () => {
      const { states, problem } = search(setup);
      if (FULL) console.log(`${name}: ${states} states`);
      expect(problem).toBeUndefined();
      // The search has not stopped at the first step.
      expect(states).toBeGreaterThan(500);
    });

  it.each(STARTS)('is the same where the indices start at %i', (start) => {
    const setups: Setup[] = [
      { readers: 2, messages: 3, polls: true, crashes: 1 },
      { readers: 1, messages: 4, crashes: 1 },
      { readers: 2, messages: 4, polls: true, batch: 2 },
    ];
    for (const setup of setups) {
      const here = search({ ...setup, start });
      expect(here.problem).toBeUndefined();
      // The hash tells fewer or more apart by chance only.
      expect(here.states).toBe(search(setup).states);
    }
  });
});

describe('random orders by priority', () => {
  const setups: Setup[] = [
    { readers: 3, messages: 24, capacity: 4, crashes: 1 },
    { readers: 4, messages: 24, capacity: 8, batch: 3, crashes: 1, start: -8 },
    { readers: 3, quitters: 2, messages: 24, capacity: 3, crashes: 1, start: 2 ** 31 - 8 },
    { readers: 3, messages: 20, capacity: 8, wakeThreshold: 4, wakeCount: 2, crashes: 1 },
  ];
  it.each(setups)('%o', (setup) => {
    const random = seededRandom(5);
    const model = new Model(setup);
    let steps = 300;
    for (let run = 0; run < (FULL ? 50_000 : 1_000); run++) {
      const found = model.runOnce(random, 3, steps);
      expect(found.problem, `run ${run}`).toBeUndefined();
      steps = found.steps;
    }
  });
});

describe('the search refutes', () => {
  it('claim, then read: the writer reuses the slot meanwhile', () => {
    expect(search({ readers: 1, messages: 5, polls: true, ...claimThenRead }).problem).toMatch(/torn|twice/);
  });

  it('indices modulo the capacity: they come back to the same value', () => {
    expect(search({ readers: 2, messages: 5, polls: true, ...indexModulo }).problem).toMatch(/torn|twice/);
  });

  it('a sequence number a slot, with a crash: its slot is never released', () => {
    const setup = { readers: 2, messages: 3, polls: true, ...slotSequence };
    expect(search(setup).problem).toBeUndefined();
    expect(search({ ...setup, crashes: 1 }).problem).toMatch(/^stuck: \d sent/);
  });

  it('sleep without looking again: the wake-up is lost', () => {
    const setup = { readers: 1, messages: 3, timer: false };
    expect(search(setup).problem).toBeUndefined();
    expect(search({ ...setup, ...sleepWithoutLooking }).problem).toMatch(/^stuck: all readers asleep/);
  });

  it('a threshold without a timer: the last messages wait for ever', () => {
    const setup = { readers: 1, messages: 3, wakeThreshold: 2 };
    expect(search({ ...setup, timer: false }).problem).toMatch(/^stuck: all readers asleep/);
  });
});
