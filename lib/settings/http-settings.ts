import {
  bytes,
  isNetwork,
  listOf,
  milliseconds,
  oneOf,
  optional,
  ratio,
  text,
  wholeNumber,
} from './checks.js';
import type { OptionTable, Values } from './option-table.js';

/** The settings of the HTTP door: what `IngestionServer` takes. */
export const HTTP_SETTINGS = {
  host: { flag: 'host', initial: '127.0.0.1', unit: 'ADDRESS', help: 'where to listen', check: text },
  port: {
    flag: 'port',
    initial: 8081,
    unit: 'NUMBER',
    help: 'on which port to listen; 0: one that is free',
    check: wholeNumber(0, 65_535),
  },
  allowedHosts: {
    flag: 'allowed-hosts',
    initial: '',
    unit: 'HOSTS',
    help: 'for which hosts to answer beside loopback; *: all, which is so on any other address unless some are named',
    check: listOf('a host without a port, or *', (host) => /^(?:\*|[\w.-]+|\[[\da-f:.]+\])$/i.test(host)),
  },
  corsOrigins: {
    flag: 'cors-origin',
    initial: '',
    unit: 'ORIGINS',
    help: 'which web pages may send events: origins like https://app.example; *: all',
    check: listOf('an origin like https://app.example, or *', isOrigin),
  },
  tlsCert: {
    flag: 'tls-cert',
    initial: null,
    unit: 'FILE',
    help: 'take TLS only, with this certificate and its chain, as PEM; read again when it changes',
    check: optional(text),
  },
  tlsKey: {
    flag: 'tls-key',
    initial: null,
    unit: 'FILE',
    help: 'its private key, as PEM without a passphrase; read again when it changes',
    check: optional(text),
  },
  tlsClientCa: {
    flag: 'tls-client-ca',
    initial: null,
    unit: 'FILE',
    help: 'take only clients with a certificate that one of these has signed, as PEM; read again when it changes',
    check: optional(text),
  },
  accessLog: {
    flag: 'access-log',
    initial: 0,
    unit: '0..1',
    help: 'the share of requests that get a log line; 1: each',
    check: ratio,
  },
  traceparent: {
    flag: 'traceparent',
    initial: 'keep',
    unit: 'keep|ignore',
    help: 'whether the traceparent of a request is kept with its events and goes on to the sink',
    check: oneOf('keep', 'ignore'),
  },
  bodyBytesMax: {
    flag: 'body-max',
    initial: '16MiB',
    unit: 'BYTES',
    help: 'the largest body, inflated; beyond it 413',
    check: bytes(1),
  },
  eventBytesMax: {
    flag: 'event-max',
    initial: '1MiB',
    unit: 'BYTES',
    help: 'the largest event; beyond it 413',
    check: bytes(1),
  },
  connectionsMax: {
    flag: 'connections-max',
    initial: 2000,
    unit: 'NUMBER',
    help: 'open connections; beyond it new ones get 429 and are closed',
    check: wholeNumber(1),
  },
  connectionsPerPeer: {
    flag: 'connections-per-peer',
    initial: 1500,
    unit: 'NUMBER',
    help: 'how many of them one client may have: an address, or a /64 of IPv6',
    check: wholeNumber(1),
  },
  clientEventsPerSecond: {
    flag: 'client-rate-events',
    initial: null,
    unit: 'EVENTS/S',
    help: 'how fast an address may send without a key, which has its own limits; beyond it 429; without: no limit',
    check: optional(wholeNumber(1)),
  },
  clientBytesPerSecond: {
    flag: 'client-rate-bytes',
    initial: null,
    unit: 'BYTES/S',
    help: 'the same limit in bytes of events',
    check: optional(bytes(1)),
  },
  trustedProxies: {
    flag: 'trusted-proxies',
    initial: '',
    unit: 'ADDRESSES',
    help: 'proxies whose Forwarded or X-Forwarded-For names the client: addresses, or networks like 10.0.0.0/8',
    check: listOf('an address or a network like 10.0.0.0/8', isNetwork),
  },
  headersTimeoutMs: {
    flag: 'headers-timeout',
    initial: 10_000,
    unit: 'MS',
    help: 'how long the headers of a request may take; then 408',
    check: milliseconds(1),
  },
  requestTimeoutMs: {
    flag: 'request-timeout',
    initial: 30_000,
    unit: 'MS',
    help: 'how long a whole request may take; then 408',
    check: milliseconds(1),
  },
  bodyRateMin: {
    flag: 'body-rate-min',
    initial: '1KiB',
    unit: 'BYTES/S',
    help: 'how fast a body must come after its first 5 s; then 408; 0: no matter how slow',
    check: bytes(0),
  },
  keepAliveTimeoutMs: {
    flag: 'keep-alive-timeout',
    initial: 65_000,
    unit: 'MS',
    help: 'how long an idle connection stays open',
    check: milliseconds(1),
  },
} as const satisfies OptionTable;

export type HttpSettings = Values<typeof HTTP_SETTINGS>;

function isOrigin(given: string): boolean {
  return given === '*' || (URL.canParse(given) && new URL(given).origin === given);
}
