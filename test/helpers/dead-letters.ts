import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { leftName } from './left-files.js';
import { eventText } from './running-forebay.js';

/** A line of a file of dead letters. */
export const letter = (n: number, reason = 'too old', data: unknown = 'x'): string =>
  `{"batch":"${leftName(1)}","index":${n},"reason":"${reason}","status":422,"attempts":1,"time":"2025-01-01T00:00:00.000Z",` +
  `"event":${eventText(`n${n}`, data)}}\n`;

/** Takes events; `status` says what it answers to those of a request. */
export async function frontDoor(t: Test, status: (ids: readonly string[]) => number): Promise<URL> {
  const server = createServer((req, res) => {
    let body = '';
    req.on('data', (piece: Buffer) => (body += piece.toString()));
    req.on('end', () => {
      res.writeHead(status(idsIn(body))).end('because');
    });
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/events`);
}

/** The ids of the events in a text. */
export const idsIn = (text: string): string[] =>
  [...text.matchAll(/\{"id":"(\w+)"/g)].map((match) => match[1] ?? '');
