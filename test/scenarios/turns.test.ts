import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Report, Scenario } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { promiseTurns, type Turn, withHostTurns } from '../../src/core/time/turns.js';
import { simulateBy } from '../../src/testing/simulator/run/simulate.js';
import { ROOT } from '../docs/markdown.js';

vi.setConfig({ testTimeout: 60_000 });

const FOLDER = join(ROOT, 'examples/scenarios');
const NAMES = readdirSync(FOLDER).map((file) => file.replace(/\.ts$/, ''));

interface Example {
  default: Scenario;
  unprotected: Scenario;
}

const hash = (report: Report): string => createHash('sha256').update(JSON.stringify(report)).digest('hex');

/** A turn of the host's event loop for each instant: slow, and beyond doubt. */
const fullTurn: Turn = (fn) => void setImmediate(fn);
/** Waits for one promise only: what a simulation may not do. */
const shortTurn: Turn = (fn) => void Promise.resolve().then(fn);

describe('every report of the gallery is byte for byte that of a host turn an instant:', () => {
  it.each(NAMES)('%s', async (name) => {
    const { default: guarded, unprotected }: Example = await import(join(FOLDER, `${name}.ts`));
    for (const scenario of [guarded, unprotected]) {
      const wanted = hash(await simulateBy(fullTurn, scenario));
      expect(hash(await simulateBy(promiseTurns(), scenario))).toBe(wanted);
    }
  });

  it('which it is not by a turn that is too short', async () => {
    const { default: guarded }: Example = await import(join(FOLDER, 'outage.ts'));
    expect(hash(await simulateBy(shortTurn, guarded))).not.toBe(hash(await simulateBy(fullTurn, guarded)));
  });

  it('also where the host gets its turn again and again', async () => {
    const { default: guarded }: Example = await import(join(FOLDER, 'outage.ts'));
    const mixed = withHostTurns(promiseTurns(), fullTurn);
    expect(hash(await simulateBy(mixed, guarded))).toBe(hash(await simulateBy(fullTurn, guarded)));
  });

  it('and of two simulations at once', async () => {
    const { default: guarded, unprotected }: Example = await import(join(FOLDER, 'outage.ts'));
    const both = [guarded, unprotected];
    const atOnce = await Promise.all(both.map((scenario) => simulateBy(promiseTurns(), scenario)));
    const alone = await Promise.all(both.map((scenario) => simulateBy(fullTurn, scenario)));
    expect(atOnce.map(hash)).toEqual(alone.map(hash));
  });
});
