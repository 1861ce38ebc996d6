import type { KeyObject } from 'node:crypto';
import { placeOf } from '../../seams/source-kind.js';
import { CheckError, headerName, oneOf, optional } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import { invalid } from '../../settings/setting-error.js';
import { isHmac, textKey } from './hmac.js';
import type { Algorithm, Encoding } from './hmac.js';
import type { Scheme } from './verification.js';

/** How a sender signs with an HMAC in a header. */
export interface HmacDefaults {
  readonly header?: string;
  readonly algorithm?: Algorithm;
  readonly encoding?: Encoding;
  readonly prefix?: string;
  readonly signed?: string;
  readonly timestampHeader?: string;
}

/** What is signed, one after the other: a fixed text, or the value of a request. */
type Part = Buffer | 'body' | 'timestamp';

export function hmacSettings(defaults: HmacDefaults = {}) {
  return {
    signatureHeader: {
      flag: 'signature-header',
      initial: defaults.header ?? 'x-signature',
      unit: 'NAME',
      help: 'the header with the signature, or several with commas between',
      check: headerName,
    },
    algorithm: {
      flag: 'algorithm',
      initial: defaults.algorithm ?? 'sha256',
      unit: 'sha1|sha256|sha512',
      help: 'the hash of the HMAC',
      check: oneOf('sha1', 'sha256', 'sha512'),
    },
    encoding: {
      flag: 'encoding',
      initial: defaults.encoding ?? 'hex',
      unit: 'hex|base64|base64url',
      help: 'how the signature is written; hex in small letters, base64 padded, base64url not',
      check: oneOf('hex', 'base64', 'base64url'),
    },
    prefix: {
      flag: 'prefix',
      initial: defaults.prefix ?? '',
      unit: 'TEXT',
      help: 'what is in front of each signature',
      check: String,
    },
    signed: {
      flag: 'signed',
      initial: defaults.signed ?? '{body}',
      unit: 'PATTERN',
      help: 'what is signed: {body}, and if wanted {timestamp} and other text around',
      check: partsOf,
    },
    timestampHeader: {
      flag: 'timestamp-header',
      initial: defaults.timestampHeader ?? null,
      unit: 'NAME',
      help: 'the header with {timestamp}: seconds or milliseconds since 1970, or RFC 3339',
      check: optional(headerName),
    },
  } as const satisfies OptionTable;
}

/** @throws ForebayError `SETTING_INVALID` if the settings do not go together */
export function hmacScheme(name: string, values: Values<ReturnType<typeof hmacSettings>>): Scheme<KeyObject> {
  const { signatureHeader, algorithm, encoding, prefix, signed, timestampHeader } = values;
  if (signed.includes('timestamp') !== (timestampHeader !== null))
    throw invalid(`"timestamp-header" and {timestamp} in "signed" of ${placeOf(name)} need each other`);
  return {
    keyOf: textKey,
    isSigned: (head, body, keys, isNow) => {
      const timestamp = timestampHeader === null ? null : (head.header(timestampHeader) ?? '');
      if (timestamp !== null && !isNow(timestamp)) return false;
      const signatures = (head.header(signatureHeader) ?? '').split(',').map((each) => each.trim());
      const fitting = signatures.filter((each) => each.startsWith(prefix));
      const parts = signed.map((part) =>
        part === 'body' ? body : part === 'timestamp' ? Buffer.from(timestamp ?? '', 'latin1') : part,
      );
      return isHmac(
        algorithm,
        encoding,
        keys,
        parts,
        fitting.map((each) => each.slice(prefix.length)),
      );
    },
  };
}

function partsOf(given: unknown): readonly Part[] {
  const texts = String(given).split(/(\{body\}|\{timestamp\})/);
  const timesOf = (part: string): number => texts.filter((each) => each === part).length;
  if (timesOf('{body}') !== 1 || timesOf('{timestamp}') > 1)
    throw new CheckError('must have {body} once, and {timestamp} at most once');
  return texts
    .filter((each) => each !== '')
    .map((each) => (each === '{body}' ? 'body' : each === '{timestamp}' ? 'timestamp' : Buffer.from(each)));
}
