import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { ForebayError } from '../base/errors.js';
import type { Forebay } from '../forebay.js';
import type { Keys } from '../keys/keys.js';
import { jsonAnswer } from '../seams/http-answer.js';
import { silentLogger, unthrowing } from '../base/reporter.js';
import type { Logger } from '../base/reporter.js';
import { HTTP_SETTINGS } from '../settings/http-settings.js';
import type { HttpSettings } from '../settings/http-settings.js';
import { fromObject } from '../settings/option-table.js';
import { SOURCES } from '../sources/registry.js';
import type { Client } from '../seams/client.js';
import type { Source } from '../seams/source.js';
import type { Tracer } from '../seams/tracer.js';
import { AccessLog } from './access-log.js';
import { ConnectionGate, REFUSED_MAX } from './connection-gate.js';
import { Departures } from './departures.js';
import type { DoorsTogether } from './departures.js';
import type { Door, DoorSource } from './door.js';
import { FastPath } from './fast-path.js';
import { HostRules } from './host-rules.js';
import { IncomingBodies } from './incoming-bodies.js';
import { listen } from './listen.js';
import { NewestEvents } from './newest-events.js';
import { Peers } from './peers.js';
import { health, probeRoutes, readiness } from './probes.js';
import type { ProbeAnswer, WholeProbe } from './probes.js';
import { rawAnswer } from './raw-answer.js';
import { RequestCounts } from './request-counts.js';
import { Router, serverOptions } from './router.js';
import type { Route } from './router.js';
import { SourceRoute } from './source-route.js';
import { takeConnections } from './taken-connections.js';
import { HANDSHAKES_MAX, noFaults, TlsDoor } from './tls-door.js';
import type { HandshakeFault } from './tls-door.js';
import { tlsFiles } from './tls-files.js';

const HEAD_END = '\r\n\r\n';
/** Bodies may take this share of the queue: by default one of the largest size, and what others send beside it. */
const BODIES_SHARE = 0.28;
/** Memory of a body besides its bytes. One of the largest size always fits. */
const BODY_ROOM = 2 ** 17;

/** What `IngestionServer` takes: the pipeline, and any of the door's settings. */
export interface IngestionServerOptions extends Partial<HttpSettings> {
  readonly forebay: Forebay;
  /** The sources of this door; those of `registry.ts` by default. */
  readonly sources?: readonly Source[];
  /** Keys that sources ask for (docs/keys.md); none by default. Whoever has opened them closes them. */
  readonly keys?: Keys | null;
  /** At most this many connections beyond `connectionsMax` are answered `429` at once; 2,000 by default. */
  readonly refusedMax?: number;
  /** At most this many TLS handshakes at once, and one more closes the oldest; 500 by default. */
  readonly handshakesMax?: number;
  /** Whether `/health` is here; `false`: operators have an address of their own. */
  readonly hasHealth?: boolean;
  /** Other processes that listen at the same port; none by default. */
  readonly others?: DoorsTogether | null;
  /** Asks all workers of a server; by default it is this process. */
  readonly wholeProbe?: WholeProbe | null;
  /** Makes spans of requests (docs/traces.md); none by default. */
  readonly tracer?: Tracer | null;
  /** Where faults of the server are logged; `pino` fits. Nowhere by default. */
  readonly logger?: Logger;
}

/** The HTTP door: `POST` to each source, `GET /health`, `GET /ready`. */
export class IngestionServer implements Door {
  /** Requests by path and status, and refused events by reason. */
  readonly counts: RequestCounts;
  readonly keys: Keys | null;
  readonly sources: readonly DoorSource[];
  readonly #settings: HttpSettings;
  readonly #forebay: Forebay;
  readonly #hasHealth: boolean;
  readonly #bodies: IncomingBodies;
  readonly #server: Server;
  /** `null`: it takes no TLS. */
  readonly #tls: TlsDoor | null;
  readonly #logger: Logger;
  readonly #router: Router;
  readonly #fastPath: FastPath;
  readonly #gate: ConnectionGate;
  readonly #departures: Departures;
  #isDraining = false;

  /** @throws ForebayError `SETTING_INVALID` */
  constructor({
    forebay,
    sources = SOURCES,
    keys = null,
    refusedMax = REFUSED_MAX,
    handshakesMax = HANDSHAKES_MAX,
    hasHealth = true,
    others = null,
    wholeProbe = null,
    tracer = null,
    logger: givenLogger = silentLogger,
    ...given
  }: IngestionServerOptions) {
    const settings = fromObject(HTTP_SETTINGS, given);
    this.#settings = settings;
    this.#forebay = forebay;
    this.#hasHealth = hasHealth;
    this.keys = keys;
    const logger = unthrowing(givenLogger);
    this.#logger = logger;
    const hosts = new HostRules(settings.host, settings.allowedHosts);
    const counts = new RequestCounts(sources, tracer);
    this.counts = counts;
    const { bodyBytesMax, bodyRateMin } = settings;
    const bodiesMax = Math.max(forebay.settings.queueBytes * BODIES_SHARE, bodyBytesMax + BODY_ROOM);
    const bodies = new IncomingBodies(bodiesMax, bodyRateMin);
    this.#bodies = bodies;
    const peers = new Peers(settings);
    const shared = { forebay, bodies, keys, peers, logger, counts, tracer };
    const routes = new Map<string, SourceRoute>();
    this.sources = sources.map((source) => {
      const { name, path } = source;
      const newest = new NewestEvents();
      routes.set(path, new SourceRoute({ ...settings, ...shared, source, newest }));
      return { name, path, newest };
    });
    const http = { ...serverOptions(settings) };
    const files = tlsFiles(settings, logger);
    const { headersTimeoutMs: handshakeTimeoutMs } = settings;
    this.#tls = files && new TlsDoor({ http, files, handshakeTimeoutMs, handshakesMax, counts, logger });
    this.#server = this.#tls?.server ?? createServer(http);
    const accessLog = new AccessLog(settings.accessLog, logger);
    this.#router = new Router({ server: this.#server, hosts, counts, accessLog, logger });
    const refusal = ({ socket }: IncomingMessage): ForebayError | null =>
      this.refusal(peers.of(socket).client);
    const probes = probeRoutes(forebay, { refusal, isDraining: () => this.#isDraining }, wholeProbe);
    this.#router.add([...routes, ['/ready', probes['/ready']]]);
    if (hasHealth) this.#router.add([['/health', probes['/health']]]);
    const handOver = takeConnections(this.#server);
    this.#fastPath = new FastPath({ ...settings, hosts, peers, accessLog, routes, counts, handOver });
    const { exchanges } = this.#router;
    this.#departures = new Departures({
      gate: () => this.#gate,
      opener: this.#tls?.opener() ?? ((connection, ready) => ready(connection)),
      isQuiet: (socket) => this.#fastPath.isQuiet(socket) && exchanges.isQuiet(socket),
      exchanges,
      others,
    });
    this.#gate = new ConnectionGate({
      ...settings,
      refusedMax,
      isTrusted: peers.isTrusted,
      server: this.#server,
      sourcePaths: routes,
      counts,
      logger,
      open: this.#departures.open,
      admit: (socket) => {
        this.#fastPath.take(socket);
      },
      idleMs: (socket) => this.#fastPath.idleMs(socket) ?? exchanges.idleMs(socket),
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

  /** Connections that were reset because too many were being answered `429`. */
  get droppedConnections(): number {
    return this.#gate.dropped;
  }

  /** Connections that `node:http` reads instead of the fast path. */
  get handedOverConnections(): number {
    return this.#fastPath.handedOver;
  }

  /** Failed TLS handshakes by reason. */
  get failedHandshakes(): ReadonlyMap<HandshakeFault, number> {
    return this.#tls?.failed ?? noFaults();
  }

  /** When the certificate expires, in seconds since 1970; `null`: there is none. */
  get certificateExpirySeconds(): number | null {
    return this.#tls?.certificateExpirySeconds ?? null;
  }

  get isTls(): boolean {
    return this.#tls !== null;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Adds routes by path. A route with a `stop` is stopped with the server. */
  addRoutes(routes: Iterable<readonly [string, Route]>): void {
    this.#router.add(routes);
  }

  /** Open connections. */
  get connections(): number {
    return this.#gate.open;
  }

  /** The error that an event of this client, or of one that has nothing yet, would get now; `null`: it would be taken. */
  refusal(client?: Client): ForebayError | null {
    const own = client === undefined ? 0 : this.#bodies.bytesOf(client);
    const refusal = this.#gate.refusal ?? this.#forebay.unready(this.#bodies.bytes, client, own);
    return refusal ?? (this.#isDraining ? new ForebayError('DRAINING', { retryAfterMs: 1000 }) : null);
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Listens. Until the pipeline runs, before its start and while it replays, events get `503`.
   *
   * @throws ForebayError `PORT_UNAVAILABLE`
   */
  async start(): Promise<void> {
    await listen(this.#server, this.#settings.host, this.#settings.port);
    this.#tls?.watch();
  }

  /** Reads the certificate and its key again, if their files have changed. */
  async reload(): Promise<void> {
    await this.#tls?.reload();
  }

  /** From now on `/ready` fails, and each connection is closed after its answer. Events are still taken. */
  drain(): void {
    this.#isDraining = true;
    this.#fastPath.isClosing = true;
    this.#router.exchanges.close();
  }

  /**
   * Drains, and resolves when each connection that is here now has its last answer. New ones are still taken.
   *
   * @param waitMs after this many milliseconds those that are left are closed
   */
  async letGo(waitMs: number): Promise<void> {
    const endMs = performance.now() + waitMs;
    this.drain();
    await this.#departures.accepted(waitMs);
    await this.#departures.gone(endMs - performance.now(), false);
  }

  /**
   * Takes no more connections, answers what was sent before, and closes.
   *
   * @param waitMs after this many milliseconds all connections are closed
   */
  async stop(waitMs: number): Promise<void> {
    const endMs = performance.now() + waitMs;
    this.drain();
    await this.#departures.acceptLast(this.listening ? waitMs : 0, () => {
      // that of `node:http` would close connections on which a request may be on its way
      NetServer.prototype.close.call(this.#server);
    });
    this.#router.stop();
    this.#fastPath.close();
    await this.#departures.gone(endMs - performance.now(), true);
    this.#tls?.close();
    this.#gate.close();
    this.#server.close(); // ends the timer of `node:http`
  }

  /** Probes are answered however many connections are open: a server that does not answer them seems dead. */
  #answerProbe(request: string): string | null {
    const [, method, path] = /^(GET|HEAD) (\/\w+)[ ?]/.exec(request) ?? [];
    let answer: ProbeAnswer;
    if (path === '/health' && this.#hasHealth) answer = health(this.#forebay, this.#isDraining);
    else if (path === '/ready') answer = readiness(this.#forebay, this.refusal());
    else return null;
    this.counts.count(path, answer.status);
    const full = rawAnswer(jsonAnswer(answer.status, answer.body, answer.headers), null);
    return method === 'HEAD' ? full.slice(0, full.indexOf(HEAD_END) + HEAD_END.length) : full;
  }
}
