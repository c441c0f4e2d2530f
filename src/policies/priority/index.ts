export { tierFrom } from './headers.js';
export { levelOf } from './level.js';
export {
  type TierShedder,
  type TierShedderOptions,
  type TierShedderSnapshot,
  type TierShedderUpdate,
  tierShedder,
} from './tier-shedder.js';
