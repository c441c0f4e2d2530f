/** One case in a process of its own: calls that do nothing, so many at a time, through one worker. */
import { createSets } from 'evenkeel/isolation';
import { Piscina } from 'piscina';

/** Our sets, or piscina: how it waits, and how many tasks a worker is given at a time. */
export type Setting = 'sets' | PiscinaSetting;

export interface PiscinaSetting {
  atomics: 'sync' | 'async' | 'disabled';
  tasks: number;
}

export interface Figures {
  callsPerSecond: number;
  p50Us: number;
}

const WARM_UP_MS = 400;
const MEASURE_MS = 800;

interface Pool {
  call(message: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

function open(setting: Setting): Pool {
  if (setting === 'sets') {
    const sets = createSets({ worker: new URL('./serve.js', import.meta.url), sets: 1, route: () => 0 });
    return { call: (message) => sets.call(message), close: () => sets.close() };
  }
  const filename = new URL('./task.js', import.meta.url).href;
  const piscina = new Piscina({
    filename,
    atomics: setting.atomics,
    concurrentTasksPerWorker: setting.tasks,
    minThreads: 1,
    maxThreads: 1,
    recordTiming: false,
  });
  return { call: (message) => piscina.run(message), close: () => piscina.destroy() };
}

async function measure(pool: Pool, concurrency: number, ms: number): Promise<Figures> {
  const latencies: number[] = [];
  const begin = performance.now();
  const client = async (): Promise<void> => {
    for (let at = performance.now(); at - begin < ms; ) {
      const answer = await pool.call(new Uint8Array(64));
      if (answer.length !== 64) throw new Error('that is no answer');
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  const seconds = (performance.now() - begin) / 1000;
  const p50 = Float64Array.from(latencies).sort()[latencies.length >> 1] as number;
  return { callsPerSecond: latencies.length / seconds, p50Us: p50 * 1000 };
}

const [setting = '"sets"', concurrency = '1'] = process.argv.slice(2);
const pool = open(JSON.parse(setting));
await measure(pool, Number(concurrency), WARM_UP_MS);
process.send?.(await measure(pool, Number(concurrency), MEASURE_MS));
await pool.close();
process.disconnect?.();
