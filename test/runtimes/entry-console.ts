/** For runtimes with a console: prints the result as one line. */
import { runSubset } from './subset.js';

// The library's timers keep no process alive, so somebody else has to.
const alive = setInterval(() => {}, 1_000);
runSubset().then((result) => {
  console.log(`RESULT ${JSON.stringify(result)}`);
  clearInterval(alive);
});
