import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Forebay } from '../forebay.js';
import type { Logger } from '../base/reporter.js';
import type { HttpSettings } from '../settings/http-settings.js';
import { AccessLog } from './access-log.js';
import { HostRules } from './host-rules.js';
import type { IngestionServer } from './ingestion-server.js';
import { listen } from './listen.js';
import { probeRoutes } from './probes.js';
import type { WholeProbe } from './probes.js';
import { Router, serverOptions } from './router.js';
import type { Route } from './router.js';

/** There are few operators, and their tools ask rarely. */
const CONNECTIONS_MAX = 500;

/** The server's own address, and the settings that it shares with the door for events. */
export interface AdminServerOptions extends Pick<
  HttpSettings,
  | 'host'
  | 'port'
  | 'allowedHosts'
  | 'accessLog'
  | 'headersTimeoutMs'
  | 'requestTimeoutMs'
  | 'keepAliveTimeoutMs'
> {
  readonly forebay: Forebay;
  readonly door: IngestionServer;
  /** Further routes, by path. */
  readonly routes: Iterable<readonly [string, Route]>;
  readonly logger: Logger;
  /** Asks all workers of a server; by default it is this process. */
  readonly wholeProbe?: WholeProbe | null;
}

/** Page, metrics and probes on an address of their own. A flood of events cannot keep operators out. */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;
  readonly #router: Router;

  constructor(options: AdminServerOptions) {
    const { forebay, door, host, allowedHosts, routes, logger, wholeProbe = null } = options;
    this.#options = options;
    this.#server = createServer({ ...serverOptions(options) });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.timeout = options.requestTimeoutMs; // also for a client that does not read its answer
    const hosts = new HostRules(host, allowedHosts);
    const accessLog = new AccessLog(options.accessLog, logger);
    this.#router = new Router({ server: this.#server, hosts, counts: door.counts, accessLog, logger });
    const state = { refusal: () => door.refusal(), isDraining: () => door.isDraining };
    this.#router.add(Object.entries(probeRoutes(forebay, state, wholeProbe)));
    this.#router.add(routes);
    this.#server.on('error', (err) => {
      if (this.#server.listening)
        logger.error({ code: 'CONNECTIONS_MAX', err }, 'A connection could not be taken');
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** @throws ForebayError `PORT_UNAVAILABLE` */
  async start(): Promise<void> {
    await listen(this.#server, this.#options.host, this.#options.port);
  }

  stop(): void {
    this.#server.close();
    this.#router.exchanges.close();
    this.#router.stop();
    this.#server.closeAllConnections();
  }
}
