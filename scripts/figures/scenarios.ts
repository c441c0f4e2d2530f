import { readdirSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compareReports, type Scenario, simulate } from 'evenkeel/testing';

const FOLDER = fileURLToPath(new URL('../../examples/scenarios/', import.meta.url));

/** Each scenario of the gallery, unprotected beside protected, by file name. */
export async function scenarioCharts(): Promise<Record<string, string>> {
  const charts: Record<string, string> = {};
  for (const file of readdirSync(FOLDER).sort()) {
    const scenario: { default: Scenario; unprotected: Scenario } = await import(pathToFileURL(FOLDER + file).href);
    const unprotected = await simulate(scenario.unprotected);
    const guarded = await simulate(scenario.default);
    const name = `scenario-${file.replace(/\.ts$/, '')}.svg`;
    charts[name] = compareReports({ unprotected, protected: guarded }).toSvg();
  }
  return charts;
}
