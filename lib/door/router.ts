import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { asError, ForebayError } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';
import type { AccessLog } from './access-log.js';
import { answerError, isAnswered } from './answers.js';
import { answerConnectionErrors, endBehind, endWith } from './connection-errors.js';
import { Exchanges } from './exchanges.js';
import type { HostRules } from './host-rules.js';
import { invalid } from '../settings/setting-error.js';
import { ABORTED } from './request-counts.js';
import type { RequestCounts } from './request-counts.js';
import { HEADER_LINES_MAX } from './request-head.js';
import { requestId } from './request-id.js';

/** The handler of a path. */
export interface Route {
  readonly methods: readonly string[];
  /** Called before anything is answered, a refusal too: sets headers of all answers. */
  readonly prepare?: (req: IncomingMessage, res: ServerResponse) => void;
  /** An error from it is answered with `500`, if no answer was sent yet. */
  readonly handle: (req: IncomingMessage, res: ServerResponse, waits: boolean) => void | Promise<void>;
  /** Called when the server stops: ends timers and answers that would go on for ever. */
  readonly stop?: () => void;
}

export interface RouterOptions {
  /** Server of `node:http`; its settings are those of `serverOptions`. */
  readonly server: Server;
  readonly hosts: HostRules;
  readonly counts: RequestCounts;
  readonly accessLog: AccessLog;
  readonly logger: Logger;
}

/** How often Node checks for requests that take too long, in milliseconds: a timeout is late by at most this. */
const TIMEOUT_CHECK_MS = 500;

/** Options with which the `node:http` server must be created. */
export function serverOptions(settings: {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}): ServerOptions {
  return {
    headersTimeout: settings.headersTimeoutMs,
    requestTimeout: settings.requestTimeoutMs,
    keepAliveTimeout: settings.keepAliveTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    requireHostHeader: false, // Node's own refusal has no message; see HostRules
  };
}

/** Passes each request that `node:http` has read to the route of its path. */
export class Router {
  readonly exchanges: Exchanges;
  readonly #options: RouterOptions;
  // no prototype: a path like /constructor is not a route
  readonly #routes: Record<string, Route> = { __proto__: null as never };

  constructor(options: RouterOptions) {
    const { server, counts } = options;
    this.#options = options;
    // a client that has sent its request and closed its side still gets the answer
    Object.assign(server, { httpAllowHalfOpen: true });
    server.maxHeadersCount = 0; // Node would silently drop the last ones; see #refusal
    this.exchanges = new Exchanges(server);
    answerConnectionErrors(server, this.exchanges, counts);
    server.on('request', (req, res) => {
      this.#begin(req, res, false, null);
    });
    server.on('checkContinue', (req, res) => {
      this.#begin(req, res, true, null);
    });
    server.on('connect', (req, socket) => {
      socket.on('error', () => undefined); // Node.js has released it; `close` follows
      const message = `${JSON.stringify(req.url)} takes no ${req.method}`;
      const error = new ForebayError('METHOD_NOT_ALLOWED', { message });
      const last = this.exchanges.of(socket).at(-1);
      if (last === undefined) endWith(error, socket, counts);
      else endBehind(last, error, socket, counts);
    });
    server.on('checkExpectation', (req, res) => {
      this.#begin(req, res, true, new ForebayError('EXPECTATION_FAILED'));
    });
  }

  /**
   * Adds routes by path. A route with a `stop` is stopped with the server.
   *
   * @throws ForebayError `SETTING_INVALID` if a path is taken
   */
  add(routes: Iterable<readonly [string, Route]>): void {
    for (const [path, route] of routes) {
      if (this.#routes[path] !== undefined)
        throw invalid(`The path ${path} of a source is one of the server's own`);
      this.#routes[path] = route;
    }
  }

  stop(): void {
    for (const route of Object.values(this.#routes)) route.stop?.();
  }

  #begin(req: IncomingMessage, res: ServerResponse, waits: boolean, refusal: ForebayError | null): void {
    this.exchanges.add(req, res, waits, () => void this.#answer(req, res, waits, refusal));
  }

  async #answer(
    req: IncomingMessage,
    res: ServerResponse,
    waits: boolean,
    refusal: ForebayError | null,
  ): Promise<void> {
    const { counts, logger, accessLog } = this.#options;
    const path = pathOf(req);
    const route = this.#routes[path];
    const id = requestId(idHeader(req));
    const beginMs = accessLog.begin();
    const { remoteAddress: peer } = req.socket;
    res.once('close', () => {
      const status = res.writableFinished ? res.statusCode : ABORTED;
      counts.count(route === undefined ? 'other' : path, status);
      accessLog.end(beginMs, { requestId: id, method: req.method ?? '', path, status, peer });
    });
    if (isAnswered(res)) return;
    res.setHeader('X-Request-Id', id);
    const refuse = (error: ForebayError, headers?: Readonly<Record<string, string>>): void => {
      counts.stray(error.code);
      answerError(req, res, error, headers);
    };
    await guard(req, res, logger, () => {
      route?.prepare?.(req, res);
      const error = refusal ?? this.#refusal(req, res);
      if (error !== null) {
        refuse(error);
      } else if (route === undefined) {
        refuse(new ForebayError('NOT_FOUND', { message: `There is nothing at ${path}` }));
      } else if (!route.methods.includes(req.method ?? '')) {
        const allow = route.methods.join(', ');
        const message = `${path} takes ${allow}, not ${req.method}`;
        refuse(new ForebayError('METHOD_NOT_ALLOWED', { message }), { Allow: allow });
      } else {
        return route.handle(req, res, waits);
      }
      return undefined;
    });
  }

  /** Why the head of a request is refused, whatever its path; `null`: it is not. */
  #refusal(req: IncomingMessage, res: ServerResponse): ForebayError | null {
    if (req.rawHeaders.length > 2 * HEADER_LINES_MAX) return new ForebayError('HEADERS_TOO_LARGE');
    if (req.httpVersionMajor !== 1) return new ForebayError('HTTP_VERSION');
    const error = this.#options.hosts.refusal(req);
    // like Node: a client that sends no host, or two, does not speak HTTP/1.1
    if (error?.code === 'BAD_REQUEST') res.shouldKeepAlive = false;
    return error;
  }
}

/** Keeps an error of a route from ending the process. One that has a status is the answer. */
export async function guard(
  req: IncomingMessage,
  res: ServerResponse,
  logger: Logger,
  handle: () => void | Promise<void>,
): Promise<void> {
  try {
    await handle();
  } catch (thrown) {
    const cause = asError(thrown);
    if (cause instanceof ForebayError && cause.status !== null && cause.code !== 'INTERNAL') {
      if (!isAnswered(res)) answerError(req, res, cause);
      return;
    }
    const id = res.getHeader('X-Request-Id');
    logger.error({ code: 'INTERNAL', err: cause, requestId: id }, `${req.method} ${pathOf(req)} failed`);
    if (res.headersSent) req.socket.destroy();
    else answerError(req, res, new ForebayError('INTERNAL', { cause }));
  }
}

function idHeader({ headers }: IncomingMessage): string | undefined {
  const { 'x-request-id': id } = headers;
  return typeof id === 'string' ? id : undefined;
}

/** The requested path. A client may send a whole URI (RFC 9112, 3.2.2). */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] || '/';
}
