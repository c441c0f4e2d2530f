import { afterEach, beforeEach, expect } from 'vitest';

/** Fails each test of the file that leaves a rejection without a handler, or an error that only the host sees. */
export function noUnhandledRejections(): void {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => void process.on('unhandledRejection', note).on('uncaughtException', note));
  afterEach(() => {
    process.off('unhandledRejection', note).off('uncaughtException', note);
    expect(unhandled.splice(0)).toEqual([]);
  });
}
