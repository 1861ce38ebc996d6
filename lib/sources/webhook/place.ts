import type { RequestHead } from '../../seams/source.js';
import { CheckError } from '../../settings/checks.js';
import type { Body } from './body.js';
import { pointerTokens, valueAt } from './json-pointer.js';

/** Where a value may be in a request: in a header, or where a JSON pointer leads to in the body. */
export type Place = { readonly header: string } | { readonly tokens: readonly string[] };

const HEADER = /^header:([!#$%&'*+\-.^_`|~\dA-Za-z]+)$/;

/** Checks a list of places. */
export function places(given: unknown): readonly Place[] {
  const texts = Array.isArray(given) ? (given as unknown[]) : String(given).split(',');
  return texts
    .map((text) => String(text).trim())
    .filter((text) => text !== '')
    .map((text) => {
      const [, header] = HEADER.exec(text) ?? [];
      if (header !== undefined) return { header: header.toLowerCase() };
      const tokens = pointerTokens(text);
      if (tokens !== null) return { tokens };
      throw new CheckError('must be header:NAME or a JSON pointer like /data/id, or a list of these');
    });
}

/** The places for requests with this head: the texts of their headers, and what must be looked up in each body. */
export function inHead(
  all: readonly Place[],
  head: RequestHead,
): readonly (string | { readonly tokens: readonly string[] })[] {
  return all.map((place) => ('tokens' in place ? place : (head.header(place.header) ?? '')));
}

/**
 * The first text that is found and not empty. A number, `true` or `false` is its JSON text; `null`, an object and an
 * array are not found.
 */
export function firstText(found: ReturnType<typeof inHead>, body: Body): string | undefined {
  for (const each of found) {
    const text = typeof each === 'string' ? each : scalarAt(body, each.tokens);
    if (text !== '') return text;
  }
  return undefined;
}

/** Empty if there is none. */
export function scalarAt({ json }: Body, tokens: readonly string[]): string {
  const value = (json === null ? undefined : valueAt(json, tokens)) ?? '';
  if (value.startsWith('"')) return String(JSON.parse(value));
  return /^(?:[[{]|null$)/.test(value) ? '' : value;
}
