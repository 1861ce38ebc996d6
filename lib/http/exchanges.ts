import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A request and its answer. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** An exchange, with what begins to answer it. */
interface Waiting extends Exchange {
  readonly begin: () => void;
  /** Whether it begins when no other is open only. */
  readonly isAlone: boolean;
  hasBegun: boolean;
}

/** A connection, with those of its exchanges that are not over, in the order of the requests. */
interface Connection {
  readonly open: Set<Waiting>;
  /** Whether it is closed behind one of them, or behind one that is over. */
  isEnding: boolean;
  idleSinceMs: number;
}

/** So many requests of a connection are at work at once; those behind them wait, and no more are read. */
const AT_WORK_MAX = 16;

/**
 * The exchanges of each connection that are not over: not answered yet, or the request has not wholly arrived. A client
 * may send requests without waiting for answers; how many are at work is bounded, and none begins behind an answer that
 * closes the connection: it would be taken and never answered.
 */
export class Exchanges {
  readonly #connections = new Map<Duplex, Connection>();
  #isClosing = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#connections.set(socket, { open: new Set(), isEnding: false, idleSinceMs: performance.now() });
      socket.once('close', () => this.#connections.delete(socket));
    });
  }

  /** In the order of the requests: only the last one can still be arriving. */
  of(socket: Duplex): readonly Exchange[] {
    return [...(this.#connections.get(socket)?.open ?? [])];
  }

  /** For how long a connection has waited for a request, in milliseconds; `null`: it has one, or is not known. */
  idleMs(socket: Duplex): number | null {
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.open.size > 0) return null;
    return performance.now() - connection.idleSinceMs;
  }

  /** From now on each connection is closed behind the last of its answers. */
  close(): void {
    this.#isClosing = true;
    for (const { open } of this.#connections.values()) {
      const last = [...open].at(-1);
      if (last !== undefined) keepAlive(last, false);
    }
  }

  /**
   * Begins to answer a request in its turn, which is at once for nearly all.
   *
   * @param isAlone not before the answers in front of it are sent
   */
  add(req: IncomingMessage, res: ServerResponse, isAlone: boolean, begin: () => void): void {
    const connection = this.#connections.get(req.socket);
    if (connection === undefined) return; // the connection is gone
    const { open } = connection;
    const before = [...open].at(-1);
    if (this.#isClosing && before !== undefined && wantsMore(before)) keepAlive(before, true);
    if (before !== undefined && !before.res.shouldKeepAlive) connection.isEnding = true;
    if (connection.isEnding) return;
    const exchange = { req, res, begin, isAlone, hasBegun: false };
    open.add(exchange);
    if (open.size > AT_WORK_MAX) req.socket.pause();
    if (this.#isClosing || req.headers.upgrade !== undefined) keepAlive(exchange, false);
    const look = (): void => {
      if (res.destroyed && req.complete) this.#end(connection, exchange);
    };
    res.once('close', look);
    req.once('close', look);
    beginNext(connection);
  }

  #end(connection: Connection, exchange: Waiting): void {
    if (!connection.open.delete(exchange)) return;
    if (!exchange.res.shouldKeepAlive) connection.isEnding = true;
    connection.idleSinceMs = performance.now();
    beginNext(connection);
    if (connection.open.size < AT_WORK_MAX) readOn(exchange.req.socket);
  }
}

/** Unless Node has paused it, too, as its client does not read the answers. */
function readOn(socket: Socket): void {
  const { _paused: isPausedByNode } = socket as { _paused?: boolean };
  if (socket.isPaused() && isPausedByNode !== true) socket.resume();
}

function beginNext({ open }: Connection): void {
  let atWork = 0;
  for (const exchange of open) {
    if (atWork === AT_WORK_MAX || (exchange.isAlone && atWork > 0)) return;
    atWork++;
    if (exchange.hasBegun) continue;
    exchange.hasBegun = true;
    // its client may have gone while it waited
    if (!exchange.req.socket.destroyed) exchange.begin();
    if (!exchange.res.shouldKeepAlive) return;
  }
}

/** Whether the client of an exchange that is closed behind has not asked for that itself. */
function wantsMore({ req }: Exchange): boolean {
  return req.httpVersionMinor >= 1 && !/\bclose\b/i.test(req.headers.connection ?? '');
}

function keepAlive({ res }: Exchange, keep: boolean): void {
  if (!res.headersSent) res.shouldKeepAlive = keep;
}
