import { connect } from 'node:net';

/** By which the server knows a connection that is to be cancelled. */
export interface CancelKey {
  readonly processID: number;
  readonly secretKey: number;
}

export interface PostgresHost {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** The code of the message: 1234 and 5678, which are not a version of the protocol. */
const CANCEL_REQUEST = (1234 << 16) | 5678;
/** How long the server may take to read it, in milliseconds. */
const WAIT_MS = 1000;

/**
 * Asks the server to end what a connection is doing, on another connection, in the clear, as libpq does. This also ends
 * a commit that waits for a standby, of which the server does not notice that its client is gone.
 *
 * Resolves when the server has read it, or after a second. Never throws: what goes on is over at the next restart.
 */
export async function cancelStatement({ host, port }: PostgresHost, key: CancelKey): Promise<void> {
  await new Promise<void>((resolve) => {
    const at = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
    const socket = connect(at, () => {
      const message = Buffer.alloc(16);
      message.writeInt32BE(message.length, 0);
      message.writeInt32BE(CANCEL_REQUEST, 4);
      message.writeInt32BE(key.processID, 8);
      message.writeInt32BE(key.secretKey, 12);
      socket.write(message);
    });
    const timer = setTimeout(() => socket.destroy(), WAIT_MS);
    socket.resume();
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
