import { readFileSync } from 'node:fs';
import { asError } from '../base/errors.js';
import type { LogPlaceSettings } from './log-settings.js';
import { invalid } from './setting-error.js';

/** What the files have that settings of the replicated log name; `null`: none is named. */
export interface LogFiles {
  readonly creds: Buffer | null;
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/** @throws ForebayError `SETTING_INVALID`, which names the flag */
export function readLogFiles({ logCreds, logTlsCa, logTlsCert, logTlsKey }: LogPlaceSettings): LogFiles {
  return {
    creds: read('log-creds', logCreds),
    ca: read('log-tls-ca', logTlsCa)?.toString('utf8') ?? null,
    cert: read('log-tls-cert', logTlsCert)?.toString('utf8') ?? null,
    key: read('log-tls-key', logTlsKey)?.toString('utf8') ?? null,
  };
}

function read(flag: string, path: string | null): Buffer | null {
  if (path === null) return null;
  try {
    return readFileSync(path);
  } catch (error) {
    throw invalid(`--${flag} cannot be read: ${asError(error).message}`);
  }
}
