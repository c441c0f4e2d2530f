import { inspect } from 'node:util';

/** What the user is to be told without a stack trace. */
export class UsageError extends Error {
  readonly exitCode: number = 2;
}

/** What is wrong with the file, not with the command line. */
export class FileError extends UsageError {
  override readonly exitCode = 1;
}

/** A line of a stack trace that says nothing about the user's own code. */
const FOREIGN_FRAME = /^\s+at .*(node:|[\\/]node_modules[\\/])/;
const FRAME = /^\s+at /;
const NO_ES_MODULE = /Unexpected token 'export'|import statement outside a module|await is only valid|Top-level await/;
const ADVICE = `the file was read as CommonJS: let its name end in .mts or .mjs, or put "type": "module" into package.json`;

/**
 * The error to tell the user of what came from their `file`; with a stack trace where it is their own code that threw.
 */
export function wrongFile(file: string, error: unknown): FileError {
  const text = textOf(error);
  return new FileError(`${file}: ${text}${NO_ES_MODULE.test(text) ? `\n${ADVICE}` : ''}`, { cause: error });
}

/**
 * Whether only Node itself can tell the line: it knows that of a module's syntax error, but tells it of uncaught ones
 * alone.
 */
export const isSyntaxErrorWithoutLine = (error: unknown): error is SyntaxError =>
  error instanceof SyntaxError && String(error.stack).startsWith('SyntaxError');

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return inspect(error);
  if (error instanceof SyntaxError) return String(error.stack).split(/\n\s+at /)[0] as string;
  if (error.message.startsWith('simulate: ')) return error.message;
  const lines = inspect(error)
    .split('\n')
    .filter((line) => !FOREIGN_FRAME.test(line));
  return lines.some((line) => FRAME.test(line)) ? lines.join('\n') : error.message;
}
