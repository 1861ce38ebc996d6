import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
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
import { ConnectionGate } from './connection-gate.js';
import type { Door } from './door.js';
import { EventsRoute } from './events-route.js';
import { Exchanges } from './exchanges.js';
import { FastPath } from './fast-path.js';
import { listen } from './listen.js';
import { answerProbe, health, readiness } from './probes.js';
import type { ProbeAnswer } from './probes.js';
import { rawAnswer } from './raw-answer.js';
import { ABORTED, RequestCounts } from './request-counts.js';

const HEAD_END = '\r\n\r\n';

/** What `IngestionServer` takes: the pipeline, and any of the door's settings. */
export interface IngestionServerOptions extends Partial<HttpSettings> {
  readonly forebay: Forebay;
  /** Where faults of the server are told; `pino` fits. Nowhere by default. */
  readonly logger?: Logger;
}

/** How often Node looks for requests that take too long, in milliseconds: a timeout is late by up to this. */
const TIMEOUT_CHECK_MS = 500;

/** The HTTP door: `POST /events`, `GET /health`, `GET /ready`. */
export class IngestionServer implements Door {
  /** Requests by path and status, events refused by why. */
  readonly counts = new RequestCounts();
  readonly #settings: HttpSettings;
  readonly #forebay: Forebay;
  readonly #events: EventsRoute;
  readonly #server: Server;
  readonly #logger: Logger;
  readonly #exchanges: Exchanges;
  readonly #fastPath: FastPath;
  readonly #gate: ConnectionGate;

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
    const handOver = this.#takeConnections();
    this.#fastPath = new FastPath({ ...settings, events: this.#events, counts: this.counts, handOver });
    this.#gate = new ConnectionGate({
      ...settings,
      server: this.#server,
      counts: this.counts,
      logger,
      admit: (socket) => {
        this.#fastPath.take(socket);
      },
      answerProbe: (request) => this.#answerProbe(request),
    });
    this.#server.on('error', (error) => {
      if (!this.#server.listening) return;
      this.#logger.error({ code: 'CONNECTIONS_MAX', err: error }, 'A connection could not be taken');
    });
  }

  /** Connections that were answered `429` because `connectionsMax` were open. */
  get refusedConnections(): number {
    return this.#gate.refused;
  }

  /** Connections that were reset, as there were too many even for that. */
  get droppedConnections(): number {
    return this.#gate.dropped;
  }

  /** Connections that do not take the fast path (any more): `node:http` reads them. */
  get handedOverConnections(): number {
    return this.#fastPath.handedOver;
  }

  /** Adds what is at some paths. A route that has an end of its own is stopped with the server. */
  addRoutes(routes: Iterable<readonly [string, Route]>): void {
    for (const [path, route] of routes) this.#routes[path] = route;
  }

  /** Open connections. */
  get connections(): number {
    return this.#gate.open;
  }

  /** Why an event would be refused now, as the error for its client; `null`: it would be taken. */
  refusal(): ForebayError | null {
    return this.#gate.refusal ?? this.#forebay.unready(this.#events.bodyBytes);
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Listens. As long as the pipeline does not run, before its start and while it replays, events get `503`.
   *
   * @throws ForebayError `PORT_UNAVAILABLE`
   */
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
    this.#gate.close();
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

  /**
   * Takes new connections away from `node:http`.
   *
   * @returns gives one to it
   */
  #takeConnections(): (socket: Socket) => void {
    const server = this.#server;
    const listeners = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    return (socket) => {
      for (const listener of listeners) listener.call(server, socket);
    };
  }

  /** Probes are answered however many connections are open: who is locked out would be taken for dead. */
  #answerProbe(request: string): string | null {
    const [, method, path] = /^(GET|HEAD) (\/\w+)[ ?]/.exec(request) ?? [];
    let answer: ProbeAnswer;
    if (path === '/health') answer = health(this.#forebay);
    else if (path === '/ready') answer = readiness(this.#forebay, this.refusal());
    else return null;
    this.counts.count(path, answer.status);
    const full = rawAnswer(answer.status, answer.body, answer.headers, null);
    return method === 'HEAD' ? full.slice(0, full.indexOf(HEAD_END) + HEAD_END.length) : full;
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
        answerProbe(res, health(this.#forebay));
        req.resume();
      },
    },
    '/ready': {
      methods: ['GET', 'HEAD'],
      handle: (req, res) => {
        answerProbe(res, readiness(this.#forebay, this.refusal()));
        req.resume();
      },
    },
  };
}

/** The path that is asked for; a client may send a whole URI (RFC 9112, 3.2.2). */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] || '/';
}

/** What is at a path. */
export interface Route {
  readonly methods: readonly string[];
  readonly handle: (req: IncomingMessage, res: ServerResponse, waits: boolean) => void;
  /** Ends what would go on without end, timers and answers: the server stops. */
  readonly stop?: () => void;
}
