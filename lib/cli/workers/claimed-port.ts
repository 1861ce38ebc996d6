import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { listen } from '../../door/listen.js';

/**
 * Checks that a port is free, or chooses one for 0. The workers listen on it later, all on the same.
 *
 * @throws ForebayError `PORT_UNAVAILABLE`
 */
export async function claimedPort(host: string, port: number): Promise<number> {
  const server = createServer();
  await listen(server, host, port);
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}
