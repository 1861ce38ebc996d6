import type { Source } from '../seams/source.js';
import { placeOf } from '../seams/source-kind.js';
import { invalid } from '../settings/setting-error.js';

/**
 * Whether a source asks for a key: as its setting `key` says, otherwise if nothing else shows who sends.
 *
 * @param hasKeys whether the server has a keys file
 * @throws ForebayError `SETTING_INVALID` if the source needs keys that the server does not have, or does not ask for
 */
export function asksForKey(source: Source, hasKeys: boolean): boolean {
  const { name, keyRule = null, keyMember = null } = source;
  if (keyRule === 'required' && !hasKeys)
    throw invalid(`"key" of ${placeOf(name)} is required, so the server needs --keys-file`);
  const asks = hasKeys && (keyRule === null ? source.verify === undefined : keyRule === 'required');
  if (keyMember !== null && !asks)
    throw invalid(`"key-member" of ${placeOf(name)} needs a source that asks for a key (--keys-file)`);
  return asks;
}

/** Whether anyone may send to a source: it asks neither for a key nor for a signature. */
export function isOpen(source: Source, hasKeys: boolean): boolean {
  return !asksForKey(source, hasKeys) && source.verify === undefined;
}
