import { invalid } from './setting-error.js';
import { folded, nearest } from './nearest.js';

/** Settings of earlier versions, and their replacements. */
const REMOVED: Readonly<Record<string, string>> = {
  'sink-file-rotate-bytes': 'let logrotate rotate the file',
  'sink-file-rotate-after': 'let logrotate rotate the file',
  'sink-file-gzip': 'let logrotate rotate and compress the file',
  'sink-concurrency-max': 'give --sink-concurrency a number',
  'allowed-origins': 'use --cors-origin',
};

/**
 * The error for a setting that does not exist.
 *
 * @param kind the kind of setting, such as `flag`
 * @param given as the user wrote it
 * @param names the existing settings
 * @param shown returns a name as the user would write it
 */
export function unknown(
  kind: string,
  given: string,
  names: readonly string[],
  shown: (name: string) => string = (name) => name,
  place = '',
): Error {
  const what = `Unknown ${kind} ${given}${place}`;
  const name = given.replace(/^["']|["']$/g, '').replace(/^(?:FOREBAY_|-+(?:no-)?)/, '');
  const removed = Object.keys(REMOVED).find((each) => folded(each) === folded(name));
  if (removed !== undefined) return invalid(`${what}: it was removed; ${REMOVED[removed]}`);
  const like = nearest(name, names);
  return invalid(like === null ? what : `${what}: did you mean ${shown(like)}?`);
}
