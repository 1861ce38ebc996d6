import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { ServerOptions } from 'node:http';
import { Server as TlsServer } from 'node:tls';
import type { TlsOptions, TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import { ForebayError, systemCode } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';
import { count } from '../base/words.js';
import { errorAnswer } from '../seams/http-answer.js';
import { rawAnswer } from './raw-answer.js';
import type { RequestCounts } from './request-counts.js';
import type { TlsFiles } from './tls-files.js';

/** Why a handshake failed. */
export type HandshakeFault =
  'plain_http' | 'protocol' | 'client_certificate' | 'distrust' | 'timeout' | 'closed' | 'crowded' | 'other';

/** By the code of the error, first match first. */
const FAULTS: readonly (readonly [HandshakeFault, RegExp])[] = [
  ['plain_http', /^ERR_SSL_HTTPS?_(?:PROXY_)?REQUEST$/],
  ['client_certificate', /PEER_DID_NOT_RETURN_A_CERTIFICATE/],
  ['distrust', /_ALERT_.*(?:CERTIFICATE|UNKNOWN_CA)/],
  ['protocol', /VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|NO_APPLICATION_PROTOCOL/],
  ['timeout', /^ERR_TLS_HANDSHAKE_TIMEOUT$/],
  ['closed', /^(?:ECONNRESET|EPIPE)$/],
];

/** At most this many handshakes at once: each takes some 55 KiB. */
export const HANDSHAKES_MAX = 500;
/** How long the first failed handshake waits for others, and how often the log has a line of them, in milliseconds. */
const FIRST_REPORT_MS = 1000;
const REPORT_MS = 60_000;

/** Failed handshakes by reason, from 0 on. */
export function noFaults(): Map<HandshakeFault, number> {
  const faults: readonly HandshakeFault[] = [...FAULTS.map(([fault]) => fault), 'crowded', 'other'];
  return new Map(faults.map((fault) => [fault, 0]));
}

/** The event with each connection that HTTP can be read from: with TLS, it is the one after the handshake. */
export function connectionEvent(server: object): 'connection' | 'secureConnection' {
  return server instanceof TlsServer ? 'secureConnection' : 'connection';
}

/** Calls back when a connection can be read. */
export type Opener = (connection: Socket, ready: (socket: Socket) => void) => void;

export interface TlsDoorOptions {
  /** Those of the server of `node:http`. */
  readonly http: ServerOptions;
  readonly files: TlsFiles;
  /** How long a handshake may take, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** At most this many handshakes at once; one more closes the oldest. */
  readonly handshakesMax: number;
  readonly counts: RequestCounts;
  readonly logger: Logger;
}

/** The door's server if it takes TLS, and what becomes of handshakes. */
export class TlsDoor {
  readonly server: Server;
  /** Failed handshakes by reason. */
  readonly failed = noFaults();
  readonly #options: TlsDoorOptions;
  /** Connections that were closed in their handshake for newer ones. */
  readonly #crowded = new WeakSet<Socket>();
  /** Failed handshakes by reason that no line of the log has yet. */
  #unreported = new Map<HandshakeFault, number>();
  #reportTimer: NodeJS.Timeout | null = null;
  #reportedMs = -REPORT_MS;

  constructor(options: TlsDoorOptions) {
    const { http, files, handshakeTimeoutMs } = options;
    this.#options = options;
    this.server = createServer({
      ...http,
      ...files.options,
      handshakeTimeout: handshakeTimeoutMs,
    });
    this.server.removeAllListeners('tlsClientError'); // to Node.js it is a fault of a request
    this.server.on('tlsClientError', this.#onFailure);
  }

  get options(): TlsOptions {
    return this.#options.files.options;
  }

  get certificateExpirySeconds(): number {
    return this.#options.files.expirySeconds;
  }

  /** Looks for changes of the files once a second, until `close`. */
  watch(): void {
    this.#options.files.watch(this.#renew);
  }

  /** Reads the files again if they have changed. */
  async reload(): Promise<void> {
    if (await this.#options.files.refresh()) this.#renew();
  }

  close(): void {
    this.#options.files.close();
    if (this.#reportTimer !== null) clearTimeout(this.#reportTimer);
  }

  /** @returns calls back after the handshake of a connection; not if it fails, which closes the connection */
  opener(): Opener {
    const waiting = new Map<Socket, (socket: Socket) => void>(); // the oldest first
    this.server.on('secureConnection', (socket) => {
      socket.allowHalfOpen = true; // like those of `node:http`; not before: who leaves its handshake would stay
      socket.on('error', () => socket.destroy()); // Node.js leaves it open after its handshake
      const connection = connectionOf(socket);
      const ready = connection && waiting.get(connection);
      if (connection === undefined || ready === undefined) {
        socket.destroy();
        return;
      }
      waiting.delete(connection);
      ready(socket);
    });
    return (connection, ready) => {
      const [oldest] = waiting.keys();
      if (oldest !== undefined && waiting.size >= this.#options.handshakesMax) {
        waiting.delete(oldest);
        this.#crowded.add(oldest);
        oldest.destroy();
      }
      waiting.set(connection, ready);
      connection.once('close', () => waiting.delete(connection));
    };
  }

  /** Connections that are open, or in their handshake, keep the certificate that they began with. */
  readonly #renew = (): void => {
    this.server.setSecureContext(this.#options.files.options);
  };

  readonly #onFailure = (error: Error, socket: TLSSocket): void => {
    const connection = connectionOf(socket);
    const isCrowded = connection !== undefined && this.#crowded.has(connection);
    const fault = isCrowded ? 'crowded' : faultOf(error, socket);
    this.failed.set(fault, (this.failed.get(fault) ?? 0) + 1);
    this.#unreported.set(fault, (this.#unreported.get(fault) ?? 0) + 1);
    this.#reportSoon(connection?.remoteAddress);
    if (fault === 'plain_http' && connection?.writable === true) {
      const refusal = errorAnswer(new ForebayError('TLS_REQUIRED'));
      this.#options.counts.count('other', refusal.status);
      connection.write(rawAnswer(refusal, null), 'latin1');
    }
    socket.destroy();
  };

  /** A port that strangers reach meets failed handshakes all the time: the log has one line a minute. */
  #reportSoon(peer: string | undefined): void {
    if (this.#reportTimer !== null) return;
    const waitMs = Math.max(FIRST_REPORT_MS, this.#reportedMs + REPORT_MS - performance.now());
    this.#reportTimer = setTimeout(() => {
      this.#reportTimer = null;
      this.#reportedMs = performance.now();
      const faults = Object.fromEntries(this.#unreported);
      this.#unreported = new Map();
      const all = Object.values(faults).reduce((sum, each) => sum + each, 0);
      const words = Object.entries(faults).map(([fault, each]) => `${fault} ${each}`);
      this.#options.logger.info(
        { ...faults, peer },
        `${count(all, 'TLS handshake')} failed: ${words.join(', ')}; the first was with ${peer}`,
      );
    }, waitMs).unref();
  }
}

/** The connection under the TLS of a socket: Node.js has no public name for it. */
function connectionOf(socket: TLSSocket): Socket | undefined {
  const { ['_parent']: connection } = socket as { readonly _parent?: Socket };
  return connection;
}

function faultOf(error: Error, { authorizationError }: TLSSocket): HandshakeFault {
  // such a client has ended its handshake, and Node.js has closed the connection
  if (authorizationError) return 'client_certificate';
  const code = systemCode(error) ?? '';
  return FAULTS.find(([, pattern]) => pattern.test(code))?.[0] ?? 'other';
}
