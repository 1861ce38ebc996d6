import { checkObject, lineOf, parseJson, timestampEnd } from '../../event/event.js';
import { checkAttributes, checkData } from './attributes.js';

/** Every event in the log has `data`: see decision 65. */
export const NO_DATA = ',"data":null';

/**
 * The line of a CloudEvent in the JSON format: the client's own text, with `"data":null` if it has no `data`, and a
 * `timestamp` if it has none.
 *
 * @param text one event as JSON
 * @param arrivedMs the time of arrival, in milliseconds since 1970
 * @param depthMax how deep it may be nested
 * @throws ForebayError `EVENT_NOT_JSON` with `position`, `EVENT_TOO_DEEP`, `EVENT_NOT_OBJECT`, `EVENT_FIELD` with `field`
 */
export function structuredLine(text: string, arrivedMs: number, depthMax: number): string {
  const event = parseJson(text, depthMax);
  checkObject(event);
  checkAttributes(event);
  checkData(event);
  const data = event['data'] === undefined ? NO_DATA : '';
  return lineOf(text, data + (event['timestamp'] === undefined ? timestampEnd(arrivedMs) : '}'));
}

/** A CloudEvent is identified by its `source` and its `id` (CloudEvents 1.0.2, "id"). @param line of an event, which is good */
export function structuredId(line: string): { readonly id: string; readonly origin: string } {
  const { id, source } = JSON.parse(line) as { readonly id: string; readonly source: string };
  return { id, origin: source };
}
