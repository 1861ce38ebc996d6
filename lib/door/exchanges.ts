import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { turns } from './turns.js';

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
  /** The one that came last, open or over. */
  last: Waiting | null;
  /** Begins those whose turn it is. */
  readonly begin: () => void;
  /** Reads on, if nothing else holds it. */
  readOn: () => void;
  /** Whether it is closed behind one of them, or behind one that is over. */
  isEnding: boolean;
  idleSinceMs: number;
}

/** The most requests of a connection that are handled at once; later ones wait, and no more are read. */
const AT_WORK_MAX = 4;
/** What is parsed at a time, in bytes: of heads, a few dozen requests at most. */
const HEAD_SLICE = 1024;
const BODY_SLICE = 16_384;

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
      const open = new Set<Waiting>();
      const connection: Connection = {
        open,
        last: null,
        begin: () => {
          beginNext(open);
        },
        readOn: () => undefined,
        isEnding: false,
        idleSinceMs: performance.now(),
      };
      this.#connections.set(socket, connection);
      readInSlices(socket, connection);
      socket.once('close', () => this.#connections.delete(socket));
    });
  }

  /** In the order of the requests: only the last one can still be arriving. */
  of(socket: Duplex): readonly Exchange[] {
    return [...(this.#connections.get(socket)?.open ?? [])];
  }

  /** No request begins on it any more: what the client is told now is the last. */
  end(socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.isEnding = true;
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
    for (const { last } of this.#connections.values()) if (last !== null) keepAlive(last, false);
  }

  /**
   * Begins to answer a request in its turn, which is at once for nearly all.
   *
   * @param isAlone not before the answers in front of it are sent
   */
  add(req: IncomingMessage, res: ServerResponse, isAlone: boolean, begin: () => void): void {
    const connection = this.#connections.get(req.socket);
    if (connection === undefined) return; // the connection is gone
    const { open, last } = connection;
    if (this.#isClosing && last !== null && wantsMore(last)) keepAlive(last, true);
    if (connection.isEnding || last?.res.shouldKeepAlive === false) {
      connection.isEnding = true;
      return;
    }
    const exchange = { req, res, begin, isAlone, hasBegun: false };
    open.add(exchange);
    connection.last = exchange;
    if (this.#isClosing || req.headers.upgrade !== undefined) keepAlive(exchange, false);
    const look = (): void => {
      if (res.destroyed && req.complete) this.#end(connection, exchange);
    };
    res.once('close', look);
    req.once('close', look);
    connection.begin();
  }

  #end(connection: Connection, exchange: Waiting): void {
    if (!connection.open.delete(exchange)) return;
    connection.idleSinceMs = performance.now();
    if (connection.open.size < AT_WORK_MAX) connection.readOn();
    // not at once: answers that are written at once would follow each other with no turn for other connections
    if (connection.open.size > 0) turns.wait(connection.begin);
  }
}

/**
 * Node.js makes objects for all requests that stand in what it has read, 64 KiB at once. So it gets less of it at a
 * time, no more as long as many requests are open, and none while others wait for a turn of the event loop. The rest
 * goes back to the socket: as long as that holds something, its end does not show.
 */
function readInSlices(socket: Socket, connection: Connection): void {
  const parsers = socket.listeners('data') as ((piece: Buffer) => void)[];
  const pause = socket.pause.bind(socket);
  const resume = socket.resume.bind(socket);
  /** By Node.js: its client does not read the answers, or a body is not read. */
  let isPaused = false;
  let isWaiting = false;
  let hasTurn = false;
  const isHeld = (): boolean => connection.open.size > AT_WORK_MAX || isPaused;
  connection.readOn = () => {
    if (!isHeld() && !isWaiting) resume();
  };
  const takeTurn = (): void => {
    isWaiting = false;
    hasTurn = true;
    connection.readOn();
  };
  socket.removeAllListeners('data');
  socket.on('data', (piece: Buffer) => {
    const isNext = hasTurn || !turns.isCrowded;
    hasTurn = false;
    for (let at = 0; at < piece.length && hasParser(socket);) {
      isWaiting = !isHeld() && !(isNext && turns.hasTime);
      if (isWaiting) turns.wait(takeTurn);
      if (isWaiting || isHeld()) {
        pause();
        socket.unshift(piece.subarray(at));
        return;
      }
      const slice = piece.subarray(at, at + (isInBody(connection) ? BODY_SLICE : HEAD_SLICE));
      for (const parse of parsers) parse.call(socket, slice);
      at += slice.length;
    }
  });
  socket.pause = () => {
    isPaused = true;
    return pause();
  };
  socket.resume = () => {
    isPaused = false;
    connection.readOn();
    return socket;
  };
}

/** Node.js takes the parser away when it is done with a connection, or another protocol begins on it. */
function hasParser(socket: Socket): boolean {
  const { parser = null } = socket as { parser?: object | null };
  return parser !== null && !socket.destroyed;
}

function isInBody({ last }: Connection): boolean {
  return last !== null && !last.req.complete;
}

function beginNext(open: Iterable<Waiting>): void {
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
