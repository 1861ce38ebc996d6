import { hostname, networkInterfaces } from 'node:os';

const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|::1)$/;
/** Addresses that mean all of this machine's. */
const ANY = new Set(['0.0.0.0', '::']);

/** Where the server listens. */
interface Door {
  readonly host: string;
  /** 0: on one that is free. */
  readonly port: number;
  readonly isTls: boolean;
}

/**
 * Whether a URL is of this server itself, as far as the settings and this machine show: each event would come in again for
 * ever. What other names lead here is not looked up.
 */
export function isOwnDoor(url: URL, { host, port, isTls }: Door): boolean {
  const [protocol, usual] = isTls ? ['https:', 443] : ['http:', 80];
  if (url.protocol !== protocol || Number(url.port || usual) !== port) return false;
  const [there, here] = [plain(url.hostname), plain(host)];
  if (there === here) return true;
  if (ANY.has(here)) return ANY.has(there) || LOOPBACK.test(there) || namesHere().has(there);
  // a name of loopback is each of its addresses; to ask for "any" is to ask loopback
  const isName = [there, here].some((each) => each.endsWith('localhost'));
  return LOOPBACK.test(here) && (ANY.has(there) || (isName && LOOPBACK.test(there)));
}

function plain(host: string): string {
  return host.toLowerCase().replaceAll(/^\[|\]$|\.$/g, '');
}

function namesHere(): ReadonlySet<string> {
  const addresses = Object.values(networkInterfaces()).flatMap((each = []) =>
    each.map(({ address }) => address),
  );
  return new Set([hostname().toLowerCase(), ...addresses]);
}
