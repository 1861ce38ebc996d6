import { readFileSync } from 'node:fs';
import { asError } from '../base/errors.js';
import { jsonErrorPosition, stringEnd } from '../base/json-position.js';
import { invalid } from './setting-error.js';

/**
 * Reads the object in the file of `--config`.
 *
 * @throws ForebayError `SETTING_INVALID`, which quotes no value: it may be a secret
 */
export function readSettingsFile(path: string): object {
  let json: string;
  try {
    json = readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(`The file ${path} (--config) cannot be read: ${asError(error).message}`);
  }
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch {
    // the system's message would quote the text, which may hold a secret
    const line = json.slice(0, jsonErrorPosition(json) ?? 0).split('\n').length;
    throw invalid(`The file ${path} (--config) is not valid JSON (line ${line})`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalid(`The file ${path} (--config) must hold a JSON object`);
  }
  const twice = doubledKey(json);
  if (twice !== null) {
    throw invalid(`The file ${path} (--config) has the key ${JSON.stringify(twice)} twice in one object`);
  }
  return content;
}

/**
 * The first key that occurs twice in an object of a JSON text; `null` if there is none. `JSON.parse` keeps the last
 * one.
 */
export function doubledKey(json: string): string | null {
  /** The keys of each open object, and an empty set for each open array. */
  const open: Set<unknown>[] = [];
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === '{' || char === '[') open.push(new Set());
    else if (char === '}' || char === ']') open.pop();
    else if (char === '"') {
      const end = stringEnd(json, at);
      if (/^\s*:/.test(json.slice(end))) {
        const key: unknown = JSON.parse(json.slice(at, end));
        const keys = open.at(-1);
        if (keys?.has(key) === true) return String(key);
        keys?.add(key);
      }
      at = end - 1;
    }
  }
  return null;
}
