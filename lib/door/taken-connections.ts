import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { connectionEvent } from './tls-door.js';

/**
 * Takes new connections away from `node:http`.
 *
 * @returns a function that hands one back
 */
export function takeConnections(server: Server): (socket: Socket) => void {
  const event = connectionEvent(server);
  const listeners = server.listeners(event) as ((socket: Socket) => void)[];
  server.removeAllListeners(event);
  return (socket) => {
    for (const listener of listeners) listener.call(server, socket);
  };
}
