import {
  type BalancedContext,
  type Balancer,
  balancer,
  type Context,
  circuitBreaker,
  type Policy,
  pipeline,
} from 'evenkeel';
import { describe, expectTypeOf, it } from 'vitest';

interface Host {
  url: string;
  weight?: number;
}
interface UserContext extends Context {
  readonly user: string;
}
declare const hosts: Balancer<Host>;
declare const needsUser: Policy<UserContext>;

describe('balancer', () => {
  it('is generic in what an instance is', () => {
    expectTypeOf(balancer({ instances: ['a', 'b'] })).toEqualTypeOf<Balancer<string>>();
    expectTypeOf(balancer({ instances: [{ url: 'a' }] }).pick()).toEqualTypeOf<{ url: string }>();
    balancer<Host>({ instances: [], weightOf: (host) => host.url.length, probe: (host) => fetch(host.url) });
    // @ts-expect-error required
    balancer({});
    // @ts-expect-error another type
    hosts.add('a');
    // @ts-expect-error no verdict
    hosts.report({ url: 'a' }, 'ok', 5);
  });

  it('its policy gives the function an instance, and asks no caller for one', () => {
    const guard = pipeline(hosts.policy());
    guard.execute((ctx) => expectTypeOf(ctx.instance).toEqualTypeOf<Host>());
    guard.execute((ctx) => ctx.instance.url, { key: 'k' });
    guard.wrap((ctx, path: string) => fetch(ctx.instance.url + path))('/');
    pipeline(circuitBreaker(), hosts.policy(), circuitBreaker()).execute((ctx) => ctx.instance.url);
    // @ts-expect-error unknown field
    guard.execute((ctx) => ctx.instance, { kye: 'k' });
  });

  it('goes with custom contexts, whose own fields are asked for', () => {
    const guard = pipeline<UserContext & BalancedContext<Host>>(needsUser, hosts.policy());
    guard.execute((ctx) => ctx.user + ctx.instance.url, { user: 'ann' });
    // @ts-expect-error no user
    guard.execute((ctx) => ctx.user + ctx.instance.url);
  });

  it('is refused where the function cannot know of the instance', () => {
    // @ts-expect-error a plain context has none
    pipeline<Context>(hosts.policy());
  });
});
