/** Who has offered how much of it all, and what came of it; goes into a file, and on from there. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { add, type Counts, noCounts } from './counts.js';
import type { Crew } from './crew.js';

export interface Campaign {
  /** Requests in all. */
  count: number;
  users: number;
  /** How many sets share them. */
  sets: number;
  /** Requests in an order: the n-th order of a set is its minute n. */
  chunk: number;
  /** Where the draws begin; a run that was stopped and resumed counts what it would have counted. */
  seed: number;
  /** How often it was begun and resumed. */
  begun: number;
  /** So far, by set. */
  offeredBySet: number[];
  counts: Counts;
  /** Of work so far. */
  spentMs: number;
}

export const newCampaign = (options: Pick<Campaign, 'count' | 'users' | 'sets' | 'chunk' | 'seed'>): Campaign => ({
  ...options,
  begun: 0,
  offeredBySet: Array.from({ length: options.sets }, () => 0),
  counts: noCounts(),
  spentMs: 0,
});

/** A set's part of the whole; together exactly that. */
export const shareOf = ({ count, sets }: Pick<Campaign, 'count' | 'sets'>, place: number): number =>
  Math.floor((count * (place + 1)) / sets) - Math.floor((count * place) / sets);

export const leftOf = (campaign: Campaign, place: number): number =>
  shareOf(campaign, place) - (campaign.offeredBySet[place] as number);

/** Has each set do order after order; `onChunk` after each one. Stops between two orders when `isGivenUp` says so. */
export async function carryOut(
  campaign: Campaign,
  crew: Crew,
  onChunk: () => void,
  isGivenUp: () => boolean = () => false,
): Promise<void> {
  const spentBefore = campaign.spentMs;
  const startMs = performance.now();
  await Promise.all(
    campaign.offeredBySet.map(async (_, place) => {
      for (let left = leftOf(campaign, place); left > 0 && !isGivenUp(); left = leftOf(campaign, place)) {
        const offered = Math.min(left, campaign.chunk);
        const before = campaign.offeredBySet[place] as number;
        const counts = await crew.run(place, before / campaign.chunk, offered);
        campaign.offeredBySet[place] = before + offered;
        add(campaign.counts, counts);
        campaign.spentMs = spentBefore + performance.now() - startMs;
        onChunk();
      }
    }),
  );
}

/** Over the old one at once: a run that is killed leaves one of the two. */
export function save(file: string, campaign: Campaign): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(campaign, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** @throws Error when there is none, or it is not one of a campaign. */
export function load(file: string): Campaign {
  if (!existsSync(file)) throw new Error(`there is nothing to resume: ${file} does not exist`);
  const found = JSON.parse(readFileSync(file, 'utf8')) as Campaign;
  const offered = found.offeredBySet?.reduce((sum, one) => sum + one, 0);
  const isWhole = (one: number, place: number): boolean => one % found.chunk === 0 || one === shareOf(found, place);
  if (
    offered === undefined ||
    offered !== found.counts?.offered ||
    found.offeredBySet.length !== found.sets ||
    !Number.isSafeInteger(found.seed) ||
    !found.offeredBySet.every(isWhole)
  ) {
    throw new Error(`${file} is not the checkpoint of a run, or is damaged`);
  }
  return found;
}
