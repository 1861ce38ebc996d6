import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { ForebayError } from '../errors.js';
import type { Forebay } from '../forebay.js';
import { silentLogger } from '../log-lines.js';
import type { Logger } from '../log-lines.js';
import { HTTP_SETTINGS } from '../settings/http-settings.js';
import type { HttpSettings } from '../settings/http-settings.js';
import { fromObject } from '../settings/option-table.js';
import { answerError } from './answers.js';
import { answerConnectionErrors } from './connection-errors.js';
import { EventsRoute } from './events-route.js';
import { Exchanges } from './exchanges.js';
import { FastPath } from './fast-path.js';
import { listen } from './listen.js';
import { answerHealth, answerReady } from './probes.js';
import { ABORTED, RequestCounts } from './request-counts.js';

/** What `IngestionServer` takes: the pipeline, and any of the door's settings. */
export interface IngestionServerOptions extends Partial<HttpSettings> {
  readonly forebay: Forebay;
  /** Where faults of the server are told; `pino` fits. Nowhere by default. */
  readonly logger?: Logger;
}

/** How often Node looks for requests that take too long, in milliseconds: a timeout is late by up to this. */
const TIMEOUT_CHECK_MS = 500;

/** The HTTP door: `POST /events`, `GET /health`, `GET /ready`. */
export class IngestionServer {
  /** Connections closed at once, because there were `connectionsMax` already. */
  droppedConnections = 0;
  /** Requests by path and status, events refused by why. */
  readonly counts = new RequestCounts();
  readonly #settings: HttpSettings;
  readonly #forebay: Forebay;
  readonly #events: EventsRoute;
  readonly #server: Server;
  readonly #logger: Logger;
  readonly #exchanges: Exchanges;
  readonly #fastPath: FastPath;
  #dropTimer: NodeJS.Timeout | null = null;

  /** @throws ForebayError `SETTING_INVALID` */
  constructor({ forebay, logger = silentLogger, ...given }: IngestionServerOptions) {
    const settings = fromObject(HTTP_SETTINGS, given);
    this.#settings = settings;
    this.#forebay = forebay;
    this.#logger = logger;
    this.#events = new EventsRoute({ ...settings, forebay, logger, counts: this.counts });
    this.#server = createServer({
      headersTimeout: settings.headersTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      keepAliveTimeout: settings.keepAliveTimeoutMs,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      requireHostHeader: false, // Node's own refusal says nothing; see #route
    });
    this.#server.maxConnections = settings.connectionsMax;
    // A client that has sent its request and closed its side still gets the answer.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#exchanges = new Exchanges(this.#server);
    answerConnectionErrors(this.#server, this.#exchanges, this.counts);
    this.#server.on('request', (req, res) => {
      this.#route(req, res, false);
    });
    this.#server.on('checkContinue', (req, res) => {
      this.#route(req, res, true);
    });
    this.#server.on('checkExpectation', (req, res) => {
      this.#countOnClose('other', res);
      answerError(req, res, new ForebayError('EXPECTATION_FAILED'));
    });
    this.#fastPath = this.#putInFront();
    this.#server.on('error', (error) => {
      if (!this.#server.listening) return;
      this.#logger.error({ code: 'CONNECTIONS_MAX', err: error }, 'A connection could not be taken');
    });
    this.#server.on('drop', () => {
      this.#drop();
    });
  }

  /** Connections that do not take the fast path (any more): `node:http` reads them. */
  get handedOverConnections(): number {
    return this.#fastPath.handedOver;
  }

  /** Adds what is at a path. One that has an end of its own is stopped with the server. */
  addRoute(path: string, route: Route): void {
    this.#routes[path] = route;
  }

  /** Open connections. */
  async connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Listens for a moment, to know before a long replay whether it can.
   *
   * @throws ForebayError `PORT_UNAVAILABLE`
   */
  async tryAddress(): Promise<void> {
    if (this.#settings.port === 0) return;
    const { host, port } = this.#settings;
    const server = createServer();
    await listen(server, host, port);
    server.close();
    await once(server, 'close');
  }

  /** @throws ForebayError `PORT_UNAVAILABLE` */
  async start(): Promise<void> {
    await listen(this.#server, this.#settings.host, this.#settings.port);
  }

  /**
   * Takes no more connections, answers the requests in flight, and closes.
   *
   * @param waitMs after so many milliseconds connections are closed whatever they do
   */
  async stop(waitMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    this.#fastPath.close();
    this.#exchanges.close();
    for (const route of Object.values(this.#routes)) route.stop?.();
    const timer = setTimeout(() => {
      this.#fastPath.destroy();
      this.#server.closeAllConnections();
    }, waitMs);
    await closed;
    clearTimeout(timer);
  }

  /** New connections go to the fast path first: who listened for them so far gets those that it hands over. */
  #putInFront(): FastPath {
    const server = this.#server;
    const listeners = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    const fastPath = new FastPath({
      ...this.#settings,
      events: this.#events,
      counts: this.counts,
      handOver: (socket) => {
        for (const listener of listeners) listener.call(server, socket);
      },
    });
    server.on('connection', (socket) => {
      fastPath.take(socket);
    });
    return fastPath;
  }

  /** Told once a second at most: dropped clients come back fast. */
  #drop(): void {
    this.droppedConnections++;
    if (this.#dropTimer !== null) return;
    const before = this.droppedConnections - 1;
    this.#dropTimer = setTimeout(() => {
      this.#dropTimer = null;
      const dropped = this.droppedConnections - before;
      const { connectionsMax } = this.#settings;
      const why = `${connectionsMax} are open (--connections-max)`;
      this.#logger.warn(
        { code: 'CONNECTIONS_MAX', dropped },
        `Closed ${dropped} new connections at once: ${why}`,
      );
    }, 1000).unref();
  }

  #countOnClose(path: string, res: ServerResponse): void {
    res.once('close', () => {
      this.counts.count(path, res.writableFinished ? res.statusCode : ABORTED);
    });
  }

  #route(req: IncomingMessage, res: ServerResponse, waits: boolean): void {
    const path = pathOf(req);
    const route = this.#routes[path];
    this.#countOnClose(route === undefined ? 'other' : path, res);
    if (req.headers.host === undefined && req.httpVersion === '1.1') {
      res.shouldKeepAlive = false;
      answerError(req, res, new ForebayError('BAD_REQUEST', { message: 'The Host header is missing' }));
    } else if (route === undefined) {
      answerError(req, res, new ForebayError('NOT_FOUND', { message: `There is nothing at ${path}` }));
    } else if (!route.methods.includes(req.method ?? '')) {
      const allow = route.methods.join(', ');
      const message = `${path} takes ${allow}, not ${req.method}`;
      answerError(req, res, new ForebayError('METHOD_NOT_ALLOWED', { message }), { Allow: allow });
    } else {
      route.handle(req, res, waits);
    }
  }

  readonly #routes: Record<string, Route> = {
    // no prototype: a path like /constructor is no route
    __proto__: null as never,
    '/events': {
      methods: ['POST'],
      handle: (req, res, waits) => {
        this.#events.handle(req, res, waits);
      },
    },
    '/health': {
      methods: ['GET', 'HEAD'],
      handle: (req, res) => {
        answerHealth(res, this.#forebay);
        req.resume();
      },
    },
    '/ready': {
      methods: ['GET', 'HEAD'],
      handle: (req, res) => {
        answerReady(res, this.#forebay, this.#forebay.unready());
        req.resume();
      },
    },
  };
}

/** The path that is asked for; a client may send a whole URI (RFC 9112, 3.2.2). */
function pathOf({ url = '' }: IncomingMessage): string {
  return url.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] || '/';
}

/** What is at a path. */
export interface Route {
  readonly methods: readonly string[];
  readonly handle: (req: IncomingMessage, res: ServerResponse, waits: boolean) => void;
  /** Ends what would go on without end, timers and answers: the server stops. */
  readonly stop?: () => void;
}
