import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readAnswers } from './answers.js';
import type { Answer } from './answers.js';
import type { Way } from './ways.js';

/** A piece is sent at the latest after this many turns of the loop, if the server does not read the one before. */
const TURNS_MAX = 60;
/** A connection that is open for longer hangs. */
const HANGS_MS = 20_000;
const ACCEPTED_CHANNEL = 'net.server.socket';

export interface Sent {
  readonly answers: readonly Answer[];
  /** What came where an answer had to begin, or that the connection hung. */
  readonly fault: string | null;
}

/** Sends bytes to a server in this process, each time over a new connection. */
export class Sender {
  /** Pieces that were sent when all in front of them was read, */
  alone = 0;
  /** and those that may be read together with the one in front: the server did not read for a while. */
  together = 0;
  readonly #port: number;
  /** The server's ends of the connections, by the port of the client. */
  readonly #accepted = new Map<number, Socket>();

  constructor(port: number) {
    this.#port = port;
    subscribe(ACCEPTED_CHANNEL, this.#onAccepted);
  }

  close(): void {
    unsubscribe(ACCEPTED_CHANNEL, this.#onAccepted);
  }

  readonly #onAccepted = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    const { remotePort } = socket;
    if (remotePort === undefined || socket.localPort !== this.#port) return;
    this.#accepted.set(remotePort, socket);
    socket.once('close', () => {
      if (this.#accepted.get(remotePort) === socket) this.#accepted.delete(remotePort);
    });
  };

  /** Sends, closes its side, and reads until the server has closed, too. */
  async send(bytes: Buffer, { before, cuts }: Way): Promise<Sent> {
    const client = new Client(this.#port);
    const timer = setTimeout(() => {
      client.socket.destroy(new Error('the connection hangs'));
    }, HANGS_MS);
    let sent = 0;
    const write = async (piece: Buffer): Promise<void> => {
      sent += piece.length;
      client.socket.write(piece);
      const from = client.socket.localPort ?? 0;
      for (let turns = 0; turns < TURNS_MAX && !client.isOver; turns++) {
        await nextTurn();
        if ((this.#accepted.get(from)?.bytesRead ?? 0) >= sent) {
          this.alone++;
          return;
        }
      }
      if (!client.isOver) this.together++;
    };
    await client.connected;
    if (before !== null) {
      await write(before);
      await client.answered();
    }
    const places = [0, ...cuts, bytes.length];
    for (const [index, start] of places.slice(0, -1).entries()) {
      if (client.isOver) break;
      const piece = bytes.subarray(start, places[index + 1]);
      if (piece.length > 0) await write(piece);
    }
    client.socket.end();
    await client.closed;
    clearTimeout(timer);
    const { answers, garbage } = readAnswers(client.received);
    const fault = garbage ?? client.error;
    return { answers: before === null ? answers : answers.slice(1), fault };
  }
}

class Client {
  readonly socket: Socket;
  readonly connected: Promise<void>;
  readonly closed: Promise<void>;
  isOver = false;
  error: string | null = null;
  readonly #received: Buffer[] = [];

  constructor(port: number) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.socket = socket;
    this.connected = new Promise((resolve) => {
      socket.once('connect', resolve);
      socket.once('close', () => {
        resolve();
      });
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isOver = true;
        resolve();
      });
    });
    socket.on('data', (piece: Buffer) => this.#received.push(piece));
    socket.once('end', () => {
      this.isOver = true;
      socket.end();
    });
    socket.on('error', (error) => {
      this.isOver = true;
      // the server may close while something is still being sent
      if (!/ECONNRESET|EPIPE/.test(error.message)) this.error = error.message;
    });
  }

  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  async answered(): Promise<void> {
    while (!this.isOver && readAnswers(this.received).answers.length === 0) await nextTurn();
  }
}
