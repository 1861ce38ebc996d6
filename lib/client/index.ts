export { ForebayClient } from './forebay-client.js';
export { ForebayClientError } from './client-error.js';
export type { ForebayClientOptions } from './settings.js';
export type { ClientEvent } from './event-text.js';
