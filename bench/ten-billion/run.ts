/** `npm run bench:ten-billion`: ten billion admission decisions, counted to the last one. */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readArguments, usageAndExit } from '../../scripts/command-line.js';
import { buildBeside, resultsDir } from '../kit/build.js';
import { MarkedPlace } from '../kit/marked-place.js';
import { machineText, table, warnings } from '../kit/report.js';
import { type Machine, machine, machineDoubts } from '../kit/results.js';
import { REQUESTS_A_MINUTE } from './admission-set.js';
import { type Campaign, carryOut, load, newCampaign, save } from './campaign.js';
import { faults, REASONS, refusedOf } from './counts.js';
import { startCrew } from './crew.js';
import { ProgressBar } from './progress-bar.js';

const USAGE = `npm run bench:ten-billion -- [options]
  --count <n>        default 1e10; 1e8 is a quick look
  --sets <n>         one worker each, default one for each core
  --resume           go on where the last run was stopped; it keeps its --count and --sets
  --markdown <file>  put the figures between the lines "<!-- ten-billion -->" and "<!-- /ten-billion -->" of the file

A million users shake their phones, in rushes. Tiers, a limit for each user and a breaker decide on each request.
Ctrl-C stops between two orders; bench/results/ten-billion.json has what was counted by then.
`;
const USERS = 1_000_000;
const SEED = 1;
const CHECKPOINT = join(resultsDir, 'ten-billion.json');

function usageError(text: string): never {
  console.error(`${text}\n\n${USAGE}`);
  process.exit(2);
}

function campaignFrom(values: { count: string; sets: string; resume: boolean }): Campaign {
  if (values.resume) return load(CHECKPOINT);
  const count = Number(values.count);
  const sets = Number(values.sets);
  if (!Number.isSafeInteger(count) || count < 1) usageError('--count must be a whole number ≥ 1');
  if (!Number.isInteger(sets) || sets < 1 || sets > 256) usageError('--sets must be a whole number, 1 to 256');
  return newCampaign({ count, users: USERS, sets, chunk: REQUESTS_A_MINUTE, seed: SEED });
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');

function report({ counts, sets, users, begun, spentMs }: Campaign, on: Machine): string {
  const { offered, admitted, refused } = counts;
  const share = (part: number): string => `${((part / offered) * 100).toFixed(2)} %`;
  const perSecond = (offered / spentMs) * 1_000;
  const resumed = begun > 1 ? `, resumed ${begun - 1} ×` : '';
  return [
    `${new Date().toISOString().slice(0, 10)}, ${machineText(on)}: ${whole(offered)} decisions in ${(spentMs / 60_000).toFixed(1)} minutes, ${whole(perSecond)} a second, ${whole((sets / perSecond) * 1e9)} ns each on a core; ${sets} sets, ${whole(users)} users${resumed}.`,
    ...warnings(machineDoubts(on)),
    table(
      ['', 'requests', 'share'],
      [
        ['offered', whole(offered), ''],
        ['admitted', whole(admitted), share(admitted)],
        ...REASONS.map((reason) => [`refused, \`${reason}\``, whole(refused[reason]), share(refused[reason])]),
        ['admitted + refused', whole(admitted + refusedOf(counts)), ''],
      ],
    ),
  ].join('\n\n');
}

const { values } = readArguments(USAGE, {
  options: {
    count: { type: 'string', default: '1e10' },
    sets: { type: 'string', default: String(availableParallelism()) },
    resume: { type: 'boolean', default: false },
    markdown: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) usageAndExit(USAGE);
const campaign = campaignFrom(values);
const page = values.markdown === undefined ? undefined : new MarkedPlace(values.markdown, 'ten-billion');
mkdirSync(resultsDir, { recursive: true });

const on = machine();
let givenUp = false;
process.once('SIGINT', () => {
  givenUp = true;
});
const dir = await buildBeside('build-ten-billion', { worker: 'ten-billion/worker.ts' });
const { users, sets, seed } = campaign;
const crew = startCrew({ worker: pathToFileURL(join(dir, 'worker.js')), users, sets, seed });
campaign.begun++;
const bar = new ProgressBar(campaign);
try {
  await carryOut(
    campaign,
    crew,
    () => {
      save(CHECKPOINT, campaign);
      bar.draw();
    },
    () => givenUp,
  );
} finally {
  bar.end();
  await crew.close();
  if (crew.deaths > 0) console.error(`${crew.deaths} workers died; what they were at was done again`);
}
const { counts, count } = campaign;
if (counts.offered < count) {
  console.error(`stopped at ${whole(counts.offered)} of ${whole(count)}: go on with --resume`);
  process.exit(130);
}
const text = report(campaign, on);
console.log(text);
const wrong = faults(counts, count);
for (const fault of wrong) console.error(`does not add up: ${fault}`);
if (wrong.length > 0) process.exit(1);
console.log(
  '\noffered = admitted + refused, by every reason, to the last one; the callee counted as many as were admitted.',
);
page?.write(text);
