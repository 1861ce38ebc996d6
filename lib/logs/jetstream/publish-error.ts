import { errors } from '@nats-io/nats-core';

/** What is known of a message after an attempt to store it failed. */
export type Fate =
  /** The stream has no room. It is not stored. */
  | 'full'
  /** Something else is stored under one of its ids, or about to be. This attempt has not stored it. */
  | 'known'
  /** Nobody took it: no leader, or a server out of resources. It is not stored. */
  | 'refused'
  /** It may be stored. */
  | 'doubtful';

/** The error in the answer of a server. */
export interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

/** The store failed, or the stream is full: only the description tells (`server/errors.json` of the servers). */
const STORE_FAILED = 10077;
/** A message with the same id is being stored. */
const SAME_ID_UNDER_WAY = 10158;
/** A message is stored under a subject where there was to be none, or is being stored. */
const SUBJECT_TAKEN = new Set([10071, 10164]);
const FULL = /maximum (?:bytes|messages) exceeded/;

/** The servers answered with an error. */
export function fateOfAnswer({ err_code: code, description = '' }: ApiError): Fate {
  if (code === STORE_FAILED) return FULL.test(description) ? 'full' : 'doubtful';
  if (SUBJECT_TAKEN.has(code ?? 0)) return 'known';
  return code === SAME_ID_UNDER_WAY ? 'doubtful' : 'refused';
}

/** There was no answer. If nobody listens at the subject of the stream, nobody has the message. */
export function fateOfSilence(error: unknown): Fate {
  const isUnheard = error instanceof errors.RequestError && error.isNoResponders();
  return isUnheard || error instanceof errors.NoRespondersError ? 'refused' : 'doubtful';
}
