import type { Socket } from 'node:net';
import { ForebayError } from '../errors.js';
import { errorBody, retryAfter } from './answers.js';
import type { AccessLog } from './access-log.js';
import { endWith } from './connection-errors.js';
import type { EventsRoute } from './events-route.js';
import type { HostRules } from './host-rules.js';
import { httpDate, rawAnswer } from './raw-answer.js';
import { ABORTED } from './request-counts.js';
import type { RequestCounts } from './request-counts.js';
import { plainHead } from './request-head.js';
import { requestId } from './request-id.js';
import type { PlainHead } from './request-head.js';

/** How often connections are looked at, in milliseconds: a timeout is late by up to twice this. */
const CHECK_MS = 500;
/** The largest head that `node:http` takes, too; so much of a request is held while the rest is on its way. */
const HELD_BYTES_MAX = 16_384;
/** A head that is longer is read anew for each request: each connection keeps one. */
const HEAD_KEPT_BYTES_MAX = 1024;
const REQUEST_LINE = 'POST /events HTTP/1.1\r\n';
const ACCEPTED_LINE = 'HTTP/1.1 202 Accepted\r\n';
const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

export interface FastPathOptions {
  readonly events: EventsRoute;
  readonly counts: RequestCounts;
  readonly hosts: HostRules;
  readonly accessLog: AccessLog;
  readonly headersTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** Gives a connection to `node:http`, with its next bytes not read yet. */
  readonly handOver: (socket: Socket) => void;
}

/**
 * Takes plain requests from their connections directly, in front of `node:http`: `POST /events` in the strictest form
 * (request-head.ts), whole in one piece or two, nothing behind it. Whatever is not that, from the first byte that is
 * not, goes to `node:http` with its connection, which stays there: every rule of HTTP has one reader that knows it.
 *
 * Why: an event costs the main thread a third to a half of what it costs through `node:http` (decision 21).
 */
export class FastPath {
  readonly options: FastPathOptions;
  /** Whether each connection is closed behind the answer that it waits for. */
  isClosing = false;
  /** Connections given to `node:http`. */
  handedOver = 0;
  readonly #connections = new Map<Socket, FastConnection>();
  readonly #timer: NodeJS.Timeout;
  #accepted = '';
  #acceptedDate = '';

  constructor(options: FastPathOptions) {
    this.options = options;
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

  /** For how long a connection has waited for a request, in milliseconds; `null`: it has one, or is not here. */
  idleMs(socket: Socket): number | null {
    return this.#connections.get(socket)?.idleMs ?? null;
  }

  /** Closes what is idle, gives half requests to `node:http`, and closes the others behind their answers. */
  close(): void {
    this.isClosing = true;
    clearInterval(this.#timer);
    for (const connection of this.#connections.values()) connection.close();
  }

  /** Closes all, whatever they wait for. */
  destroy(): void {
    for (const connection of this.#connections.values()) connection.destroy();
  }

  /** What stands in a head that needs no other reader. */
  plainHead(text: string): PlainHead | null {
    const head = plainHead(text);
    return head !== null && this.options.hosts.serves(head.host) === true ? head : null;
  }

  /** The `202` for one event, without its first lines. */
  get #acceptedRest(): string {
    const date = httpDate();
    if (date !== this.#acceptedDate) {
      this.#acceptedDate = date;
      const answer = rawAnswer(202, { status: 'accepted' }, {}, this.options.keepAliveTimeoutMs);
      this.#accepted = answer.slice(ACCEPTED_LINE.length);
    }
    return this.#accepted;
  }

  /** The `202` for one event, of which all but the id is made once a second. */
  accepted(id: string): string {
    return `${ACCEPTED_LINE}X-Request-Id: ${id}\r\n${this.#acceptedRest}`;
  }
}

class FastConnection {
  readonly #path: FastPath;
  readonly #socket: Socket;
  /** The head of the last request, unless it is long: the next one has most often the same. */
  #headText = '';
  #head: PlainHead | null = null;
  /** The first piece of a request. */
  #held: Buffer | null = null;
  #isBusy = false;
  /** What the request is named, */
  #id = '';
  /** and when it began, if it gets a log line. */
  #beginMs: number | null = null;
  /** Whether something came behind the request that waits for its answer. */
  #hasMore = false;
  /** Whether the client has closed its side. */
  #hasEnded = false;
  /** Whether a request was answered. */
  #isKnown = false;
  /** Looks in a row at which there was nothing new. */
  #quietChecks = 0;

  constructor(path: FastPath, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', ignore);
    socket.on('close', this.#onClose);
  }

  readonly #onData = (piece: Buffer): void => {
    if (!this.#socket.writable) return; // closed behind its last answer
    if (this.#isBusy) {
      // back to where it came from: as long as the stream holds something, its end does not show
      this.#socket.pause();
      this.#socket.unshift(piece);
      this.#hasMore = true;
      return;
    }
    const isFirst = this.#held === null;
    // some clients end a body with a line break more (RFC 9112, 2.2)
    if (isFirst && piece.equals(LINE_END)) return;
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
   * @returns 0 where it was taken, how many bytes are missing at least, or `NaN` where it is not for the fast path
   */
  #take(bytes: Buffer): number {
    const { length } = this.#headText;
    if (length === 0 || bytes.toString('latin1', 0, length) !== this.#headText) {
      const end = bytes.indexOf(HEAD_END);
      if (end === -1)
        return REQUEST_LINE.startsWith(bytes.toString('latin1', 0, REQUEST_LINE.length)) ? 1 : NaN;
      const text = bytes.toString('latin1', 0, end + HEAD_END.length);
      this.#head = text.length > HELD_BYTES_MAX ? null : this.#path.plainHead(text);
      this.#headText = text.length > HEAD_KEPT_BYTES_MAX ? '' : text;
    }
    if (this.#head === null) return NaN;
    const { format, headBytes, bodyBytes } = this.#head;
    const missing = headBytes + bodyBytes - bytes.length;
    // a body that has begun counts towards the bound of the queue, which node:http's way knows
    if (missing !== 0) return missing === bodyBytes ? missing : NaN;
    this.#isBusy = true;
    this.#id = requestId(this.#head.requestId);
    this.#beginMs = this.#path.options.accessLog.begin();
    this.#path.options.events.takeWhole(format, bytes.subarray(headBytes), this.#answer);
    return 0;
  }

  readonly #answer = (error: ForebayError | null, count: number | null): void => {
    this.#isBusy = false;
    this.#isKnown = true;
    const socket = this.#socket;
    const status = error === null ? 202 : (error.status ?? 500);
    const { counts, accessLog } = this.#path.options;
    counts.count('/events', socket.writable ? status : ABORTED);
    if (this.#beginMs !== null) {
      const { remoteAddress: peer } = socket;
      accessLog.end(this.#beginMs, { requestId: this.#id, method: 'POST', path: '/events', status, peer });
    }
    if (!socket.writable) return;
    const isLast = !this.#hasMore && (this.#hasEnded || this.#path.isClosing);
    const answer = this.#answerText(error, count, isLast);
    if (isLast) {
      socket.end(answer);
      socket.destroySoon(); // whatever the client does with its side
      return;
    }
    if (!socket.write(answer, error === null ? 'latin1' : 'utf8')) {
      // a client that does not read its answers: no further request is read
      socket.pause();
      socket.once('drain', this.#readOn);
    } else if (this.#hasMore) {
      this.#readOn();
    }
    this.#hasMore = false;
  };

  readonly #readOn = (): void => {
    this.#socket.resume();
  };

  #answerText(error: ForebayError | null, count: number | null, isLast: boolean): string {
    if (error === null && count === null && !isLast) return this.#path.accepted(this.#id);
    const keepAliveTimeoutMs = isLast ? null : this.#path.options.keepAliveTimeoutMs;
    const id = { 'X-Request-Id': this.#id };
    if (error !== null) {
      const headers = { ...id, ...retryAfter(error) };
      return rawAnswer(error.status ?? 500, errorBody(error), headers, keepAliveTimeoutMs);
    }
    const body = count === null ? { status: 'accepted' } : { status: 'accepted', count };
    return rawAnswer(202, body, id, keepAliveTimeoutMs);
  }

  get idleMs(): number | null {
    return this.#isBusy || this.#held !== null ? null : this.#quietChecks * CHECK_MS;
  }

  /** Called each `CHECK_MS`. */
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
    if (this.#isBusy) return;
    if (this.#held === null) this.#socket.destroy();
    else this.#handOver(this.#held);
  }

  destroy(): void {
    this.#socket.destroy();
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

  /** From here on the connection is `node:http`'s, which reads these bytes first. */
  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    this.#letGo();
    this.#path.handedOver++;
    socket.pause(); // or what is put back would wait for the next piece
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

/** Nobody is there to be told of an error; `close` follows. */
function ignore(): void {}
