import type { Socket } from 'node:net';
import { ForebayError } from '../base/errors.js';
import type { HttpAnswer } from '../seams/http-answer.js';
import type { AccessLog } from './access-log.js';
import { LINGER_MS } from './answers.js';
import { endWith } from './connection-errors.js';
import type { HostRules } from './host-rules.js';
import type { Peer, Peers } from './peers.js';
import { RawAnswers } from './raw-answer.js';
import { ABORTED } from './request-counts.js';
import type { RequestCounts } from './request-counts.js';
import { plainHead } from './request-head.js';
import { requestId } from './request-id.js';
import type { PlainHead } from './request-head.js';
import type { SourceRoute } from './source-route.js';
import type { TakeWhole } from './ways.js';

/** How often connections are checked, in milliseconds: a timeout is late by at most twice this. */
const CHECK_MS = 500;
/** At most this much of a request is held while the rest arrives. `node:http` takes no larger head either. */
const HELD_BYTES_MAX = 16_384;
/** A longer head is parsed again for each request, because each connection keeps its last head. */
const HEAD_KEPT_BYTES_MAX = 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

/** A plain request, and the function that takes its body. */
interface PlainRequest {
  readonly head: PlainHead;
  readonly take: TakeWhole;
}

export interface FastPathOptions {
  /** Routes by path. */
  readonly routes: ReadonlyMap<string, SourceRoute>;
  readonly counts: RequestCounts;
  readonly hosts: HostRules;
  readonly peers: Peers;
  readonly accessLog: AccessLog;
  readonly headersTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** Hands a connection to `node:http`, with its next bytes unread. */
  readonly handOver: (socket: Socket) => void;
}

/**
 * Reads plain requests directly from their connections, before `node:http`: a `POST` to a source in the strictest
 * form (request-head.ts), whole in one or two pieces, with nothing after it. Anything else is handed to `node:http`
 * from its first unusual byte on, and the connection stays there. So every rule of HTTP has one reader that knows it.
 *
 * Reason: an event costs the main thread a third to a half of its cost through `node:http` (decision 21).
 */
export class FastPath {
  readonly options: FastPathOptions;
  /** Whether each connection is closed after its current answer. */
  isClosing = false;
  /** Connections handed to `node:http`. */
  handedOver = 0;
  readonly #connections = new Map<Socket, FastConnection>();
  readonly #timer: NodeJS.Timeout;
  readonly #requestLines: readonly string[];
  readonly answers: RawAnswers;
  /** The last plain request: requests of all connections mostly have the same head. */
  #last: PlainRequest | null = null;

  constructor(options: FastPathOptions) {
    this.options = options;
    this.answers = new RawAnswers(options.keepAliveTimeoutMs);
    this.#requestLines = [...options.routes.keys()].map((path) => `POST ${path} HTTP/1.1\r\n`);
    this.#timer = setInterval(() => {
      for (const connection of this.#connections.values()) connection.check();
    }, CHECK_MS).unref();
  }

  take(socket: Socket): void {
    this.#connections.set(socket, new FastConnection(this, socket));
  }

  letGo(socket: Socket): void {
    this.#connections.delete(socket);
  }

  /** How long a connection has waited for a request, in milliseconds; `null`: it has one, or is not here. */
  idleMs(socket: Socket): number | null {
    return this.#connections.get(socket)?.idleMs ?? null;
  }

  /** Whether a connection waits for a request, and nothing of one has arrived; also if it is not here. */
  isQuiet(socket: Socket): boolean {
    return this.#connections.get(socket)?.idleMs !== null;
  }

  /** The server stops: half requests go to `node:http`, which knows how long they may take. */
  close(): void {
    clearInterval(this.#timer);
    for (const connection of this.#connections.values()) connection.close();
  }

  /** Whether a plain request may start with these bytes. */
  isBeginning(bytes: Buffer): boolean {
    return this.#requestLines.some((line) => line.startsWith(bytes.toString('latin1', 0, line.length)));
  }

  /** The plain request with this head; `null`: it needs another reader. */
  plainRequest(text: string): PlainRequest | null {
    if (this.#last?.head.text === text) return this.#last;
    const head = plainHead(text);
    if (head === null || this.options.hosts.serves(head.header('host') ?? '') !== true) return null;
    const take = this.options.routes.get(head.target)?.takerOf(head) ?? null;
    if (take === null) return null;
    this.#last = { head, take };
    return this.#last;
  }
}

class FastConnection {
  readonly #path: FastPath;
  readonly #socket: Socket;
  readonly #peer: Peer;
  /** The last request, unless its head is long: the next one mostly has the same head. */
  #request: PlainRequest | null = null;
  /** The first piece of a request. */
  #held: Buffer | null = null;
  #isBusy = false;
  /** When the request started, if it gets a log line. */
  #beginMs: number | null = null;
  /** Whether the client sent more after the request that is being answered. */
  #hasMore = false;
  /** Whether the client has closed its side. */
  #hasEnded = false;
  /** Whether a request of this connection was answered before. */
  #isKnown = false;
  /** Checks in a row without anything new. */
  #quietChecks = 0;

  constructor(path: FastPath, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    this.#peer = path.options.peers.of(socket);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', () => undefined); // `close` follows
    socket.on('close', this.#onClose);
  }

  readonly #onData = (piece: Buffer): void => {
    if (!this.#socket.writable) return; // closed after its last answer
    if (this.#isBusy) {
      // return the bytes: as long as the stream holds data, it does not report its end
      this.#socket.pause();
      this.#socket.unshift(piece);
      this.#hasMore = true;
      return;
    }
    const isFirst = this.#held === null;
    // some clients send an extra line break after a body (RFC 9112, 2.2)
    if (isFirst && piece.length === LINE_END.length && piece.equals(LINE_END)) return;
    this.#quietChecks = 0;
    const bytes = this.#held === null ? piece : Buffer.concat([this.#held, piece]);
    this.#held = null;
    const missing = this.#take(bytes);
    if (missing === 0) return;
    if (missing > 0 && isFirst && bytes.length + missing <= HELD_BYTES_MAX) this.#held = bytes;
    else this.#handOver(bytes);
  };

  /**
   * Takes a request that is whole.
   *
   * @returns 0 if it was taken, the least number of missing bytes, or `NaN` if it is not for the fast path
   */
  #take(bytes: Buffer): number {
    if (this.#request === null || !beginsWith(bytes, this.#request.head.text)) {
      const end = bytes.indexOf(HEAD_END) + HEAD_END.length;
      if (end < HEAD_END.length) return this.#path.isBeginning(bytes) ? 1 : NaN;
      this.#request = end > HELD_BYTES_MAX ? null : this.#path.plainRequest(bytes.toString('latin1', 0, end));
    }
    if (this.#request === null) return NaN;
    const { head, take } = this.#request;
    const { length: headBytes } = head.text;
    const { bodyBytes } = head;
    const missing = headBytes + bodyBytes - bytes.length;
    // a partial body counts towards the bound of the queue, which only `node:http`'s way knows
    if (missing !== 0) return missing === bodyBytes ? missing : NaN;
    this.#isBusy = true;
    this.#beginMs = this.#path.options.accessLog.begin();
    take(bytes.subarray(headBytes), this.#answer, this.#peer);
    return 0;
  }

  readonly #answer = (answer: HttpAnswer): void => {
    this.#isBusy = false;
    this.#isKnown = true;
    if (this.#request === null) return;
    const socket = this.#socket;
    const { head } = this.#request;
    const { target: path } = head;
    const id = requestId(head.header('x-request-id'));
    if (head.text.length > HEAD_KEPT_BYTES_MAX) this.#request = null;
    const { status } = answer;
    const { counts, accessLog } = this.#path.options;
    const { writable } = socket;
    counts.count(path, writable ? status : ABORTED);
    if (this.#beginMs !== null) {
      const { remoteAddress: peer } = socket;
      accessLog.end(this.#beginMs, { requestId: id, method: 'POST', path, status, peer });
    }
    if (!writable) return;
    const isLast = !this.#hasMore && (this.#hasEnded || this.#path.isClosing);
    const text = this.#path.answers.text(answer, id, isLast);
    if (isLast) {
      socket.end(text, 'latin1', this.#closeSoon);
      return;
    }
    if (!socket.write(text, 'latin1')) {
      // the client does not read its answers: read no further request
      socket.pause();
      socket.once('drain', this.#readOn);
    } else if (this.#hasMore) {
      this.#readOn();
    }
    this.#hasMore = false;
  };

  /** A reset would take the answer away, if the client has sent more: what comes is read until it has closed its side. */
  readonly #closeSoon = (): void => {
    const socket = this.#socket;
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => {
      clearTimeout(timer);
    });
  };

  readonly #readOn = (): void => {
    this.#socket.resume();
  };

  get idleMs(): number | null {
    return this.#isBusy || this.#held !== null ? null : this.#quietChecks * CHECK_MS;
  }

  /** Called every `CHECK_MS`. */
  check(): void {
    if (this.#isBusy) return;
    const { headersTimeoutMs, keepAliveTimeoutMs } = this.#path.options;
    const quietMs = this.#quietChecks++ * CHECK_MS;
    const isOver = (timeoutMs: number): boolean => timeoutMs > 0 && quietMs >= timeoutMs;
    if (this.#held !== null) {
      if (quietMs > 0) this.#handOver(this.#held);
    } else if (this.#isKnown) {
      if (isOver(keepAliveTimeoutMs)) this.#socket.destroy();
    } else if (isOver(headersTimeoutMs)) {
      this.#letGo();
      endWith(new ForebayError('REQUEST_TIMEOUT'), this.#socket, this.#path.options.counts);
    }
  }

  close(): void {
    if (!this.#isBusy && this.#held !== null) this.#handOver(this.#held);
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    if (this.#isBusy) return;
    if (this.#held === null) {
      this.#socket.end();
    } else {
      this.#letGo();
      const message = 'The request is not valid HTTP: it ends too early';
      endWith(new ForebayError('BAD_REQUEST', { message }), this.#socket, this.#path.options.counts);
    }
  };

  readonly #onClose = (): void => {
    this.#path.letGo(this.#socket);
  };

  /** Hands the connection to `node:http`, which reads these bytes first. */
  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    this.#letGo();
    this.#path.handedOver++;
    socket.pause(); // otherwise the returned bytes would wait for the next piece
    socket.unshift(bytes);
    this.#path.options.handOver(socket);
    process.nextTick(() => socket.resume());
  }

  #letGo(): void {
    this.#held = null;
    this.#path.letGo(this.#socket);
    this.#socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
  }
}

function beginsWith(bytes: Buffer, text: string): boolean {
  return bytes.toString('latin1', 0, text.length) === text;
}
