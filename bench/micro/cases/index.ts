import { type Group, withBase } from '../../kit/case.js';
import { admissionRefusal, admissionSuccess } from './admission.js';
import { balancerPick } from './balancer.js';
import { breakerAndTimeout } from './breaker-and-timeout.js';
import { breakerRefusal } from './breaker-refusal.js';
import { breakerSuccess } from './breaker-success.js';
import { concurrencyFixed, concurrencyPermit, concurrencyQueue, concurrencySuccess } from './concurrency-limiter.js';
import { fivePolicies } from './five-policies.js';
import { fallbackSuccess, hedgeSuccess } from './hedge-and-fallback.js';
import { rateLimitAdmitted, rateLimitRefused } from './rate-limiter.js';
import { rateLimitKeys } from './rate-limiter-keys.js';
import { retrySuccess } from './retry.js';
import { timeoutSuccess, timeoutWithOthers } from './timeout-success.js';

const all: Group[] = [
  breakerSuccess,
  breakerRefusal,
  timeoutSuccess,
  timeoutWithOthers,
  breakerAndTimeout,
  rateLimitAdmitted,
  rateLimitRefused,
  rateLimitKeys,
  concurrencyPermit,
  concurrencySuccess,
  concurrencyFixed,
  concurrencyQueue,
  retrySuccess,
  hedgeSuccess,
  fallbackSuccess,
  balancerPick,
  fivePolicies,
  admissionSuccess,
  admissionRefusal,
];

export const groups: Group[] = all.map(withBase);
