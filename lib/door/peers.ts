import { BlockList, isIPv6 } from 'node:net';
import type { Socket } from 'node:net';
import type { Client, ClientLimits } from '../seams/client.js';
import type { RequestHead } from '../seams/source.js';
import { forwardedFor } from './forwarded.js';
import { peerOf } from './peer-address.js';

export interface PeersOptions {
  /** Addresses, and networks of them. */
  readonly trustedProxies: readonly string[];
  readonly clientEventsPerSecond: number | null;
  readonly clientBytesPerSecond: number | null;
}

/** Who is at the other end of a connection. */
export interface Peer {
  readonly client: Client;
  /** Whether it is a proxy whose headers name the client. */
  readonly isTrusted: boolean;
}

/** Knows clients by their addresses. */
export class Peers {
  readonly #trusted = new BlockList();
  readonly #trustsAny: boolean;
  readonly #limits: ClientLimits;
  readonly #known = new WeakMap<Socket, Peer>();

  constructor({ trustedProxies, clientEventsPerSecond, clientBytesPerSecond }: PeersOptions) {
    this.#limits = { eventsPerSecond: clientEventsPerSecond, bytesPerSecond: clientBytesPerSecond };
    this.#trustsAny = trustedProxies.length > 0;
    for (const network of trustedProxies) {
      const [address = '', bits] = network.split('/');
      if (bits === undefined) this.#trusted.addAddress(address, family(address));
      else this.#trusted.addSubnet(address, Number(bits), family(address));
    }
  }

  of(socket: Socket): Peer {
    let peer = this.#known.get(socket);
    if (peer === undefined) {
      const { remoteAddress } = socket;
      peer = { client: this.#clientAt(remoteAddress), isTrusted: this.isTrusted(remoteAddress) };
      this.#known.set(socket, peer);
    }
    return peer;
  }

  /** Who sends requests with this head, by their connection. */
  sendersOf(head: RequestHead): (peer: Peer) => Client {
    if (!this.#trustsAny) return clientOf;
    let named: Client | null | undefined; // the same for all connections
    return (peer) => {
      if (!peer.isTrusted) return peer.client;
      if (named === undefined) {
        const address = forwardedFor(head, this.isTrusted);
        named = address === null ? null : this.#clientAt(address);
      }
      return named ?? peer.client;
    };
  }

  readonly isTrusted = (given: string = ''): boolean => {
    const address = given.replace(/%.*/, ''); // of a link-local address
    return this.#trustsAny && address !== '' && this.#trusted.check(address, family(address));
  };

  #clientAt(address: string | undefined): Client {
    return { id: peerOf(address), limits: this.#limits };
  }
}

function clientOf({ client }: Peer): Client {
  return client;
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
