/** The process of one point: `node worker.js <sweep> <series> <count>`. */
import { Subject } from '../kit/harness.js';
import { sweeps } from './sweeps.js';

const [sweepName, seriesName, count] = process.argv.slice(2);
const series = sweeps.find((one) => one.name === sweepName)?.series.find((one) => one.name === seriesName);
if (series === undefined) throw new Error(`worker: no series ${seriesName} of ${sweepName}`);

// The run was given up.
process.on('disconnect', () => process.exit(1));

const subject = await Subject.prepare({
  name: series.name,
  kind: 'ours',
  setup: (callee) => series.setup(callee, Number(count)),
});
const ns = await subject.nsPerCall();
if (process.send === undefined) {
  console.log(ns);
  process.exit(0);
} else {
  process.send(ns, () => process.exit(0));
}
