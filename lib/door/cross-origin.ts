import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { ForebayError } from '../base/errors.js';

/** In the list of allowed origins: all. */
const ANY = '*';
/** How long a browser may remember the answer to a preflight, in seconds. */
const PREFLIGHT_AGE_S = 600;
const HEADERS_ALLOWED =
  'Content-Type, Content-Encoding, Prefer, X-Request-Id, Authorization, Idempotency-Key';
/** A header with an attribute of a CloudEvent in binary mode. */
const ATTRIBUTE = /^ce-[a-z\d]{1,64}$/;
const HEADERS_EXPOSED = 'Retry-After, X-Request-Id';

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

  /** Whether a page that may send has sent a request. */
  allows({ headers: { origin } }: IncomingMessage): boolean {
    return origin !== undefined && (this.#allowed.has(ANY) || this.#allowed.has(origin));
  }

  /** Sets the headers that let the browser of a page that may send read the answer. */
  prepare(req: IncomingMessage, res: ServerResponse): void {
    if (this.#allowed.size === 0) return;
    const { origin = '' } = req.headers;
    res.setHeader('Vary', 'Origin');
    if (!this.allows(req)) return;
    res.setHeader('Access-Control-Allow-Origin', origin);
    res.setHeader('Access-Control-Expose-Headers', HEADERS_EXPOSED);
    // a beacon always brings what the browser knows of its user; `*` is no word for pages that are trusted
    if (this.#allowed.has(origin)) res.setHeader('Access-Control-Allow-Credentials', 'true');
  }

  /** Why the page that has sent a request is refused; `null`: it is not. */
  refusal(req: IncomingMessage): ForebayError | null {
    const { origin, host = '', 'sec-fetch-site': site } = req.headers;
    const isForeign =
      origin === undefined
        ? site === 'cross-site'
        : !this.allows(req) && !isOwn(origin, host, req.socket instanceof TLSSocket);
    if (!isForeign) return null;
    const page = origin === undefined ? 'another site' : JSON.stringify(origin);
    const message = `A web page of ${page} may not send events: --cors-origin names those that may`;
    return new ForebayError('ORIGIN_NOT_ALLOWED', { message });
  }

  /** Answers a preflight (Fetch, 3.2.2), after `prepare`: a page may send if its origin is allowed. */
  answerPreflight(req: IncomingMessage, res: ServerResponse): void {
    const { headers } = req;
    if (this.allows(req)) {
      const asked = headers['access-control-request-headers']?.toLowerCase().split(/[\t ]*,[\t ]*/) ?? [];
      const attributes = asked.filter((name) => ATTRIBUTE.test(name));
      res.setHeader('Access-Control-Allow-Methods', 'POST');
      res.setHeader('Access-Control-Allow-Headers', [HEADERS_ALLOWED, ...attributes].join(', '));
      res.setHeader('Access-Control-Max-Age', PREFLIGHT_AGE_S);
      if (headers['access-control-request-private-network'] === 'true')
        res.setHeader('Access-Control-Allow-Private-Network', 'true');
    }
    const vary = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network';
    res.writeHead(204, { Vary: vary }).end();
  }
}

/**
 * Whether an origin is this server's. Without TLS a proxy in front may have it. A page has no host if it is in a
 * sandbox, for example.
 */
function isOwn(origin: string, host: string, isTls: boolean): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: own } = new URL(origin);
  const here = `${protocol}//${host}`;
  return (!isTls || protocol === 'https:') && own !== '' && URL.canParse(here) && new URL(here).host === own;
}
