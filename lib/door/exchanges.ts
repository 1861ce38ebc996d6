import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LinkedSet } from '../base/linked-set.js';
import type { Links } from '../base/linked-set.js';
import { connectionEvent } from './tls-door.js';
import { turns } from './turns.js';

/** A request and its answer. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** An exchange, and how to start its answer. */
interface Waiting extends Exchange, Links<Waiting> {
  readonly begin: () => void;
  /** Whether it starts only when no other is open. */
  readonly isAlone: boolean;
  hasBegun: boolean;
}

/** A connection with its open exchanges, in the order of the requests. */
interface Connection {
  readonly open: LinkedSet<Waiting>;
  /** The newest exchange, open or over. */
  last: Waiting | null;
  /** Starts the exchanges whose turn it is. */
  readonly begin: () => void;
  /** Reads on, unless something else holds the connection. */
  readOn: () => void;
  /** Whether the connection closes after one of the exchanges, also if that one is over. */
  isEnding: boolean;
  /** Whether the head of a request has arrived in part. */
  isInHead: boolean;
  idleSinceMs: number;
}

/** At most this many requests of a connection are handled at once. Later ones wait, and reading stops. */
const AT_WORK_MAX = 4;
/** Bytes that are parsed at a time: at most a few dozen heads. */
const HEAD_SLICE = 1024;
const BODY_SLICE = 16_384;
const LINE_END_BYTES = 2;

/**
 * The open exchanges of each connection: not answered yet, or the request has not wholly arrived. A client may send
 * requests without waiting for answers, so the number at work is bounded. No exchange starts after an answer that
 * closes the connection: its events would be taken and never answered.
 */
export class Exchanges {
  readonly #connections = new Map<Duplex, Connection>();
  #isClosing = false;

  constructor(server: Server) {
    server.on(connectionEvent(server), (socket: Socket) => {
      const open = new LinkedSet<Waiting>();
      const connection: Connection = {
        open,
        last: null,
        begin: () => {
          beginNext(open);
        },
        readOn: () => undefined,
        isEnding: false,
        isInHead: false,
        idleSinceMs: performance.now(),
      };
      this.#connections.set(socket, connection);
      readInSlices(socket, connection);
      socket.once('close', () => this.#connections.delete(socket));
    });
  }

  /** In the order of the requests: only the last one can still be arriving. */
  of(socket: Duplex): readonly Exchange[] {
    return this.#connections.get(socket)?.open.all ?? [];
  }

  /** No further request starts on this connection: its next answer is the last. */
  end(socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.isEnding = true;
  }

  /** How long a connection has waited for a request, in milliseconds; `null`: it has one, or is unknown. */
  idleMs(socket: Duplex): number | null {
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.open.size > 0) return null;
    return performance.now() - connection.idleSinceMs;
  }

  /** Whether a connection waits for a request, and nothing of one has arrived; also if it is unknown. */
  isQuiet(socket: Socket): boolean {
    const { open, isInHead } = this.#connections.get(socket) ?? {};
    return (open?.size ?? 0) === 0 && isInHead !== true && socket.readableLength === 0;
  }

  /** Whether the only thing on a connection is an answer that goes on and on, like the live page. */
  isStream(socket: Duplex): boolean {
    const open = this.of(socket);
    return open.length > 0 && open.every(({ res }) => res.headersSent && !res.writableEnded);
  }

  /** From now on, each connection is closed after the last of its answers. */
  close(): void {
    this.#isClosing = true;
    for (const { last } of this.#connections.values()) if (last !== null) keepAlive(last, false);
  }

  /**
   * Starts to answer a request in its turn, which is at once for nearly all.
   *
   * @param isAlone wait until the answers before it are sent
   */
  add(req: IncomingMessage, res: ServerResponse, isAlone: boolean, begin: () => void): void {
    const connection = this.#connections.get(req.socket);
    if (connection === undefined) return; // the connection is gone
    connection.isInHead = false;
    const { open, last } = connection;
    if (this.#isClosing && last !== null && wantsMore(last)) keepAlive(last, true);
    if (connection.isEnding || last?.res.shouldKeepAlive === false) {
      connection.isEnding = true;
      return;
    }
    const exchange: Waiting = { req, res, begin, isAlone, hasBegun: false, before: null, after: null };
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
    // not at once: the answers would follow each other and leave no turn to other connections
    if (connection.open.size > 0) turns.wait(connection.begin);
  }
}

/**
 * Node.js creates objects for all requests in a read, up to 64 KiB at once. So it gets a slice at a time, none while
 * many requests are open, and none while other connections wait for a turn of the event loop. The rest goes back to
 * the socket: as long as the socket holds data, it does not report its end.
 */
function readInSlices(socket: Socket, connection: Connection): void {
  const parsers = socket.listeners('data') as ((piece: Buffer) => void)[];
  const pause = socket.pause.bind(socket);
  const resume = socket.resume.bind(socket);
  /** Paused by Node.js: the client does not read its answers, or a body is not read. */
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
      // `add` sets it back once the head is whole; a line break after a body is none
      connection.isInHead = !isInBody(connection) && slice.length > LINE_END_BYTES;
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

/** Node.js removes the parser when it is done with a connection, or when another protocol starts on it. */
function hasParser(socket: Socket): boolean {
  const { parser = null } = socket as { parser?: object | null };
  return parser !== null && !socket.destroyed;
}

function isInBody({ last }: Connection): boolean {
  return last !== null && !last.req.complete;
}

function beginNext(open: LinkedSet<Waiting>): void {
  let atWork = 0;
  for (const exchange of open.all) {
    if (!open.has(exchange)) continue; // it ended while one before it began
    if (atWork === AT_WORK_MAX || (exchange.isAlone && atWork > 0)) return;
    atWork++;
    if (exchange.hasBegun) continue;
    exchange.hasBegun = true;
    // the client may have gone while it waited
    if (!exchange.req.socket.destroyed) exchange.begin();
    if (!exchange.res.shouldKeepAlive) return;
  }
}

/** Whether the client itself did not ask to close the connection. */
function wantsMore({ req }: Exchange): boolean {
  return req.httpVersionMinor >= 1 && !/\bclose\b/i.test(req.headers.connection ?? '');
}

function keepAlive({ res }: Exchange, keep: boolean): void {
  if (!res.headersSent) res.shouldKeepAlive = keep;
}
