import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { AdmissionSet, usersOf } from '../../bench/ten-billion/admission-set.js';
import { carryOut, leftOf, load, newCampaign, save, shareOf } from '../../bench/ten-billion/campaign.js';
import { add, type Counts, faults, noCounts, REASONS } from '../../bench/ten-billion/counts.js';
import { type Crew, startCrew } from '../../bench/ten-billion/crew.js';
import type { Order } from '../../bench/ten-billion/orders.js';
import { ProgressBar } from '../../bench/ten-billion/progress-bar.js';
import { builtWorker } from '../workers/isolation/build.js';

const USERS = 1_000;
const seed = 1;

function setOf(order: Partial<Order> = {}): AdmissionSet {
  const whole = { users: USERS, sets: 1, place: 0, seed, minute: 0, ...order };
  return new AdmissionSet(usersOf(whole), whole);
}

/** As the workers do, without them. */
const crewOf = (sets: number): Crew => ({
  run: async (place, minute, offered) => setOf({ sets, place, minute }).run(offered),
  deaths: 0,
  close: async () => {},
});

describe('one set', () => {
  it('accounts for every request, whatever the order is cut into', () => {
    const set = setOf();
    const total = noCounts();
    const orders = [1, 0, 9_999, 40_000];
    for (const offered of orders) {
      const counts = set.run(offered);
      expect(faults(counts, offered)).toEqual([]);
      add(total, counts);
    }
    expect(faults(total, 50_000)).toEqual([]);
    expect(total).toEqual(setOf().run(50_000));
  });

  it('refuses for each reason in a rush and an outage, and admits', () => {
    const counts = setOf({ users: 50_000 }).run(480_000);
    for (const reason of REASONS) expect(counts.refused[reason], reason).toBeGreaterThan(1_000);
    expect(counts.admitted).toBeGreaterThan(100_000);
  });

  it('decides the same again for the same order, and otherwise for another', () => {
    const run = (order: Partial<Order>): Counts => setOf({ users: 100_000, sets: 2, ...order }).run(30_000);
    expect(run({})).toEqual(run({}));
    for (const other of [{ seed: 2 }, { minute: 1 }, { place: 1 }]) expect(run(other)).not.toEqual(run({}));
  });

  it('has its own users: together the sets have each one once', () => {
    const all = [0, 1, 2].flatMap((place) => usersOf({ users: 10, sets: 3, place }));
    expect(all.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `user-${i}`));
  });
});

describe('counts', () => {
  const fine: Counts = {
    offered: 10,
    admitted: 4,
    reached: 4,
    refused: { tier_shed: 1, rate_limited: 2, circuit_open: 3 },
  };

  it('that add up have no faults', () => {
    expect(faults(fine, 10)).toEqual([]);
  });

  it('that do not, by one, have', () => {
    expect(faults(fine, 11)).toHaveLength(1);
    expect(faults({ ...fine, admitted: 5, reached: 5 }, 10)).toHaveLength(1);
    expect(faults({ ...fine, reached: 3 }, 10)).toHaveLength(1);
    for (const reason of REASONS)
      expect(faults({ ...fine, refused: { ...fine.refused, [reason]: 0 } }, 10), reason).toHaveLength(1);
  });
});

describe('campaign', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ten-billion-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'checkpoint.json');

  it('is shared out to the last request', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e13 }), fc.integer({ min: 1, max: 256 }), (count, sets) => {
        const shares = Array.from({ length: sets }, (_, place) => shareOf({ count, sets }, place));
        expect(shares.reduce((sum, one) => sum + one, 0)).toBe(count);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('adds up over all sets', async () => {
    const campaign = newCampaign({ count: 100_003, users: USERS, sets: 3, chunk: 7_000, seed });
    let chunks = 0;
    await carryOut(campaign, crewOf(3), () => chunks++);
    expect(faults(campaign.counts, 100_003)).toEqual([]);
    expect(chunks).toBe(15);
  });

  it('stopped between any two orders and resumed from the file counts what it would have counted', async () => {
    const whole = newCampaign({ count: 50_001, users: USERS, sets: 2, chunk: 9_000, seed });
    await carryOut(whole, crewOf(2), () => {});
    expect(faults(whole.counts, 50_001)).toEqual([]);
    for (let stopAfter = 0; stopAfter <= 6; stopAfter++) {
      const campaign = newCampaign({ count: 50_001, users: USERS, sets: 2, chunk: 9_000, seed });
      let chunks = 0;
      save(file, campaign);
      await carryOut(
        campaign,
        crewOf(2),
        () => {
          chunks++;
          save(file, campaign);
        },
        () => chunks >= stopAfter,
      );
      const resumed = load(file);
      expect(resumed).toEqual(campaign);
      await carryOut(resumed, crewOf(2), () => {});
      expect(resumed.counts).toEqual(whole.counts);
      expect([leftOf(resumed, 0), leftOf(resumed, 1)]).toEqual([0, 0]);
    }
  });

  it('counts nothing of an order whose worker died', async () => {
    const campaign = newCampaign({ count: 30_000, users: USERS, sets: 1, chunk: 10_000, seed });
    const crew = crewOf(1);
    let orders = 0;
    const dies: Crew = {
      ...crew,
      run: (place, minute, offered) =>
        ++orders === 2 ? Promise.reject(new Error('died')) : crew.run(place, minute, offered),
    };
    await expect(carryOut(campaign, dies, () => {})).rejects.toThrow('died');
    expect(faults(campaign.counts, 10_000)).toEqual([]);
  });

  it('is not resumed from what is no checkpoint', () => {
    expect(() => load(join(dir, 'none.json'))).toThrow('nothing to resume');
    const campaign = newCampaign({ count: 10, users: USERS, sets: 1, chunk: 5, seed });
    campaign.counts.offered = 3;
    writeFileSync(file, JSON.stringify(campaign));
    expect(() => load(file)).toThrow('damaged');
    campaign.offeredBySet = [3];
    writeFileSync(file, JSON.stringify(campaign));
    expect(() => load(file)).toThrow('damaged');
    writeFileSync(file, '{}');
    expect(() => load(file)).toThrow('damaged');
  });

  it('shows how far it is', async () => {
    const campaign = newCampaign({ count: 20_000, users: USERS, sets: 1, chunk: 5_000, seed });
    let chunks = 0;
    await carryOut(
      campaign,
      crewOf(1),
      () => chunks++,
      () => chunks === 1,
    );
    expect(new ProgressBar(campaign).text()).toContain('25.0 %');
  });
});

describe('crew', () => {
  const worker = builtWorker(join(import.meta.dirname, '../../bench/ten-billion/worker.ts'));
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('counts in its workers what is counted without them', async () => {
    const crew = startCrew({ worker: worker.url(), users: USERS, sets: 3, seed });
    const campaign = newCampaign({ count: 100_003, users: USERS, sets: 3, chunk: 7_000, seed });
    const expected = structuredClone(campaign);
    await carryOut(campaign, crew, () => {});
    await crew.close();
    await carryOut(expected, crewOf(3), () => {});
    expect(campaign.counts).toEqual(expected.counts);
    expect(crew.deaths).toBe(0);
  });

  it('counts the same when a worker is killed at an order', async () => {
    const started: Worker[] = [];
    const { unref } = Worker.prototype;
    vi.spyOn(Worker.prototype, 'unref').mockImplementation(function (this: Worker) {
      started.push(this);
      unref.call(this);
    });
    const crew = startCrew({ worker: worker.url(), users: USERS, sets: 1, seed });
    expect(await crew.run(0, 0, 1)).toEqual(setOf().run(1));
    const counts = crew.run(0, 1, 400_000);
    await started[0]?.terminate();
    expect(await counts).toEqual(setOf({ minute: 1 }).run(400_000));
    expect(crew.deaths).toBe(1);
    await crew.close();
  });
});
