import { isIP } from 'node:net';
import { isAbsolute, normalize } from 'node:path';

/** Turns a given value (text from a flag or variable, any JSON value) into the value of a setting, or throws. */
export type Check<T> = (given: unknown) => T;

/** A value does not fit its setting. The message says what fits: `must be …`. */
export class CheckError extends Error {
  /** Whether the error must not show the value: it may be a secret. */
  readonly isSecret: boolean;

  constructor(message: string, isSecret = false) {
    super(message);
    this.isSecret = isSecret;
  }
}

export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): Check<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (given) => {
    const value = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most)
      return value;
    throw new CheckError(`must be a whole number ${range}`);
  };
}

/** `setTimeout` takes 31 bits: a longer wait would end at once. */
const MILLISECONDS_MAX = 2 ** 31 - 1;

const TIME_UNITS = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A number of milliseconds, or one with a unit: `15min`. */
export function milliseconds(least: number): Check<number> {
  return (given) => {
    const value = spanMs(String(given));
    if (value >= least && value <= MILLISECONDS_MAX) return value;
    const range = `from ${least} to ${MILLISECONDS_MAX}`;
    throw new CheckError(`must be a whole number of milliseconds ${range}, or a time like 30s, 15min, 1h`);
  };
}

/** A span of time like `30s` in milliseconds; `NaN` if it is none. Without a unit it is milliseconds. */
export function spanMs(given: string): number {
  const parts = /^(\d+)(ms|s|m|min|h|d)?$/.exec(given);
  return parts === null ? NaN : Number(parts[1]) * TIME_UNITS[(parts[2] ?? 'ms') as keyof typeof TIME_UNITS];
}

/** A moment, and how it was given. */
export interface Moment {
  readonly text: string;
  /** In milliseconds since 1970. */
  readonly ms: number;
}

const MOMENT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** A date and time with its zone, a date (its start in UTC), or a span of time before now: `2h`. */
export const moment: Check<Moment> = (given) => {
  const said = String(given);
  const span = /^-?(\d+[a-z]+)$/.exec(said)?.[1] ?? '';
  const ms = MOMENT.test(said) ? Date.parse(said) : Date.now() - spanMs(span);
  if (!Number.isNaN(ms)) return { text: said, ms };
  throw new CheckError(
    'must be a time like 2026-11-01T08:00:00Z, a date like 2026-11-01, or 2h for 2 hours ago',
  );
};

const ID_WINDOW_DAYS_MAX = 366;

/** A window for ids; 0: none. It may be longer than a timer. */
export const idWindow: Check<number> = (given) => {
  const ms = spanMs(String(given));
  if (ms === 0 || (ms >= 1000 && ms <= ID_WINDOW_DAYS_MAX * 86_400_000)) return ms;
  throw new CheckError(
    `must be a time like 30min, 24h or 7d, from 1s to ${ID_WINDOW_DAYS_MAX}d, or 0 for none`,
  );
};

const RETENTION_DAYS_MAX = 3660;

/** How long something is kept. It may be longer than a timer. */
export const retention: Check<number> = (given) => {
  const ms = spanMs(String(given));
  if (ms >= 1000 && ms <= RETENTION_DAYS_MAX * 86_400_000) return ms;
  throw new CheckError(`must be a time like 30min, 24h or 7d, from 1s to ${RETENTION_DAYS_MAX}d`);
};

const UNITS = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** A number of bytes, or one with a unit: `64MiB`. */
export function bytes(least: number, most: number = Number.MAX_SAFE_INTEGER): Check<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (given) => {
    const parts = /^(\d+)\s*(B|KiB|MiB|GiB)?$/.exec(String(given));
    const value = parts === null ? NaN : Number(parts[1]) * UNITS[(parts[2] ?? 'B') as keyof typeof UNITS];
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    throw new CheckError(`must be a number of bytes ${range}, like 65536 or 64KiB, MiB, GiB`);
  };
}

export function ratio(given: unknown): number {
  const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw new CheckError('must be a number from 0 to 1');
}

/** A part of something that is not nothing. */
export function share(given: unknown): number {
  const value = ratio(given);
  if (value > 0) return value;
  throw new CheckError('must be a number above 0, up to 1');
}

export function text(given: unknown): string {
  if (typeof given === 'string' && given !== '') return given;
  throw new CheckError('must be a text that is not empty');
}

/**
 * A path, absolute or starting with `./`, as it is shown. `a/..` is removed: if `a` is a symbolic link, the system
 * and `join` would resolve it differently.
 */
export function directory(given: unknown): string {
  const path = normalize(text(given));
  return isAbsolute(path) || /^\.\.?(?:[/\\]|$)/.test(path) ? path : `./${path}`;
}

/** Directories: one, or an array of them; `null`: none. */
export function directories(given: unknown): readonly string[] {
  if (given === null) return [];
  return (Array.isArray(given) ? (given as unknown[]) : [given]).map(directory);
}

/** A list of texts: separated by commas, or an array. */
export function listOf(what: string, isOne: (text: string) => boolean): Check<readonly string[]> {
  return (given) => {
    const texts = Array.isArray(given) ? (given as unknown[]) : String(given).split(',');
    const list = texts.map((each) => String(each).trim()).filter((each) => each !== '');
    if (list.every(isOne)) return list;
    throw new CheckError(`must be ${what}, or several with commas between`);
  };
}

/** The name of an HTTP header, in lower case. */
export function headerName(given: unknown): string {
  if (isHeaderName(given)) return given.toLowerCase();
  throw new CheckError('must be the name of a header');
}

export function isHeaderName(given: unknown): given is string {
  return typeof given === 'string' && /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(given);
}

/** An IP address, or a network of them: `10.0.0.0/8`. */
export function isNetwork(given: string): boolean {
  const [address = '', bits = '0', ...rest] = given.split('/');
  const version = isIP(address);
  return (
    version > 0 && rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)
  );
}

/** An HTTP or HTTPS URL. */
export function httpUrl(given: unknown): URL {
  if (typeof given === 'string') checkOneHost(given);
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : null;
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new CheckError('must be a URL like https://host/path', true);
}

/** A URL with several hosts, as libpq accepts, would pass for one strange name and be looked up for ever. */
export function checkOneHost(url: string, otherHosts: readonly string[] = []): void {
  const authority = /^\w+:\/\/([^/?#]*)/.exec(url)?.[1] ?? '';
  const hosts = [authority.slice(authority.lastIndexOf('@') + 1), ...otherHosts];
  if (hosts.some((host) => host.includes(',') && !host.startsWith('/')))
    throw new CheckError('must name one host, not several', true);
}

export function oneOf<const T extends string>(...choices: T[]): Check<T> {
  return (given) => {
    const choice = choices.find((each) => each === given);
    if (choice !== undefined) return choice;
    throw new CheckError(`must be one of ${choices.join(', ')}`);
  };
}

/** A setting that is on or off. Its flag has no value: `--sink-gzip` or `--no-sink-gzip`. */
export function onOff(given: unknown): boolean {
  if (given === true || given === 'true') return true;
  if (given === false || given === 'false') return false;
  throw new CheckError('must be true or false');
}

/** A setting that may be left out. */
export function optional<T>(check: Check<T>): Check<T | null> {
  return (given) => (given === null ? null : check(given));
}
