import type { Source } from '../seams/source.js';
import { placeOf } from '../seams/source-kind.js';
import { invalid } from '../settings/setting-error.js';

/**
 * Whether a source asks for a key: as its setting `key` says, otherwise if nothing else shows who sends.
 *
 * @param hasKeys whether the server has a keys file
 * @throws ForebayError `SETTING_INVALID` if the source must ask for keys that the server does not have
 */
export function asksForKey(source: Source, hasKeys: boolean): boolean {
  const { name, keyRule = null } = source;
  if (keyRule === 'required' && !hasKeys)
    throw invalid(`"key" of ${placeOf(name)} is required, so the server needs --keys-file`);
  return hasKeys && (keyRule === null ? source.verify === undefined : keyRule === 'required');
}

/** Whether anyone may send to a source: it asks neither for a key nor for a signature. */
export function isOpen(source: Source, hasKeys: boolean): boolean {
  return !asksForKey(source, hasKeys) && source.verify === undefined;
}
