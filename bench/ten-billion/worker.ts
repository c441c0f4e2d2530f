/** A worker of a set: does its orders. */
import { serve } from 'evenkeel/isolation';
import { AdmissionSet, usersOf } from './admission-set.js';
import { decoded, encoded, type Order } from './orders.js';

/** The same in each order, and not cheap to make. */
let users: readonly string[] | undefined;

serve((message) => {
  const order = decoded<Order>(message);
  users ??= usersOf(order);
  return encoded(new AdmissionSet(users, order).run(order.offered));
});
