/** The service that the measured server calls; a process of its own. */
import { createServer } from 'node:http';
import { serve } from './serve.js';

const answer = Buffer.from('{"ok":true}');
serve(createServer((_request, response) => response.end(answer)));
