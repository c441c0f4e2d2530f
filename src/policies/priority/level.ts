/** How many levels a tier has. */
export const LEVELS = 128;

/** The last step of MurmurHash3: each bit of the input changes half of the output's. */
function mix(bits: number): number {
  let h = bits;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * A user's level in an hour: 0, shed last, to 127, shed first. FNV-1a over the UTF-16 units of the id, from a state
 * that the hour gives, mixed by MurmurHash3's last step. A fixed function: every host that sees the same user in the
 * same hour decides alike, and no user is always the first to go.
 *
 * @param hour whole hours since 1970
 */
export function levelOf(userId: string, hour: number): number {
  let h = 0x811c9dc5 ^ mix(hour);
  for (let i = 0; i < userId.length; i++) h = Math.imul(h ^ userId.charCodeAt(i), 0x01000193);
  return mix(h) & (LEVELS - 1);
}
