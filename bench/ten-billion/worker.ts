/** A worker of the crew: makes its set, and does orders. */
import { parentPort, workerData } from 'node:worker_threads';
import { AdmissionSet } from './admission-set.js';
import type { Post } from './crew.js';

const { users, place, sets, seed } = workerData as Post;
const set = new AdmissionSet(users, place, sets, seed);
parentPort?.on('message', (offered: number) => parentPort?.postMessage(set.run(offered)));
