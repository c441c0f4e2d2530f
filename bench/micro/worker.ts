/** The process of one case: `node worker.js <time|bytes> <case>`. */

import { idOf } from '../kit/case.js';
import { Subject } from '../kit/harness.js';
import { groups } from './cases/index.js';

export type Measure = 'time' | 'bytes';

const [measure, id] = process.argv.slice(2);
const made = groups.flatMap((group) => group.cases.filter((one) => idOf(group, one) === id))[0];
if (made === undefined || (measure !== 'time' && measure !== 'bytes')) {
  throw new Error(`worker: no measurement ${measure} of case ${id}`);
}

// The run was given up.
process.on('disconnect', () => process.exit(1));

const subject = await Subject.prepare(made);
const result = measure === 'time' ? await subject.nsPerCall() : await subject.bytesPerCall();
// Peers leave intervals behind.
if (process.send === undefined) {
  console.log(result);
  process.exit(0);
} else {
  process.send(result, () => process.exit(0));
}
