import type { Server, Socket } from 'node:net';
import { ForebayError } from '../errors.js';
import type { Logger } from '../log-lines.js';
import { errorBody, retryAfter } from './answers.js';
import { rawAnswer } from './raw-answer.js';
import type { RequestCounts } from './request-counts.js';

/** At most this many connections beyond the bound are answered at once; each takes some 10 KiB. */
const REFUSED_MAX = 2000;
/** How long one of them may take to send its request and to read the answer, in milliseconds. */
const REFUSAL_MS = 2000;
/** How often the log says what became of connections beyond the bound, in milliseconds. */
const REPORT_MS = 1000;

export interface ConnectionGateOptions {
  readonly server: Server;
  readonly connectionsMax: number;
  readonly counts: RequestCounts;
  readonly logger: Logger;
  /** Takes a connection that is within the bound. */
  readonly admit: (socket: Socket) => void;
  /** The answer to a request that is never refused, a probe's, from its first bytes; `null` for any other. */
  readonly answerProbe: (request: string) => string | null;
}

/**
 * Bounds the open connections. One beyond the bound is answered `429` and closed; so a client knows that it should come
 * back, where a closed connection would be an error to it. Beyond a second bound connections are reset unanswered.
 */
export class ConnectionGate {
  /** Connections that were answered `429` because `connectionsMax` were open. */
  refused = 0;
  /** Connections that were closed unanswered: there were too many even for that, or they sent nothing. */
  dropped = 0;
  readonly #options: ConnectionGateOptions;
  readonly #admitted = new Set<Socket>();
  readonly #refusing = new Set<Socket>();
  #reported = { refused: 0, dropped: 0 };
  #reportTimer: NodeJS.Timeout | null = null;

  constructor(options: ConnectionGateOptions) {
    const { server, connectionsMax } = options;
    this.#options = options;
    server.maxConnections = connectionsMax + REFUSED_MAX;
    server.on('connection', this.#onConnection);
    server.on('drop', () => {
      this.#drop();
    });
  }

  /** Open connections within the bound. */
  get open(): number {
    return this.#admitted.size;
  }

  /** What a new connection would get now; `null`: it is taken. */
  get refusal(): ForebayError | null {
    if (this.#admitted.size < this.#options.connectionsMax) return null;
    return full();
  }

  /** Closes those that are being refused: the server stops. */
  close(): void {
    for (const socket of this.#refusing) socket.destroy();
  }

  readonly #onConnection = (socket: Socket): void => {
    const { connectionsMax, admit } = this.#options;
    if (this.#admitted.size >= connectionsMax) {
      this.#refuse(socket);
      return;
    }
    this.#admitted.add(socket);
    socket.once('close', () => this.#admitted.delete(socket));
    admit(socket);
  };

  /**
   * Answers when something has come, as many clients take an answer before their request for a fault; and reads on
   * until the client has closed, as a reset may take the answer away before it is read.
   */
  #refuse(socket: Socket): void {
    this.#refusing.add(socket);
    const timer = setTimeout(() => {
      if (!socket.writableEnded) this.#drop(); // it has sent nothing
      socket.destroy();
    }, REFUSAL_MS);
    socket.on('error', () => undefined); // nobody is there to be told; `close` follows
    socket.once('close', () => {
      clearTimeout(timer);
      this.#refusing.delete(socket);
    });
    socket.once('end', () => socket.end());
    socket.once('data', (piece: Buffer) => {
      socket.end(this.#answer(piece.toString('latin1', 0, 64)));
      socket.resume();
    });
  }

  #drop(): void {
    this.dropped++;
    this.#reportSoon();
  }

  #answer(request: string): string {
    const { counts, answerProbe } = this.#options;
    const probe = answerProbe(request);
    if (probe !== null) return probe;
    const error = full();
    const status = error.status ?? 429;
    this.refused++;
    this.#reportSoon();
    counts.refuse('CONNECTIONS_MAX', 1);
    counts.count(request.startsWith('POST /events') ? '/events' : 'other', status);
    return rawAnswer(status, errorBody(error), retryAfter(error), null);
  }

  /** Clients that are refused come back soon: at most one line a second. */
  #reportSoon(): void {
    if (this.#reportTimer !== null) return;
    this.#reportTimer = setTimeout(() => {
      this.#reportTimer = null;
      const { logger, connectionsMax } = this.#options;
      const refused = this.refused - this.#reported.refused;
      const dropped = this.dropped - this.#reported.dropped;
      this.#reported = { refused: this.refused, dropped: this.dropped };
      const reset = dropped === 0 ? '' : `, and ${dropped} closed`;
      logger.warn(
        { code: 'CONNECTIONS_MAX', refused, dropped },
        `${connectionsMax} connections are open (--connections-max): ${refused} more were answered 429${reset}`,
      );
    }, REPORT_MS).unref();
  }
}

function full(): ForebayError {
  return new ForebayError('CONNECTIONS_MAX', { retryAfterMs: 1000 });
}
