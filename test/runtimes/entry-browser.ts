/** For browsers: sends the result to the page's own server. */
import { runSubset } from './subset.js';

runSubset().then(
  (result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) }),
  (error) => fetch('/result', { method: 'POST', body: JSON.stringify({ passed: 0, failed: [String(error)] }) }),
);
