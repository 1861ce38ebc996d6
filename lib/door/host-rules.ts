import type { IncomingMessage } from 'node:http';
import { ForebayError } from '../base/errors.js';

/** A host with an optional port (RFC 3986, 3.2.2). */
const HOST = /^(\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d*)?$/i;
const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/i;
/** In the list of allowed hosts: all. */
const ANY = '*';

/**
 * Which hosts a server answers for. A server on a loopback address is for this machine alone, but a web page can
 * point its own name at that address ("DNS rebinding"). Its requests then name that host.
 */
export class HostRules {
  /** `null`: all. */
  readonly #served: ReadonlySet<string> | null;

  /**
   * @param listenHost where the server listens
   * @param allowed further hosts besides loopback. If none is named, an address other than loopback answers for all,
   * as with `*`.
   */
  constructor(listenHost: string, allowed: readonly string[]) {
    const isOpen = allowed.includes(ANY) || (allowed.length === 0 && !LOOPBACK.test(listenHost));
    this.#served = isOpen ? null : new Set(allowed.map((host) => host.toLowerCase()));
  }

  /** @param value of the header `Host`; `null`: it is not valid */
  serves(value: string): boolean | null {
    const [, host] = HOST.exec(value) ?? [];
    if (host === undefined) return null;
    if (this.#served === null) return true;
    const name = host.toLowerCase().replace(/\.$/, '');
    return LOOPBACK.test(name) || this.#served.has(name);
  }

  /** Why a request is refused for its host (RFC 9112, 3.2); `null`: it is not. A host in its target counts instead. */
  refusal({ url = '', rawHeaders, httpVersionMinor }: IncomingMessage): ForebayError | null {
    const hosts = rawHeaders.filter(
      (_, index) => rawHeaders[index - 1]?.toLowerCase() === 'host' && index % 2 === 1,
    );
    const [header] = hosts;
    const host = /^https?:\/\/([^/?]*)/i.exec(url)?.[1] ?? header;
    if (host === undefined) return httpVersionMinor === 0 ? null : badRequest('The Host header is missing');
    if (hosts.length > 1) return badRequest('There is more than one Host header');
    const isServed = this.serves(host);
    if (isServed === null)
      return badRequest(
        header === host ? 'The Host header is malformed' : 'The host in the target is malformed',
      );
    if (isServed) return null;
    const message = `This server does not answer for the host ${JSON.stringify(host)}: --allowed-hosts names those it does`;
    return new ForebayError('HOST_NOT_SERVED', { message });
  }
}

function badRequest(message: string): ForebayError {
  return new ForebayError('BAD_REQUEST', { message });
}

/** Whether an address is for this machine alone. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}
