/** Reading the command line of what `npm run` runs here. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Says what was wrong, if anything was, and how it is meant; ends the process. */
export function usageAndExit(usage: string, problem?: string): never {
  if (problem === undefined) console.log(usage);
  else console.error(`${problem}\n\n${usage}`);
  process.exit(problem === undefined ? 0 : 2);
}

/** As `parseArgs`, but what it does not know ends in the usage instead of a stack. */
export function readArguments<T extends ParseArgsConfig>(usage: string, config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if (error instanceof TypeError && 'code' in error) return usageAndExit(usage, error.message);
    throw error;
  }
}
