import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TlsOptions } from 'node:tls';
import { ForebayError } from '../base/errors.js';
import type { Forebay } from '../forebay.js';
import { answerError } from './answers.js';
import { CrossOrigin } from './cross-origin.js';
import { listen } from './listen.js';
import { answerProbe, health, readiness } from './probes.js';

/** Requests during a stop are short, and the stop takes only seconds. */
const REQUEST_TIMEOUT_MS = 2000;
const BODY_MS = 1000;
/** At most this many connections are taken; the others are closed. */
const CONNECTIONS_MAX = 1000;

export interface ClosedDoorOptions {
  readonly forebay: Forebay;
  readonly host: string;
  readonly port: number;
  /** Each costs an open file, besides those of the closing door. */
  readonly connectionsMax: number;
  /** Origins of web pages that may send. */
  readonly corsOrigins: readonly string[];
  /** `null`: it takes no TLS. */
  readonly tls: TlsOptions | null;
}

/**
 * Answers in place of the door while the server stops: `503` to events and to `/ready`, `200` to `/health`. Without
 * it, clients and probes would get no connection, and could not tell a stop from a crash.
 */
export class ClosedDoor {
  readonly #server: Server;

  private constructor({ forebay, connectionsMax, corsOrigins, tls }: ClosedDoorOptions) {
    const http = {
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: REQUEST_TIMEOUT_MS / 2,
    };
    this.#server =
      tls === null
        ? createServer(http)
        : createTlsServer({ ...http, ...tls, handshakeTimeout: REQUEST_TIMEOUT_MS });
    const crossOrigin = new CrossOrigin(corsOrigins);
    this.#server.maxConnections = Math.min(connectionsMax, CONNECTIONS_MAX);
    // a connection that cannot be accepted must not break the stop; `listen` reports errors of its own
    this.#server.on('error', () => undefined);
    this.#server.on('request', (req, res) => {
      crossOrigin.prepare(req, res);
      if (req.method === 'OPTIONS' && corsOrigins.length > 0) {
        crossOrigin.answerPreflight(req, res);
        return;
      }
      // after the body: closing the connection under it would take the answer with it
      const late = setTimeout(answer, BODY_MS, forebay, req, res);
      req.once('close', () => {
        clearTimeout(late);
      });
      req.once('end', () => {
        clearTimeout(late);
        answer(forebay, req, res);
      });
      req.resume();
    });
  }

  /** @throws ForebayError `PORT_UNAVAILABLE` */
  static async open(options: ClosedDoorOptions): Promise<ClosedDoor> {
    const door = new ClosedDoor(options);
    await listen(door.#server, options.host, options.port);
    return door;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function answer(forebay: Forebay, req: IncomingMessage, res: ServerResponse): void {
  if (res.headersSent) return;
  const error = new ForebayError('NOT_RUNNING', { message: 'The server stops', retryAfterMs: 1000 });
  res.shouldKeepAlive = false;
  if (req.url === '/health') answerProbe(res, health(forebay));
  else if (req.url === '/ready') answerProbe(res, readiness(forebay, error));
  else answerError(req, res, error);
}
