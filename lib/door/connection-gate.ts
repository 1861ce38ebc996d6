import type { Server, Socket } from 'node:net';
import { ForebayError } from '../base/errors.js';
import { errorAnswer } from '../seams/http-answer.js';
import type { Logger } from '../base/reporter.js';
import { peerOf } from './peer-address.js';
import { rawAnswer } from './raw-answer.js';
import type { RequestCounts } from './request-counts.js';
import type { Opener } from './tls-door.js';
import { turns } from './turns.js';

/** At most this many connections beyond the bound are being answered at once. Each takes some 10 KiB. */
export const REFUSED_MAX = 2000;
/** Connections that are closed still count for a moment. */
const CLOSING_MAX = 32;
/** How long a refused client may take to read its answer, in milliseconds. */
const REFUSAL_MS = 2000;
/** How many bytes of a request are examined to find out what it asks for. */
const REQUEST_LINE_MAX = 256;
/** How often the log reports connections beyond the bound, in milliseconds. */
const REPORT_MS = 1000;

export interface ConnectionGateOptions {
  readonly server: Server;
  readonly connectionsMax: number;
  /** At most this many connections of one client, */
  readonly connectionsPerPeer: number;
  /** unless it is a proxy, whose connections are those of many clients. */
  readonly isTrusted: (address: string | undefined) => boolean;
  /** How long a request may take to start, in milliseconds. */
  readonly headersTimeoutMs: number;
  /** How long a request may take to arrive, and how long a client may leave its answers unread, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection stays open, in milliseconds. */
  readonly keepAliveTimeoutMs: number;
  /** At most this many connections beyond the bound are answered `429` at once. */
  readonly refusedMax: number;
  /** Paths with a count of their own; all others count as `other`. */
  readonly sourcePaths: { has(path: string): boolean };
  readonly counts: RequestCounts;
  readonly logger: Logger;
  /** Calls back when a connection can be read: at once, or after its TLS handshake. */
  readonly open: Opener;
  /** Accepts a connection that is within the bound and open. */
  readonly admit: (socket: Socket) => void;
  /** How long a connection has waited for a request, in milliseconds; `null`: it has one. */
  readonly idleMs: (socket: Socket) => number | null;
  /** The answer to a probe, which is never refused, from its first bytes; `null` for any other request. */
  readonly answerProbe: (request: string) => string | null;
}

/** A connection stays open for at least this idle time, in milliseconds: its client may be about to send. */
const IDLE_MS_MIN = 5000;
/** How often the gate looks for idle connections, in milliseconds. */
const LOOK_MS = 1000;

/** A connection within the bound. */
interface Admitted {
  readonly peer: string;
  readonly startMs: number;
  /** What is read from it; `null` until its handshake is over. */
  socket: Socket | null;
  /** Bytes that waited for the client at the last look, and at how many looks in a row this number was the same. */
  unread: number;
  stalledLooks: number;
}

/**
 * Bounds the open connections, in all and of each client. A new one beyond the bound takes the place of the
 * connection that has been idle longest. If none is idle, the new one is answered `429` and closed: that asks the
 * client to come back, while a plain close would be an error to it. Beyond a second bound, connections are reset
 * unanswered.
 */
export class ConnectionGate {
  /** Connections that were answered `429` because `connectionsMax` were open. */
  refused = 0;
  /**
   * Connections closed unanswered: beyond the second bound, without a request, or with a client that reads no
   * answers.
   */
  dropped = 0;
  /** Connections that were accepted, whatever became of them. */
  accepted = 0;
  readonly #options: ConnectionGateOptions;
  readonly #admitted = new Map<Socket, Admitted>();
  /** Connections by client. */
  readonly #peers = new Map<string, number>();
  /** Connections that were idle at the last look, the longest idle first. */
  #idle: Socket[] = [];
  readonly #looks: NodeJS.Timeout;
  readonly #refusing = new Set<Socket>();
  #reported = { refused: 0, dropped: 0 };
  #reportTimer: NodeJS.Timeout | null = null;

  constructor(options: ConnectionGateOptions) {
    const { server, connectionsMax, refusedMax } = options;
    this.#options = options;
    server.maxConnections = connectionsMax + refusedMax + CLOSING_MAX;
    server.on('connection', this.#onConnection);
    server.on('drop', () => {
      this.#drop();
    });
    this.#looks = setInterval(this.#look, LOOK_MS).unref();
  }

  /** Open connections within the bound, with what is read of each: `null` until its handshake is over. */
  get connections(): ReadonlyMap<Socket, { readonly socket: Socket | null }> {
    return this.#admitted;
  }

  /** How many they are. */
  get open(): number {
    return this.#admitted.size;
  }

  /** The error that a new connection would get now; `null`: it is accepted. */
  get refusal(): ForebayError | null {
    if (this.#admitted.size < this.#options.connectionsMax) return null;
    return this.#idle.some((socket) => this.#isIdle(socket)) ? null : full();
  }

  /** Closes the connections that are being refused: the server stops. */
  close(): void {
    clearInterval(this.#looks);
    for (const connection of this.#refusing) connection.destroy();
  }

  readonly #onConnection = (connection: Socket): void => {
    turns.accept();
    this.accepted++;
    const { connectionsMax, connectionsPerPeer, isTrusted, open, admit } = this.#options;
    const { remoteAddress } = connection;
    const peer = peerOf(remoteAddress);
    const ofPeer = isTrusted(remoteAddress) ? 0 : (this.#peers.get(peer) ?? 0);
    const hasRoom =
      (ofPeer < connectionsPerPeer || this.#closeLongestIdle(peer)) &&
      (this.#admitted.size < connectionsMax || this.#closeLongestIdle(null));
    if (!hasRoom) {
      this.#refuse(connection);
      return;
    }
    const admitted: Admitted = {
      peer,
      startMs: performance.now(),
      socket: null,
      unread: 0,
      stalledLooks: 0,
    };
    this.#admitted.set(connection, admitted);
    this.#peers.set(peer, (this.#peers.get(peer) ?? 0) + 1);
    connection.once('close', () => {
      this.#forget(connection);
    });
    open(connection, (socket) => {
      admitted.socket = socket;
      admit(socket);
    });
  };

  #forget(connection: Socket): void {
    const { peer } = this.#admitted.get(connection) ?? {};
    if (peer === undefined) return;
    this.#admitted.delete(connection);
    const left = (this.#peers.get(peer) ?? 0) - 1;
    if (left > 0) this.#peers.set(peer, left);
    else this.#peers.delete(peer);
  }

  /** Makes room for a connection of one client, or of all; `false`: none has been idle long enough. */
  #closeLongestIdle(peer: string | null): boolean {
    const isOne = (each: Socket): boolean => peer === null || this.#admitted.get(each)?.peer === peer;
    for (let index = this.#idle.findIndex(isOne); index !== -1; index = this.#idle.findIndex(isOne)) {
      const [connection] = this.#idle.splice(index, 1);
      if (connection === undefined || !this.#isIdle(connection)) continue; // it has a request by now
      this.#forget(connection);
      connection.destroy();
      return true;
    }
    return false;
  }

  #isIdle(connection: Socket): boolean {
    const admitted = this.#admitted.get(connection);
    return admitted !== undefined && this.#idleMs(admitted) >= IDLE_MS_MIN;
  }

  /** A handshake is no request: until its end a connection is idle. */
  #idleMs({ socket, startMs }: Admitted): number {
    return socket === null ? performance.now() - startMs : (this.#options.idleMs(socket) ?? 0);
  }

  /**
   * Looks for connections that have been idle too long, and closes them. Each reader has its own timeouts, but a line
   * end now and then restarts them and is no request. Connections are also closed if their clients do not read their
   * answers.
   */
  readonly #look = (): void => {
    const { keepAliveTimeoutMs, requestTimeoutMs } = this.#options;
    const found: { readonly connection: Socket; readonly ms: number }[] = [];
    for (const [connection, admitted] of this.#admitted) {
      const { writableLength } = admitted.socket ?? connection;
      const isStalled = writableLength > 0 && writableLength === admitted.unread;
      admitted.unread = writableLength;
      admitted.stalledLooks = isStalled ? admitted.stalledLooks + 1 : 0;
      if (admitted.stalledLooks * LOOK_MS >= requestTimeoutMs) {
        this.#drop();
        connection.destroy();
      }
      const ms = this.#idleMs(admitted);
      if (ms > keepAliveTimeoutMs + IDLE_MS_MIN) connection.destroy();
      else if (ms >= IDLE_MS_MIN) found.push({ connection, ms });
    }
    this.#idle = found.toSorted((one, other) => other.ms - one.ms).map(({ connection }) => connection);
  };

  /**
   * Answers once the client has sent something: many clients treat an earlier answer as a fault. Reads on until the
   * client has closed, because a reset may take the answer away before it is read.
   */
  #refuse(connection: Socket): void {
    // the oldest has had its time; probes are answered at once and never locked out
    const [oldest] = this.#refusing;
    if (oldest !== undefined && this.#refusing.size >= this.#options.refusedMax) {
      this.#refusing.delete(oldest);
      oldest.destroy();
    }
    this.#refusing.add(connection);
    let isCounted = false;
    const drop = (): void => {
      if (!isCounted) this.#drop();
      isCounted = true;
      connection.destroy();
    };
    let timer = setTimeout(drop, this.#options.headersTimeoutMs); // it has sent nothing
    connection.once('close', () => {
      clearTimeout(timer);
      this.#refusing.delete(connection);
      drop(); // also if the client hung up
    });
    this.#options.open(connection, (socket) => {
      socket.on('error', () => undefined); // no client is left to answer; `close` follows
      socket.once('end', () => socket.end());
      socket.once('data', (piece: Buffer) => {
        isCounted = true;
        clearTimeout(timer);
        timer = setTimeout(() => connection.destroy(), REFUSAL_MS);
        socket.end(this.#answer(piece.toString('latin1', 0, REQUEST_LINE_MAX)), 'latin1');
        socket.resume();
      });
    });
  }

  #drop(): void {
    this.dropped++;
    this.#reportSoon();
  }

  #answer(request: string): string {
    const { sourcePaths, counts, answerProbe } = this.#options;
    const probe = answerProbe(request);
    if (probe !== null) return probe;
    const refusal = errorAnswer(full());
    this.refused++;
    this.#reportSoon();
    counts.refuse('CONNECTIONS_MAX', 1);
    const [, path = ''] = /^POST ([^ ?]+)/.exec(request) ?? [];
    counts.count(sourcePaths.has(path) ? path : 'other', refusal.status);
    return rawAnswer(refusal, null);
  }

  /** Refused clients come back soon, so the log gets at most one line a second. */
  #reportSoon(): void {
    if (this.#reportTimer !== null) return;
    this.#reportTimer = setTimeout(() => {
      this.#reportTimer = null;
      const { logger, connectionsMax, connectionsPerPeer } = this.#options;
      const refused = this.refused - this.#reported.refused;
      const dropped = this.dropped - this.#reported.dropped;
      this.#reported = { refused: this.refused, dropped: this.dropped };
      const reset = dropped === 0 ? '' : `, and ${dropped} closed`;
      logger.warn(
        { code: 'CONNECTIONS_MAX', refused, dropped },
        `${this.open} connections are open (--connections-max ${connectionsMax}, --connections-per-peer ${connectionsPerPeer}): ${refused} more were answered 429${reset}`,
      );
    }, REPORT_MS).unref();
  }
}

function full(): ForebayError {
  return new ForebayError('CONNECTIONS_MAX', { retryAfterMs: 1000 });
}
