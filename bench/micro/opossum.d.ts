/** opossum has no types of its own; this is what the cases use of it. */
declare module 'opossum' {
  export default class CircuitBreaker<A extends unknown[], R> {
    constructor(
      action: (...args: A) => Promise<R>,
      options?: { timeout?: number | false; resetTimeout?: number; volumeThreshold?: number; capacity?: number },
    );
    fire(...args: A): Promise<R>;
  }
}
