import type { IncomingMessage, ServerResponse } from 'node:http';
import { ForebayError } from '../base/errors.js';

/** In the list of allowed origins: all. */
const ANY = '*';
/** How long a browser may remember what a preflight said, in seconds. */
const PREFLIGHT_AGE_S = 600;
const HEADERS_ALLOWED = 'Content-Type, Content-Encoding, Prefer, X-Request-Id';

/**
 * Which web pages may send events. Any page can make its reader's browser post to any address, also to one that only
 * the reader reaches; a browser says for which page (Fetch, 3.2; Fetch Metadata). What is no browser says nothing.
 */
export class CrossOrigin {
  readonly #allowed: ReadonlySet<string>;

  /** @param allowed origins like `https://app.example` whose pages may send, or `*` */
  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed);
  }

  /** Why a request is refused for the page that sends it; `null`: it is not. Its answer then tells the browser, too. */
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

  /** Answers a browser that asks whether a page may send (Fetch, 3.2.2): it may if its origin is named. */
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

/** With its port, if it is not the scheme's own; `null`: there is none, as of a page in a sandbox. */
function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
