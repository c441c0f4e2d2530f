/** What a crew and its workers tell each other, as bytes. */

/** A minute of one set, or the beginning of it. What comes of it depends on nothing else: it can be done again. */
export interface Order {
  /** Of all sets. */
  users: number;
  sets: number;
  /** Which of the sets. */
  place: number;
  seed: number;
  minute: number;
  /** Requests. */
  offered: number;
}

export const encoded = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export const decoded = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T;
