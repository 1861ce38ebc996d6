import { ForebayError } from '../base/errors.js';
import type { EventIds } from '../event/event-ids.js';
import type { Forebay } from '../forebay.js';
import type { KeyHolder } from '../keys/keys.js';
import type { RequestHead, Source } from '../seams/source.js';

/** Its events are stored whether or not their ids are known, and their ids are not remembered: dead letters that are sent again. */
const PASS = 'forebay-id-window';
/** A string as of RFC 8941, or the same without quotes, as most senders write it. */
const KEY = /^(?:"((?:[ !#-[\]-~]|\\["\\]){1,255})"|([!#-+\--~]{1,255}))$/;

/**
 * Makes the ids of requests with this head; they are `null` if the source has no window.
 *
 * @throws ForebayError `IDEMPOTENCY_KEY`
 */
export function idsOfRequests(
  forebay: Pick<Forebay, 'idRules' | 'idsFor'>,
  { name }: Source,
  head: RequestHead,
): (holder: KeyHolder | null) => EventIds | null {
  if (!forebay.idRules.some(({ source }) => source === name)) return () => null;
  if (head.header(PASS)?.trim() === 'pass') return () => null;
  const key = keyOf(head);
  return (holder) => forebay.idsFor(name, holder?.name ?? null, key);
}

/** The `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header); `null`: there is none. */
function keyOf(head: RequestHead): string | null {
  const given = head.header('idempotency-key');
  if (given === undefined) return null;
  const [, quoted, bare] = KEY.exec(given.trim()) ?? [];
  const key = quoted?.replaceAll(/\\(.)/g, '$1') ?? bare;
  if (key === undefined) throw new ForebayError('IDEMPOTENCY_KEY');
  return key;
}
