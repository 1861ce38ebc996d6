import type { IncomingMessage, ServerResponse } from 'node:http';
import { ForebayError } from '../base/errors.js';

/** In the list of allowed origins: all. */
const ANY = '*';
/** How long a browser may remember the answer to a preflight, in seconds. */
const PREFLIGHT_AGE_S = 600;
const HEADERS_ALLOWED = 'Authorization, Content-Type, Content-Encoding, Prefer, X-Request-Id';

/**
 * Which web pages may send events. Any page can make its reader's browser post to any address, even to one that only
 * the reader can reach. A browser names the page (Fetch, 3.2; Fetch Metadata). Other clients name none.
 */
export class CrossOrigin {
  readonly #allowed: ReadonlySet<string>;

  /** @param allowed origins like `https://app.example` whose pages may send, or `*` */
  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed);
  }

  /**
   * Why the page that sends a request is refused; `null`: it is not. Sets the headers that let its browser read the
   * answer.
   */
  refusal({ headers }: IncomingMessage, res: ServerResponse): ForebayError | null {
    const { origin, host } = headers;
    if (origin !== undefined && this.#allows(origin)) {
      res.setHeader('Access-Control-Allow-Origin', origin);
      res.setHeader('Vary', 'Origin');
      return null;
    }
    const isForeign =
      origin === undefined
        ? headers['sec-fetch-site'] === 'cross-site'
        : hostOf(origin) !== host?.toLowerCase();
    if (!isForeign) return null;
    const page = origin === undefined ? 'another site' : JSON.stringify(origin);
    const message = `A web page of ${page} may not send events: --allowed-origins names those that may`;
    return new ForebayError('ORIGIN_NOT_ALLOWED', { message });
  }

  /** Answers a preflight (Fetch, 3.2.2): a page may send if its origin is named. */
  answerPreflight({ headers: { origin } }: IncomingMessage, res: ServerResponse): void {
    if (origin !== undefined && this.#allows(origin)) {
      res.setHeader('Access-Control-Allow-Origin', origin);
      res.setHeader('Access-Control-Allow-Methods', 'POST');
      res.setHeader('Access-Control-Allow-Headers', HEADERS_ALLOWED);
      res.setHeader('Access-Control-Max-Age', PREFLIGHT_AGE_S);
    }
    res.writeHead(204, { Vary: 'Origin' }).end();
  }

  #allows(origin: string): boolean {
    return this.#allowed.has(ANY) || this.#allowed.has(origin);
  }
}

/** Includes the port, if it is not the scheme's default; `null`: the page has no host, like one in a sandbox. */
function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
