/** What a simulation keeps, and tells, of calls that were given up. */
import { type Context, isTimeout, pipeline, TimeoutError } from 'evenkeel';
import { simulate } from 'evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { hostTurn, promiseTurns } from '../../../../src/core/time/turns.js';
import { seededRandom } from '../../../../src/testing/random.js';
import { Server } from '../../../../src/testing/simulator/run/server.js';
import { Timeline } from '../../../../src/testing/simulator/run/timeline.js';
import { readScenario } from '../../../../src/testing/simulator/scenario/read-scenario.js';
import { BASE, spy } from '../play.js';

describe('a call that was given up', () => {
  it('leaves nothing of its caller in the queue, and is worked on all the same', async () => {
    const timeline = new Timeline(promiseTurns());
    const plan = readScenario({ ...BASE, backend: { serviceTimeMs: 10 } });
    const [serverPlan] = plan.servers;
    if (serverPlan === undefined) throw new Error('no server');
    const server = new Server(serverPlan, timeline, seededRandom(1), (mistake) => {
      throw mistake;
    });
    const wire = { tier: 3, key: undefined, cost: 1, deadline: Infinity } as const;
    const answers: unknown[] = [];
    server.receive(wire, (error) => answers.push(error), false);
    const waiting = server.receive(wire, (error) => answers.push(error), false);
    server.leave(waiting, new Error('gone'));
    expect(waiting.answer).toBeUndefined();
    await timeline.run(100);
    await hostTurn();
    expect([answers, waiting.answered, server.queueLength()]).toEqual([[undefined], true, 0]);
  });

  it('has a time-out of its own as its reason, which policies may write to', async () => {
    const contexts: Context[] = [];
    await simulate({
      ...BASE,
      durationMs: 200,
      client: { timeoutMs: 15, retries: 1, pipeline: () => pipeline(spy((ctx) => contexts.push(ctx))) },
    });
    const reasons = contexts.filter(({ signal }) => signal.aborted).map(({ signal }) => signal.reason as TimeoutError);
    expect(reasons.length).toBeGreaterThan(10);
    expect(new Set(reasons).size).toBe(reasons.length);
    for (const reason of reasons) {
      expect(isTimeout(reason) && reason instanceof TimeoutError).toBe(true);
      expect([reason.policy, reason.timeoutMs, reason.code]).toEqual(['client', 15, 'EVENKEEL_TIMEOUT']);
    }
  });
});
