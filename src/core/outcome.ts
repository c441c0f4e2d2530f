/** How a call ended. */
export type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

/**
 * What an outcome says about the downstream: `failure`, it failed; `dropped`, it is overloaded or timed out; `ignored`,
 * nothing (a refusal of our own inside, the caller's abort): a breaker undoes what it counted at admission.
 */
export type Verdict = 'success' | 'failure' | 'dropped' | 'ignored';
