import { setTimeout as sleep } from 'node:timers/promises';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import { asError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import type { LogPlaceSettings } from '../../settings/log-settings.js';
import { readLogFiles } from '../../settings/log-files.js';
import type { LogConnection } from './servers.js';

/** A frozen server is given up after two pings without an answer, in milliseconds. */
const PING_MS = 2000;
const RECONNECT_MS = 250;
/** What does not answer within this time, as a server that wants a certificate, is given up for another, in milliseconds. */
const CONNECT_MS = 5000;

/** A connection that is kept up for ever, and says so when it is lost. */
export class Connection implements LogConnection {
  readonly nc: NatsConnection;
  isUp = true;
  readonly #waiting = new Set<() => void>();

  private constructor(nc: NatsConnection, reporter: Reporter) {
    this.nc = nc;
    void this.#watch(reporter);
  }

  /** Waits until a server answers. @throws ForebayError `SETTING_INVALID` for files that cannot be read */
  static async open(
    settings: LogPlaceSettings,
    reporter: Reporter,
    stopping: AbortSignal,
  ): Promise<Connection> {
    const ofClient = clientOptions(settings);
    for (let isSaid = false; ; isSaid = true) {
      const nc = await connect(ofClient).catch(asError);
      if (!(nc instanceof Error)) return new Connection(nc, reporter);
      if (!isSaid)
        reporter.warn('LOG_SERVERS', `No NATS server takes the connection: ${nc.message}; trying again`);
      await sleep(RECONNECT_MS, undefined, { signal: stopping });
    }
  }

  async up(endMs: number): Promise<boolean> {
    if (this.isUp) return true;
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(goOn);
        resolve();
      };
      const timer = setTimeout(goOn, Math.max(0, endMs - performance.now()));
      this.#waiting.add(goOn);
    });
    return this.isUp;
  }

  async close(): Promise<void> {
    await this.nc.close();
  }

  async #watch(reporter: Reporter): Promise<void> {
    let isSaid = false;
    for await (const { type } of this.nc.status()) {
      if (type === 'disconnect' || type === 'staleConnection') {
        this.isUp = false;
        if (!isSaid)
          reporter.warn('LOG_SERVERS', 'The connection to the NATS servers is lost; trying the others');
        isSaid = true;
      } else if (type === 'reconnect') {
        this.isUp = true;
        reporter.info(`Connected to the NATS server ${this.nc.getServer()}`);
        isSaid = false;
        for (const goOn of this.#waiting) goOn();
      } else if (type === 'close') this.isUp = false;
    }
  }
}

/** @throws ForebayError `SETTING_INVALID` for files that cannot be read */
export function clientOptions(settings: LogPlaceSettings): NodeConnectionOptions {
  const { creds, ca, cert, key } = readLogFiles(settings);
  const urls = settings.logUrl.map((url) => new URL(url));
  const [first] = urls;
  const hasTls = urls.some(({ protocol }) => protocol === 'tls:') || ca !== null || cert !== null;
  const user = decodeURIComponent(first?.username ?? '');
  const pass = decodeURIComponent(first?.password ?? '');
  return {
    servers: urls.map(({ host }) => host),
    name: 'forebay',
    timeout: CONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true, // two errors with their stacks for each request, in case that it fails
    ...(user !== '' && (pass === '' ? { token: user } : { user, pass })),
    ...(creds !== null && { authenticator: credsAuthenticator(creds) }),
    ...(hasTls && {
      tls: { ...(ca !== null && { ca }), ...(cert !== null && { cert }), ...(key !== null && { key }) },
    }),
  };
}
