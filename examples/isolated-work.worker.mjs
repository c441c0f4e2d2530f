/** The worker of isolated-work.ts, in JavaScript since worker threads take no other: tries a pattern on a text. */
import { serve } from 'evenkeel/isolation';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

serve((message) => {
  const { pattern, text } = JSON.parse(decoder.decode(message.subarray(1)));
  return encoder.encode(JSON.stringify(new RegExp(pattern).test(text)));
});
