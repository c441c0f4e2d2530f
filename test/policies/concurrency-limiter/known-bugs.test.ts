/** What went wrong in other limiters: one test each. */
import { type ConcurrencyLimiterOptions, concurrencyLimiter, processLoad } from 'evenkeel';
import { describe, expect, it } from 'vitest';
import { cpuQuota } from '../../../src/policies/concurrency-limiter/cpu-quota.js';
import { byWindow, saturate, steppedClock } from '../../simulation/saturated-callee.js';

/** Calls that end after a fixed time, so many a second whatever is in flight; the limiter may refuse some. */
function feed(
  options: Omit<ConcurrencyLimiterOptions, 'queue'>,
  load: {
    perSecond: number;
    rttMs: number;
    forMs: number;
    verdict?: (i: number) => 'success' | 'failure' | 'dropped' | 'ignored';
  },
) {
  const clock = steppedClock();
  const limiter = concurrencyLimiter({ load: () => 1, ...options, clock });
  const { perSecond, rttMs, forMs, verdict = () => 'success' } = load;
  const ending: { startedAt: number; i: number }[] = [];
  let mostInflight = 0;
  let refused = 0;
  for (let i = 1; (i * 1_000) / perSecond <= forMs; i++) {
    const startedAt = (i * 1_000) / perSecond;
    while (ending[0] !== undefined && ending[0].startedAt + rttMs <= startedAt) {
      const ended = ending.shift() as { startedAt: number; i: number };
      clock.at = ended.startedAt + rttMs;
      limiter.release(verdict(ended.i), rttMs, { startedAt: ended.startedAt });
    }
    clock.at = startedAt;
    if (limiter.tryAcquire({ startedAt })) ending.push({ startedAt, i });
    else refused++;
    mostInflight = Math.max(mostInflight, ending.length);
  }
  return { limiter, mostInflight, refused };
}

describe('known bugs', () => {
  it('the limit that climbs by one a window', () => {
    const { slices } = saturate({ workers: 10, serviceMs: 20, serviceTimes: 'constant', windows: 100 });
    const windows = byWindow(slices, 5).map(({ inflight }) => inflight);
    expect(Math.max(...windows)).toBeLessThan(11.5);
    expect(Math.min(...windows)).toBeGreaterThan(9.5);
  });

  it('stuck at a tenth of capacity', () => {
    const { slices } = saturate({
      workers: 10,
      serviceMs: 20,
      serviceTimes: 'constant',
      windows: 8,
      options: { minLimit: 1, maxLimit: 1 },
      changes: [{ atMs: 40_000, maxLimit: 1_000 }],
    });
    expect(slices[39]?.inflight).toBeCloseTo(1, 1);
    expect(slices.at(-1)?.inflight).toBeGreaterThan(9.5);
  });

  it.each([1_001, 2_000, 10_000])('windows whose buckets exceed a second: of %i ms', (bucketMs) => {
    const { limiter, refused } = feed(
      { windowMs: bucketMs * 10, buckets: 10 },
      { perSecond: 50, rttMs: 200, forMs: bucketMs * 60 },
    );
    expect(limiter.snapshot().limit).toBeGreaterThanOrEqual(10);
    expect(limiter.snapshot().limit).toBeLessThanOrEqual(13);
    expect(refused).toBe(0);
  });

  it('sub-millisecond response times', () => {
    const { limiter } = feed({ minLimit: 1 }, { perSecond: 5_000, rttMs: 0.2, forMs: 15_000 });
    const { limit, minRttMs, maxQps } = limiter.snapshot();
    expect(minRttMs).toBeCloseTo(0.2, 6);
    expect(maxQps).toBeCloseTo(5_000, -2);
    // 5,000 a second of 0.2 ms are one in flight, and one more is headroom. In whole milliseconds they would be five.
    expect(limit).toBe(2);
  });

  it('integer-truncated CPU averages', () => {
    for (const share of [0.8, 0.81, 0.818, 1]) {
      const clock = steppedClock();
      const sources = { eventLoop: () => undefined, cpuMs: () => clock.at * 2 * share, cores: () => 2 };
      const load = processLoad({ clock, sources });
      for (let at = 0; at <= 10_000; at += 100) {
        clock.at = at;
        load();
      }
      expect(load()).toBeCloseTo(share, 9);
    }
  });

  it('a step from 0 to 1 takes 1.5 s to reach the threshold, not 16 s', () => {
    const clock = steppedClock();
    const load = processLoad({
      clock,
      sources: {
        eventLoop: () => ({ active: Math.max(0, clock.at - 5_000), idle: Math.min(5_000, clock.at) }),
        cpuMs: () => undefined,
      },
    });
    let reachedAt = Infinity;
    for (let at = 0; at <= 10_000; at += 50) {
      clock.at = at;
      if (load() >= 0.8) reachedAt = Math.min(reachedAt, at);
    }
    expect(reachedAt - 5_000).toBeLessThanOrEqual(1_750);
    expect(reachedAt - 5_000).toBeGreaterThan(1_000);
  });

  it('failed calls counted as throughput', () => {
    const healthy = feed({}, { perSecond: 100, rttMs: 20, forMs: 15_000 }).limiter.snapshot();
    const tenTimesAsManyFail = (i: number) => (i % 11 === 0 ? 'success' : 'failure');
    const { limiter } = feed({}, { perSecond: 1_100, rttMs: 20, forMs: 15_000, verdict: tenTimesAsManyFail });
    expect(limiter.snapshot().maxQps / healthy.maxQps).toBeCloseTo(1, 0);
    const failing = feed({}, { perSecond: 1_000, rttMs: 1, forMs: 15_000, verdict: () => 'failure' });
    expect(failing.limiter.snapshot()).toMatchObject({ limit: Infinity, maxQps: 0, minRttMs: 0 });
  });

  it('failures that fail at once make no room, and failures that take time leave no less', () => {
    const clock = steppedClock();
    const limiter = concurrencyLimiter({ load: () => 1, clock });
    for (let at = 1; at < 20_000; at++) {
      clock.at = at;
      for (let i = 0; i < 20; i++) if (limiter.tryAcquire()) limiter.release('failure', 0);
      if (at % 10 === 0) expect(limiter.tryAcquire({ startedAt: at })).toBe(true);
      if (at > 20 && at % 10 === 0) limiter.release('success', 20, { startedAt: at - 20 });
    }
    expect(limiter.snapshot().limit).toBeLessThanOrEqual(4);
    expect(limiter.snapshot().minRttMs).toBeCloseTo(20, 6);
    const { slices } = saturate({
      workers: 10,
      serviceMs: 20,
      serviceTimes: 'constant',
      windows: 12,
      verdict: (at) => (Math.round(at * 7.3) % 2 === 0 ? 'success' : 'failure'),
    });
    for (const { inflight } of byWindow(slices, 5)) expect(inflight).toBeGreaterThan(9.5);
  });

  it('no data: no limit', () => {
    const clock = steppedClock();
    const limiter = concurrencyLimiter({ load: () => 1, clock });
    for (let i = 0; i < 10_000; i++) expect(limiter.tryAcquire({ startedAt: 1 })).toBe(true);
    expect(limiter.snapshot()).toEqual({
      limit: Infinity,
      inflight: 10_000,
      maxQps: 0,
      minRttMs: 0,
      load: 1,
      limiting: false,
    });
  });

  it('no data after a window of silence, either', () => {
    const { limiter } = feed({}, { perSecond: 50, rttMs: 20, forMs: 15_000 });
    expect(limiter.snapshot().limit).toBeLessThan(10);
    while (limiter.snapshot().inflight > 0) limiter.release('ignored', 0, { startedAt: 15_000 });
    expect(limiter.tryAcquire({ startedAt: 24_000 })).toBe(true);
    expect(limiter.snapshot().limit).toBeLessThan(10);
    limiter.release('ignored', 0, { startedAt: 24_000 });
    expect(limiter.tryAcquire({ startedAt: 34_100 })).toBe(true);
    expect(limiter.snapshot().limit).toBe(Infinity);
  });

  it('constant time-outs make no limit grow (Netflix/concurrency-limits #137)', () => {
    const { slices } = saturate({
      workers: 10,
      serviceMs: 100,
      serviceTimes: 'constant',
      windows: 12,
      verdict: (at) => (at > 50_000 ? 'dropped' : 'success'),
    });
    const limits = slices.filter(({ endMs }) => endMs > 60_000).map(({ limit }) => limit);
    expect(slices[45]?.limit).toBeGreaterThanOrEqual(8);
    expect(Math.max(...limits)).toBe(2);
    const always = feed({}, { perSecond: 100, rttMs: 1_000, forMs: 30_000, verdict: () => 'dropped' });
    expect(always.limiter.snapshot().limit).toBe(2);
    expect(always.refused).toBeGreaterThan(2_000);
  });

  it('a time-out now and then does not make the limit fall', () => {
    const { slices } = saturate({
      workers: 100,
      serviceMs: 20,
      serviceTimes: 'constant',
      windowMs: 2_000,
      windows: 40,
      verdict: (at) => (Math.round(at * 7.3) % 50 === 0 ? 'dropped' : 'success'),
    });
    for (const { inflight } of byWindow(slices, 5)) expect(inflight).toBeGreaterThan(95);
  });

  it('a service that gets slower is no queue, and one whose queue grows does not raise minRtt', () => {
    const slower = saturate({
      workers: 20,
      serviceMs: 20,
      serviceTimes: 'constant',
      windows: 8,
      changes: [{ atMs: 40_000, serviceMs: 50 }],
    }).slices;
    expect(slower[39]?.minRttMs).toBeCloseTo(20, 0);
    for (const { minRttMs, inflight } of slower.slice(50)) {
      expect(minRttMs).toBeCloseTo(50, 0);
      expect(inflight).toBeGreaterThan(19);
    }
    const fewer = saturate({
      workers: 20,
      serviceMs: 20,
      serviceTimes: 'constant',
      windows: 8,
      changes: [{ atMs: 40_000, workers: 8 }],
    }).slices;
    for (const { minRttMs, inflight } of fewer.slice(50)) {
      expect(minRttMs).toBeCloseTo(20, 0);
      expect(inflight).toBeLessThan(9.6);
    }
  });
});

describe('fractional quotas', () => {
  const files = (given: Record<string, string>) => (path: string) => given[path];

  it('version 2: the tightest on the way up', () => {
    const read = files({
      '/proc/self/cgroup': '0::/kubepods/pod1/app\n',
      '/sys/fs/cgroup/kubepods/pod1/app/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/kubepods/pod1/cpu.max': '25000 100000\n',
      '/sys/fs/cgroup/kubepods/cpu.max': '400000 100000\n',
    });
    expect(cpuQuota(read)).toBe(0.25);
  });

  it('version 2 in a container, which sees itself as the root', () => {
    expect(cpuQuota(files({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' }))).toBe(1.5);
    expect(cpuQuota(files({ '/proc/self/cgroup': '0::/../other\n', '/sys/fs/cgroup/cpu.max': '50000 20000\n' }))).toBe(
      2.5,
    );
    expect(cpuQuota(files({ '/sys/fs/cgroup/cpu.max': '30000\n' }))).toBe(0.3);
    const outside = { '/sys/fs/cgroup/../other/cpu.max': '1 100', '/sys/fs/cgroup/other/cpu.max': '\t50  100 \n' };
    expect(cpuQuota(files({ '/proc/self/cgroup': '0::/../other\n', ...outside }))).toBe(0.5);
    expect(cpuQuota(files({ '/sys/fs/cgroup/unified/cpu.max': '20 100' }))).toBe(0.2);
  });

  it('version 1, mounted under either name, also where the path is the host’s', () => {
    const self = '4:memory:/docker/x\n13:cpu,cpuacct:/docker/x\n1:name=systemd:/\n0::/\n';
    expect(
      cpuQuota(
        files({
          '/proc/self/cgroup': self,
          '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '70000\n',
          '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
        }),
      ),
    ).toBe(0.7);
    expect(
      cpuQuota(
        files({
          '/proc/self/cgroup': self,
          '/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us': '-1\n',
          '/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us': '100000\n',
        }),
      ),
    ).toBe(Infinity);
  });

  it.each(['cpu', 'cpu,cpuacct', 'cpuacct,cpu'])('version 1, mounted as %s', (mount) => {
    const quota = {
      '/proc/self/cgroup': '1:cpu:/x',
      [`/sys/fs/cgroup/${mount}/x/cpu.cfs_quota_us`]: '40\n',
      [`/sys/fs/cgroup/${mount}/x/cpu.cfs_period_us`]: '100\n',
    };
    expect(cpuQuota(files(quota))).toBe(0.4);
  });

  it('version 1: a path of another controller is none', () => {
    const quota = {
      '/proc/self/cgroup': '4:memory:/x\n3:cpuset:/x\n1:cpu:/y',
      '/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '40\n',
      '/sys/fs/cgroup/cpu/x/cpu.cfs_period_us': '100\n',
    };
    expect(cpuQuota(files(quota))).toBe(Infinity);
  });

  it('a line of another form is none', () => {
    expect(cpuQuota(files({ '/proc/self/cgroup': 'v0::/', '/sys/fs/cgroup/cpu.max': '1 2' }))).toBe(Infinity);
  });

  it.each([
    '',
    'max',
    'max 100000',
    'max 0',
    '0 100000',
    '-1 100000',
    '0 0',
    '0 1',
    '5 -5',
    '5 0',
    '5 x',
    'NaN NaN',
    '\n\n',
  ])('nothing to read, or %j: none', (text) => {
    expect(cpuQuota(() => undefined)).toBe(Infinity);
    expect(cpuQuota(() => text)).toBe(Infinity);
    expect(cpuQuota(files({ '/sys/fs/cgroup/cpu.max': text }))).toBe(Infinity);
  });
});
