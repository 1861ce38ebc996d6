import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that Linux gives to outgoing connections: a server that is started again must find its port free. */
const [LEAST, MOST] = [20_000, 32_000];
const given = new Set<number>();

/** A port of 127.0.0.1 that stays free for a server that is down for a while, as far as anyone can know. */
export async function lowPort(): Promise<number> {
  for (;;) {
    const port = randomInt(LEAST, MOST);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
