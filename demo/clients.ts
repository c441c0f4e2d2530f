import { circuitBreaker, defaultClassify, dynamicTimeout, pipeline } from 'evenkeel';

async function get(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.text();
}

/** What most services do. */
export const bare = (url: string): Promise<string> => get(url, AbortSignal.timeout(1_000));

const guard = pipeline(
  circuitBreaker({
    k: 1.1,
    // A slow answer tells of a queue long before time-outs do: the caller is served, the breaker is warned.
    classify: (outcome, ctx) => (ctx.clock.now() - ctx.startedAt > 300 ? 'dropped' : defaultClassify(outcome, ctx)),
  }),
  dynamicTimeout({ limitMs: 700, maxMs: 900 }),
);

/** The same call, guarded. */
export const guarded = (url: string): Promise<string> => guard.execute((ctx) => get(url, ctx.signal));
