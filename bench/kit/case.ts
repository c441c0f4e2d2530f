/** What a benchmark case is. README.md says how to add one. */
import { BASE_VERSION } from './base.js';

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
  /** `floor`: what the language charges for the same. `base`: the case of ours that it is named after, by version 0.1.0. */
  kind: 'floor' | 'ours' | 'base' | 'peer';
  /** Of ours: whether 0.1.0 is measured beside it, with the same setup. @default false */
  base?: true;
  /** How many operations a call makes; figures are those of one. @default 1 */
  operations?: number;
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

/** What a case of ours is called when it runs on 0.1.0. */
export const baseName = (name: string): string => `${name}, ${BASE_VERSION}`;

/** The group with the cases of 0.1.0, each after the case of ours that it is the same as. */
export const withBase = (group: Group): Group => ({
  ...group,
  cases: group.cases.flatMap((made): Case[] =>
    made.base ? [made, { ...made, name: baseName(made.name), kind: 'base' }] : [made],
  ),
});

/** What a case is called on the command line and in results. */
export const idOf = (group: Group, { name }: Case): string => `${group.name} / ${name}`;
