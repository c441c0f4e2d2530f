import { expect, it } from 'vitest';
import { whenSettled } from '../../../src/core/call/promises.js';

const told = <T>(promise: Promise<T>) =>
  whenSettled(
    promise,
    (value) => `value ${value}`,
    (error) => `error ${error}`,
  );

it('whenSettled is then', async () => {
  expect(await told(Promise.resolve(1))).toBe('value 1');
  expect(await told(Promise.reject('bad'))).toBe('error bad');
});

it('whenSettled goes past a then of the promise’s own, which could call back twice', async () => {
  const twice = Promise.resolve(1);
  // biome-ignore lint/suspicious/noThenProperty: that is what it has to bear
  twice.then = ((onValue: (value: number) => void) => {
    onValue(2);
    onValue(3);
  }) as never;
  let calls = 0;
  const end = await whenSettled(
    twice,
    (value) => {
      calls++;
      return value;
    },
    () => 0,
  );
  expect([end, calls]).toEqual([1, 1]);
});
