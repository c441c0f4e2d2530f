export type { RetryBudget } from './budget.js';
