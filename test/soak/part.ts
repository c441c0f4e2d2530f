/** One part of the library under load. All parts run at the same time, and rest at the same time. */
export interface Part {
  /** Calls begun, each of which may leave something behind. */
  readonly calls: number;
  /** Begins, or goes on, with the load. */
  go(): void;
  /** Ends the load, and what is under way with it; what is wrong. */
  rest(): Promise<string[]>;
  /** To be called while it rests. Ends for good; what is wrong. */
  end(): Promise<string[]>;
  /** What it has done, in one line. */
  summary(): string;
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Whether `isThere` comes true within 20 s: far longer than anything takes, also on a busy machine. */
export async function soon(isThere: () => boolean): Promise<boolean> {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(5)) if (isThere()) return true;
  return isThere();
}
