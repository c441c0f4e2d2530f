#!/usr/bin/env node
import { run } from './run.js';

run(process.argv.slice(2)).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    // Left to Node, which tells the line of a syntax error only then.
    setImmediate(() => {
      throw error;
    });
  },
);
