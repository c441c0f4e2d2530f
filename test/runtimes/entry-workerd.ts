/** For workerd, which runs `test` handlers. */
import { runSubset } from './subset.js';

export default {
  async test(): Promise<void> {
    console.log(`RESULT ${JSON.stringify(await runSubset())}`);
  },
};
