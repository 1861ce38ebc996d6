import { once } from 'node:events';
import type { Server } from 'node:net';
import { asError, ForebayError, systemCode } from '../base/errors.js';

/**
 * Connections that may wait to be accepted; the system may allow fewer. With Node's default of 511, a flood waits for
 * seconds.
 */
const BACKLOG = 4096;

/** Resolves when the server listens. @throws ForebayError `PORT_UNAVAILABLE` */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen({ host, port, backlog: BACKLOG });
    await once(server, 'listening');
  } catch (error) {
    const why = systemCode(error) === 'EADDRINUSE' ? 'it is in use' : asError(error).message;
    throw new ForebayError('PORT_UNAVAILABLE', {
      message: `Cannot listen on ${host}, port ${port}: ${why}`,
      cause: error,
    });
  }
}
