import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COUNTED, Ledger, OVERRULED, UNCOUNTED } from '../../../src/core/gates/ledger.js';

const KINDS = [COUNTED, UNCOUNTED, OVERRULED] as const;
type Kind = (typeof KINDS)[number];
const enter = (ledger: Ledger, kind: Kind, ctx?: object): void =>
  kind === COUNTED ? ledger.count(ctx) : ledger.note(kind, ctx);

describe('the ledger of a gate', () => {
  it('knows each of many calls at once by its context, in whichever order they end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...KINDS), { maxLength: 30 }),
        fc.infiniteStream(fc.nat()),
        (kinds, dice) => {
          const ledger = new Ledger();
          const open = kinds.map((kind) => ({ kind }));
          for (const one of open) enter(ledger, one.kind, one);
          while (open.length > 0) {
            const [one] = open.splice((dice.next().value as number) % open.length, 1);
            expect(ledger.end(one)).toBe(one?.kind);
          }
          expect([ledger.end({}), ledger.end(undefined)]).toEqual([UNCOUNTED, UNCOUNTED]);
        },
      ),
    );
  });

  it('knows a context that comes again, one call at a time', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...KINDS)), (kinds) => {
        const ledger = new Ledger();
        const ctx = {};
        for (const kind of kinds) {
          enter(ledger, kind, ctx);
          expect(ledger.end(ctx)).toBe(kind);
        }
      }),
    );
  });

  it('does not hold against a context what began with it before and never ended', () => {
    for (const first of KINDS)
      for (const second of KINDS) {
        const ledger = new Ledger();
        const ctx = {};
        enter(ledger, first, ctx);
        enter(ledger, second, ctx);
        expect(ledger.end(ctx)).toBe(second);
      }
  });

  it('knows two calls of one context that are of one kind', () => {
    for (const kind of KINDS) {
      const ledger = new Ledger();
      const ctx = {};
      ledger.count({});
      for (let i = 0; i < 2; i++) enter(ledger, kind, ctx);
      expect([ledger.end(ctx), ledger.end(ctx), ledger.end(undefined)]).toEqual([kind, kind, COUNTED]);
    }
  });

  it('takes the oldest first where there are no contexts', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...KINDS))), (steps) => {
        const ledger = new Ledger();
        const open: Kind[] = [];
        for (const [begins, kind] of steps) {
          if (begins) {
            enter(ledger, kind);
            open.push(kind);
          } else expect(ledger.end(undefined)).toBe(open.shift() ?? UNCOUNTED);
        }
        while (open.length > 0) expect(ledger.end(undefined)).toBe(open.shift());
        expect(ledger.end(undefined)).toBe(UNCOUNTED);
      }),
    );
  });

  it('keeps the numbers, and no more than some of the order, of very many that never end', () => {
    const ledger = new Ledger();
    for (let i = 0; i < 10_000; i++) enter(ledger, KINDS[i % 3] as Kind);
    const ended = Array.from({ length: 10_001 }, () => ledger.end(undefined));
    expect(KINDS.map((kind) => ended.filter((one) => one === kind).length)).toEqual([3_334, 3_334, 3_333]);
    expect(ended.at(-1)).toBe(UNCOUNTED);
    // Those that came after it was full still come after those from before.
    expect(ended.slice(-7, -1)).toEqual([UNCOUNTED, OVERRULED, COUNTED, UNCOUNTED, OVERRULED, COUNTED]);
  });

  it('settles as many as were counted where a call ends with another context than it began with', () => {
    const ledger = new Ledger();
    ledger.count({});
    ledger.count(undefined);
    expect([ledger.end({}), ledger.end({}), ledger.end({})]).toEqual([COUNTED, COUNTED, UNCOUNTED]);
    ledger.count({});
    expect([ledger.end(undefined), ledger.end(undefined)]).toEqual([COUNTED, UNCOUNTED]);
  });
});
