import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TimerNode, TimerQueue } from '../../../src/core/time/timers.js';

describe('TimerQueue', () => {
  type Operation = { type: 'set'; due: number } | { type: 'clear'; which: number } | { type: 'take'; now: number };
  const operations: fc.Arbitrary<Operation[]> = fc.array(
    fc.oneof(
      // Few different times, so that many are equal.
      {
        weight: 5,
        arbitrary: fc.record({
          type: fc.constant('set' as const),
          due: fc.constantFrom(0, 1, 1.5, 2, 3, 5, 8, 13, Infinity),
        }),
      },
      { weight: 3, arbitrary: fc.record({ type: fc.constant('clear' as const), which: fc.nat(200) }) },
      {
        weight: 3,
        arbitrary: fc.record({ type: fc.constant('take' as const), now: fc.integer({ min: -1, max: 14 }) }),
      },
    ),
    { maxLength: 200 },
  );

  it('does what a sorted list does, for any sequence of set, clear and take', () => {
    fc.assert(
      fc.property(operations, (list) => {
        const queue = new TimerQueue();
        const handles: unknown[] = [];
        let model: { due: number; id: number }[] = [];
        let taken = -1;
        for (const operation of list) {
          if (operation.type === 'set') {
            const id = handles.length;
            handles.push(
              queue.set(() => {
                taken = id;
              }, operation.due),
            );
            if (operation.due < Infinity) model.push({ due: operation.due, id });
            model.sort((a, b) => a.due - b.due || a.id - b.id);
          } else if (operation.type === 'clear') {
            // May have been taken or cleared before, or never set.
            queue.clear(handles[operation.which]);
            model = model.filter(({ id }) => id !== operation.which);
          } else {
            const first = model[0];
            taken = -1;
            queue.takeDue(operation.now)?.fire();
            if (first !== undefined && first.due <= operation.now) {
              expect(taken).toBe(first.id);
              model.shift();
            } else {
              expect(taken).toBe(-1);
            }
          }
          expect(queue.size).toBe(model.length);
          expect(queue.nextDueMs).toBe(model[0]?.due ?? Infinity);
          expect(queue.dueTimes()).toEqual(model.map(({ due }) => due));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keeps the order when a timer is cleared from the middle', () => {
    const queue = new TimerQueue();
    const dues = [0, 10, 1, 11, 12, 2, 3, 13, 14, 15, 16, 4];
    const handles = dues.map((due) => queue.set(() => {}, due));
    queue.clear(handles[dues.indexOf(13)]);
    queue.clear(handles[dues.indexOf(11)]);
    const taken: number[] = [];
    while (queue.size > 0) {
      taken.push(queue.nextDueMs);
      queue.takeDue(Infinity);
    }
    expect(taken).toEqual([0, 1, 2, 3, 4, 10, 12, 14, 15, 16]);
  });

  it('takes nodes of others, and those that are cleared more than once or never waited', () => {
    const queue = new TimerQueue();
    const node = (dueMs: number): TimerNode => ({ place: 0, order: 0, dueMs, keepAlive: true, fire: () => {} });
    const [first, second, never] = [node(1), node(2), node(Infinity)];
    for (const each of [second, never, first]) queue.add(each);
    expect([queue.clear(never), queue.clear(first), queue.clear(first)]).toEqual([false, true, false]);
    expect(queue.takeDue(1)).toBeUndefined();
    expect(queue.takeDue(2)).toBe(second);
    expect(queue.clear(second)).toBe(false);
    queue.add(second);
    queue.add(first);
    expect([queue.takeDue(2), queue.takeDue(2), queue.size]).toEqual([first, second, 0]);
  });

  it('ignores handles that are none of its own', () => {
    const queue = new TimerQueue();
    const other = new TimerQueue();
    queue.set(() => {}, 1);
    other.set(() => {}, 0);
    const foreign = other.set(() => {}, 1);
    for (const handle of [undefined, null, 0, {}, 'timer', foreign]) queue.clear(handle);
    expect(queue.size).toBe(1);
    expect(queue.takeDue(1)).toBeTypeOf('object');
  });
});
