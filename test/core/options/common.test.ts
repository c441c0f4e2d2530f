/** The options that every policy has. */
import { systemClock } from 'evenkeel';
import { manualClock } from 'evenkeel/testing';
import { expect, it } from 'vitest';
import { systemRandom } from '../../../src/core/numbers/random.js';
import { readCommon } from '../../../src/core/options/common.js';
import { OptionReader } from '../../../src/core/options/validate.js';

const commonOf = (given: object) => readCommon(new OptionReader('owner', given), 'mine');

it('the common options are taken as given, or have their defaults', () => {
  const given = {
    name: 'yours',
    clock: manualClock(),
    random: () => 0,
    observer: () => {},
    classify: () => 'success' as const,
  };
  expect(commonOf(given)).toEqual(given);
  expect(commonOf({})).toEqual({
    name: 'mine',
    clock: systemClock,
    random: systemRandom,
    observer: undefined,
    classify: undefined,
  });
});

it.each(['now', 'setTimer', 'clearTimer'])('a clock without %s is refused', (method) => {
  const clock = { ...systemClock, [method]: undefined };
  expect(() => commonOf({ clock })).toThrow(
    new TypeError('owner: clock must be an object with now, setTimer, clearTimer, got an object'),
  );
});
