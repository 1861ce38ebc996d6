import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawClientOptions {
  /** Whether to keep this side open when the server has closed its own. */
  readonly allowHalfOpen?: boolean;
  /** TLS, and how; without: none. */
  readonly tls?: ConnectionOptions | undefined;
}

/** A TCP connection, perhaps with TLS, that sends bytes as they are given, and reads HTTP answers. */
export class RawClient {
  readonly socket: Socket;
  /** Resolves when the connection is closed on both sides, cleanly or not. */
  readonly closed: Promise<void>;
  /** The error that broke the connection. */
  error: Error | null = null;
  /** Whether the server has closed its side. */
  ended = false;
  #received = Buffer.alloc(0);
  readonly #waiting = new Set<() => void>();
  readonly #connection: Socket;

  private constructor(port: number, { allowHalfOpen = false, tls }: RawClientOptions) {
    this.#connection = connect({ port, host: '127.0.0.1', allowHalfOpen, noDelay: true });
    this.socket =
      tls === undefined
        ? this.#connection
        : connectTls({ servername: 'localhost', ...tls, socket: this.#connection });
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        this.ended = true;
        resolve();
        this.#look();
      });
    });
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.on('end', () => {
      this.ended = true;
      this.#look();
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#look();
    });
  }

  static async connect(port: number, options: RawClientOptions = {}): Promise<RawClient> {
    const client = new RawClient(port, options);
    await once(client.socket, options.tls === undefined ? 'connect' : 'secureConnect');
    return client;
  }

  /** Resolves when the system has taken the bytes; also when it no longer does, because the server closed. */
  async send(bytes: string | Buffer): Promise<void> {
    await new Promise<void>((resolve) => {
      this.socket.write(bytes, () => {
        resolve();
      });
    });
  }

  /** Closes this side only. */
  halfClose(): void {
    this.socket.end();
  }

  /** Breaks the connection off, with a reset. */
  abort(): void {
    this.#connection.resetAndDestroy();
  }

  /** The next answer. Throws if the server closes the connection instead. */
  async answer(): Promise<RawAnswer> {
    for (;;) {
      const answer = this.#take();
      if (answer !== null) return answer;
      if (this.ended) {
        throw new Error(`no whole answer: ${JSON.stringify(this.unread)}`, { cause: this.error });
      }
      await this.#news();
    }
  }

  /** Resolves when the server has closed its side. */
  async end(): Promise<void> {
    while (!this.ended) await this.#news();
  }

  /** What was received and not yet taken as an answer. */
  get unread(): string {
    return this.#received.toString('latin1');
  }

  async #news(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.add(resolve);
    });
  }

  #look(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #take(): RawAnswer | null {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd === -1) return null;
    const [line = '', ...fields] = this.#received.toString('latin1', 0, headEnd).split('\r\n');
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const colon = field.indexOf(':');
      headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
    }
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
    const bodyEnd = headEnd + 4 + Number(headers['content-length'] ?? 0);
    if (this.#received.length < bodyEnd) return null;
    const body = this.#received.toString('utf8', headEnd + 4, bodyEnd);
    this.#received = this.#received.subarray(bodyEnd);
    return { status, headers, body };
  }
}
