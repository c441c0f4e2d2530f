/** What a benchmark case is. README.md says how to add one. */

/** What the measured code protects. It counts its calls: a success has to reach it, a refusal must not. */
export interface Callee {
  /** An async function that does nothing. */
  up(): Promise<void>;
  /** Rejects with an error made beforehand. */
  down(): Promise<never>;
  /** Counts a call where the case calls neither. */
  reach(): void;
}

/** One operation; a promise is awaited, and a rejection caught. */
export type Call = () => unknown;

export interface Case {
  /** Unique in its group. */
  name: string;
  /** `floor`: what the language charges for the same. */
  kind: 'floor' | 'ours' | 'peer';
  /** The floor to compare with. @default the group's first */
  floor?: string;
  /**
   * Without it every call must reach the callee and succeed. With it at least 99 % must not reach it, and this tells
   * whether the value or the error that such a call ends with is right.
   */
  refused?: (result: unknown) => boolean;
  setup(callee: Callee): Call | Promise<Call>;
}

/** Cases that do the same thing and are compared with one another. */
export interface Group {
  name: string;
  cases: Case[];
}

/** What a case is called on the command line and in results. */
export const idOf = (group: Group, { name }: Case): string => `${group.name} / ${name}`;
