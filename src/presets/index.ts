export { type StandardOptions, standard } from './standard.js';
