import { EventBlock } from './event-block.js';
import { contentOfText } from './event-ids.js';
import type { EventIds } from './event-ids.js';
import { eventLine, eventText, idOfLine } from './event.js';

/**
 * The block of one event that a program passes as an object or as text.
 *
 * @param ids gets its id
 * @throws ForebayError as `eventText` and `eventLine`
 */
export function blockOf(event: unknown, depthMax: number, ids: EventIds | null): EventBlock {
  const text = eventText(event);
  const line = eventLine(text, Date.now(), depthMax);
  const block = EventBlock.of(line);
  ids?.addText(idOfLine(line).id, contentOfText(text));
  block.ids = ids;
  return block;
}
