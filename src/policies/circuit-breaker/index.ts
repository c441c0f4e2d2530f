export {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  type CircuitBreakerSnapshot,
  type CircuitBreakerUpdate,
  circuitBreaker,
} from './circuit-breaker.js';
