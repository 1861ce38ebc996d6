import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Scope } from '../helpers/temp-dir.js';
import type { Random } from '../simulation/random.js';

/** How the proxy treats its connections. */
export interface Rudeness {
  /** A connection is cut after at most this many bytes of requests, or of answers, whichever comes first. */
  readonly requestBytesMax: number;
  readonly answerBytesMax: number;
  /** What arrives is held up to this long, in milliseconds. */
  readonly delayMsMax: number;
}

/** Stands between clients and a server, and cuts each connection at a random byte: of a request, or of an answer. */
export class CuttingProxy {
  /** Connections that it cut within requests, and within answers. */
  readonly cuts = { requests: 0, answers: 0 };
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  static async open(t: Scope, serverPort: number, random: Random, how: Rudeness): Promise<CuttingProxy> {
    const sockets = new Set<Socket>();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new CuttingProxy((server.address() as AddressInfo).port);
    server.on('connection', (client) => {
      const upstream = connect(serverPort, '127.0.0.1');
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      // a reset, as of a machine that is gone: what is on its way in either direction is lost
      const cut = (what: keyof CuttingProxy['cuts']) => (): void => {
        proxy.cuts[what]++;
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      };
      pass(client, upstream, random.whole(1, how.requestBytesMax), random, how.delayMsMax, cut('requests'));
      pass(upstream, client, random.whole(1, how.answerBytesMax), random, how.delayMsMax, cut('answers'));
    });
    t.teardown(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return proxy;
  }
}

/** Passes bytes on, each piece after a delay, and cuts after a number of them. */
function pass(
  from: Socket,
  to: Socket,
  bytesMax: number,
  random: Random,
  delayMsMax: number,
  cut: () => void,
): void {
  let left = bytesMax;
  from.on('data', (piece: Buffer) => {
    from.pause();
    setTimeout(() => {
      if (to.destroyed) return;
      const isLast = piece.length >= left;
      left -= piece.length;
      to.write(isLast ? piece.subarray(0, piece.length + left) : piece, () => {
        if (isLast) cut();
        else from.resume();
      });
    }, random.next() * delayMsMax);
  });
  from.on('end', () => to.end());
}
