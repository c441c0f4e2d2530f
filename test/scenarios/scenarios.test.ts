import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Expectations, type Scenario, simulate } from 'evenkeel/testing';
import { describe, expect, it, vi } from 'vitest';
import { ROOT } from '../docs/markdown.js';

// On a busy machine: what is played is virtual time, but it has to be played.
vi.setConfig({ testTimeout: 60_000 });

const FOLDER = join(ROOT, 'examples/scenarios');
const NAMES = readdirSync(FOLDER).map((file) => file.replace(/\.ts$/, ''));
const PAGE = readFileSync(join(ROOT, 'docs/scenarios.md'), 'utf8');

interface Example {
  default: Scenario;
  expectations: Expectations;
  unprotected: Scenario;
  unprotectedExpectations: Expectations;
}

/** The same without its policies; undefined where it has none. */
function bareOf(scenario: Scenario): Scenario | undefined {
  let removed = 0;
  const without = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(without);
    if (typeof value !== 'object' || value === null) return value;
    if ('pipeline' in value) removed++;
    const fields = Object.entries(value).filter(([name]) => name !== 'pipeline');
    return Object.fromEntries(fields.map(([name, field]) => [name, without(field)]));
  };
  const bare = without(scenario) as Scenario;
  return removed > 0 ? bare : undefined;
}

describe.each(NAMES)('%s', (name) => {
  const load = (): Promise<Example> => import(join(FOLDER, `${name}.ts`));

  it('fails as it says when unprotected', async () => {
    const { unprotected, unprotectedExpectations } = await load();
    (await simulate(unprotected)).assert(unprotectedExpectations);
  });

  it('is as it should be when protected, which the unprotected run is not', async () => {
    const { default: guarded, expectations, unprotected } = await load();
    (await simulate(guarded)).assert(expectations);
    const bare = await simulate(unprotected);
    expect(() => bare.assert(expectations)).toThrow('wanted');
  });

  it('owes that to its policies', async () => {
    const { default: guarded, expectations } = await load();
    const bare = bareOf(guarded);
    // The sets of the poisoned one are its back-ends.
    if (bare === undefined) return expect(name).toBe('poisoned-set');
    const report = await simulate(bare);
    expect(() => report.assert(expectations)).toThrow('wanted');
  });

  it('is on the page, with its picture', async () => {
    const { default: guarded } = await load();
    expect(PAGE).toContain(`## ${guarded.name}\n`);
    expect(PAGE).toContain(`(figures/scenario-${name}.svg)`);
    expect(PAGE).toContain(`(../examples/scenarios/${name}.ts)`);
  });
});
