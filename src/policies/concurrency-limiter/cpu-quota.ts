/** A file's text; undefined when it cannot be read. */
export type ReadText = (path: string) => string | undefined;

const V2_MOUNTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];
const V1_MOUNTS = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct', '/sys/fs/cgroup/cpuacct,cpu'];

/** `quota` microseconds of CPU every `period`; none where that is no positive number, as with `max` and `-1`. */
function coresOf(quota: string | undefined, period: string | undefined): number {
  const cores = Number(quota) / Number(period);
  return cores > 0 ? cores : Infinity;
}

/** `/a/b`, `/a`, and the root, which is all that a container may see of its own path. */
function upwards(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return parts.map((_, i) => `/${parts.slice(0, parts.length - i).join('/')}`).concat('');
}

/**
 * How many cores the process may use by the quotas of its control group and those around it, fractions kept; `Infinity`
 * = no quota. Reads both versions: `cpu.max` of version 2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1.
 */
export function cpuQuota(readText: ReadText): number {
  let cores = Infinity;
  const lines = (readText('/proc/self/cgroup') ?? '0::/').matchAll(/^\d+:([^:]*):(.*)/gm);
  for (const [, controllers, path] of lines as Iterable<[string, string, string]>) {
    if (controllers === '') {
      for (const dir of V2_MOUNTS.flatMap((mount) => upwards(path).map((one) => mount + one))) {
        const words = readText(`${dir}/cpu.max`)?.trim().split(/\s+/);
        cores = Math.min(cores, coresOf(words?.[0], words?.[1] ?? '100000'));
      }
    } else if (controllers.split(',').includes('cpu')) {
      for (const dir of V1_MOUNTS.flatMap((mount) => upwards(path).map((one) => mount + one))) {
        const quota = coresOf(readText(`${dir}/cpu.cfs_quota_us`), readText(`${dir}/cpu.cfs_period_us`));
        cores = Math.min(cores, quota);
      }
    }
  }
  return cores;
}
