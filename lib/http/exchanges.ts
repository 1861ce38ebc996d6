import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** A request and its answer. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** The exchanges of each connection that are not over: not answered yet, or the request has not wholly arrived. */
export class Exchanges {
  readonly #open = new Map<Duplex, Set<Exchange>>();
  #closing = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#open.set(socket, new Set());
      socket.once('close', () => this.#open.delete(socket));
    });
    for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
      server.on(event, (req, res) => {
        this.#add(req, res);
      });
    }
  }

  /** In the order of the requests: only the last one can still be arriving. */
  of(socket: Duplex): readonly Exchange[] {
    return [...(this.#open.get(socket) ?? [])];
  }

  /** From now on each connection is closed behind the last of its answers. */
  close(): void {
    this.#closing = true;
    for (const exchanges of this.#open.values()) {
      const last = [...exchanges].at(-1);
      if (last !== undefined) keepAlive(last, false);
    }
  }

  #add(req: IncomingMessage, res: ServerResponse): void {
    const exchanges = this.#open.get(req.socket);
    if (exchanges === undefined) return; // the connection is gone
    const exchange = { req, res };
    if (this.#closing) {
      const before = [...exchanges].at(-1);
      if (before !== undefined) keepAlive(before, true);
      keepAlive(exchange, false);
    }
    exchanges.add(exchange);
    const look = (): void => {
      if (res.destroyed && req.complete) exchanges.delete(exchange);
    };
    res.once('close', look);
    req.once('close', look);
  }
}

function keepAlive({ res }: Exchange, keep: boolean): void {
  if (!res.headersSent) res.shouldKeepAlive = keep;
}
