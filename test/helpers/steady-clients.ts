import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A request that was sent and got no answer. */
export interface Lost {
  /** Whether it was the first one of its connection. */
  readonly isFirst: boolean;
  /** `ECONNRESET`, or that the server closed. */
  readonly how: string;
}

export interface SteadyClientsOptions {
  readonly clients: number;
  /** Further lines of each head; something in them can keep a request off the fast path. */
  readonly headers?: string;
  /** Whether they come back at once when they are refused, until nobody listens. */
  readonly areRude?: boolean;
}

const LOOK_MS = 10;

/**
 * Clients that send one request after the other, each on a connection of its own that it keeps. They open a new one
 * if the server says that it closes it, and leave once they are refused: by `503`, or because nobody listens.
 */
export class SteadyClients {
  accepted = 0;
  /** Requests that were answered `503`. */
  refused = 0;
  /** Connections that nobody took. */
  unconnected = 0;
  /** Answers that said that their connection is closed. */
  closing = 0;
  readonly lost: Lost[] = [];
  /** The ids that were answered `202`. */
  readonly ids: string[] = [];
  /** Resolves when all have left. */
  readonly left: Promise<void>;
  /** The longest time that an answer may have waited for its client, as this process did not run, in milliseconds. */
  stalledMs = 0;
  readonly #port: number;
  readonly #request: (id: string) => string;
  readonly #areRude: boolean;
  #sent = 0;

  constructor(port: number, { clients, headers = '', areRude = false }: SteadyClientsOptions) {
    this.#port = port;
    this.#areRude = areRude;
    this.#request = (id) => {
      const body = JSON.stringify({ id, type: 'steady', data: { n: 1 } });
      return `POST /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
    };
    let lookedMs = performance.now();
    const look = (): void => {
      const nowMs = performance.now();
      this.stalledMs = Math.max(this.stalledMs, nowMs - lookedMs);
      lookedMs = nowMs;
    };
    const looks = setInterval(look, LOOK_MS).unref();
    const all = Array.from({ length: clients }, async (_, index) => this.#run(String(index)));
    this.left = Promise.all(all).then(() => {
      clearInterval(looks);
      look();
    });
  }

  async #run(name: string): Promise<void> {
    for (let connection = 0; await this.#useConnection(`${name}-${connection}`); connection++);
  }

  /** @returns whether to come back */
  async #useConnection(name: string): Promise<boolean> {
    return new Promise((resolve) => {
      const socket: Socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
      let isConnected = false;
      let isWaiting = false;
      let received = '';
      let requests = 0;
      let id = '';
      let how = 'closed';
      const send = (): void => {
        isWaiting = true;
        received = '';
        requests++;
        id = `${name}-${++this.#sent}`;
        socket.write(this.#request(id));
      };
      const leave = (comesBack: boolean): void => {
        isWaiting = false;
        resolve(comesBack);
        socket.destroy();
      };
      socket.on('connect', () => {
        isConnected = true;
        send();
      });
      socket.on('data', (piece) => {
        received += piece.toString('latin1');
        const headEnd = received.indexOf('\r\n\r\n');
        if (headEnd === -1) return;
        const head = received.slice(0, headEnd);
        if (received.length < headEnd + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)) return;
        const isLast = /connection: close/i.test(head);
        if (isLast) this.closing++;
        if (head.startsWith('HTTP/1.1 202')) {
          this.accepted++;
          this.ids.push(id);
          if (isLast) leave(true);
          else send();
        } else {
          this.refused++;
          leave(this.#areRude);
        }
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        how = error.code ?? error.message;
      });
      socket.on('close', () => {
        if (!isConnected) this.unconnected++;
        if (isConnected && isWaiting) this.lost.push({ isFirst: requests === 1, how });
        resolve(isConnected && how === 'closed');
      });
    });
  }
}
