import { isIP, SocketAddress } from 'node:net';
import type { RequestHead } from '../seams/source.js';

const TOKEN = String.raw`[!#$%&'*+.^_\`|~\w-]+`;
/** A pair of `Forwarded`, and whether its element goes on (RFC 7239, 4). */
const PAIR = new RegExp(String.raw`[\t ]*(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\]|\\.)*)")[\t ]*([;,]|$)`, 'y');
/** An address with or without a port. */
const NODE = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::(?:\d+|_[\w.-]+))?$/i;

/**
 * Who sent a request, as trusted proxies say it: the last address that is not one of theirs, because what is before it
 * may be forged. The first if all are theirs.
 *
 * @param isTrusted whether an address is that of a trusted proxy
 * @returns `null` if they do not say, if it is malformed, or if the two headers differ: a proxy writes one of them, and
 *   may pass on what its client wrote into the other
 */
export function forwardedFor(head: RequestHead, isTrusted: (address: string) => boolean): string | null {
  const forwarded = head.header('forwarded');
  const xForwardedFor = head.header('x-forwarded-for');
  const one = forwarded === undefined ? null : senderIn(pairsFor(forwarded), isTrusted);
  const other = xForwardedFor === undefined ? null : senderIn(xForwardedFor.split(','), isTrusted);
  if (forwarded === undefined) return other;
  return xForwardedFor === undefined || one === other ? one : null;
}

function senderIn(hops: readonly string[], isTrusted: (address: string) => boolean): string | null {
  for (let at = hops.length - 1; at >= 0; at--) {
    const address = addressOf(hops[at]?.trim() ?? '');
    if (address === null || at === 0 || !isTrusted(address)) return address;
  }
  return null;
}

/** The value of each `for`, an empty one for an element without; none if the header is malformed. */
function pairsFor(header: string): readonly string[] {
  const hops: string[] = [];
  let hop = '';
  PAIR.lastIndex = 0;
  for (let end = ','; end !== '';) {
    const pair = PAIR.exec(header);
    if (pair === null) return [];
    const [, name = '', token, quoted = ''] = pair;
    if (name.toLowerCase() === 'for') hop = token ?? quoted.replace(/\\(.)/g, '$1');
    end = pair[4] ?? '';
    if (end === ';') continue;
    hops.push(hop);
    hop = '';
  }
  return hops;
}

/** In the one form that each address has. */
function addressOf(hop: string): string | null {
  const [, v6, v4] = NODE.exec(hop) ?? [];
  const address = v6 ?? v4 ?? hop;
  const version = address.includes('%') ? 0 : isIP(address);
  return version === 6
    ? new SocketAddress({ address, family: 'ipv6' }).address
    : version === 4
      ? address
      : null;
}
