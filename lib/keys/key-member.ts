import { ForebayError } from '../base/errors.js';
import { EventBlock } from '../event/event-block.js';

const CLOSING_BRACE = 0x7d;

/**
 * The same events, each with a member at its end that says whose key it came with.
 *
 * @param name of the key; it needs no escapes
 * @throws ForebayError `EVENT_FIELD` if an event brings such a member: a sink could not see whose it is
 */
export function withKeyMember(block: EventBlock, member: string, name: string): EventBlock {
  const marked = new EventBlock();
  const end = Buffer.from(`,"${member}":"${name}"}`);
  const { length } = block;
  for (let index = 0; index < length; index++) {
    const line = block.lineOf(index);
    const event = JSON.parse(line.toString()) as object;
    if (Object.hasOwn(event, member)) {
      const place = length === 1 ? 'The event' : `Event ${index}`;
      const message = `${place} must not have a member "${member}": it gets the name of the key there ("key-member")`;
      throw new ForebayError('EVENT_FIELD', { field: member, message });
    }
    marked.addBytes(line.subarray(0, line.lastIndexOf(CLOSING_BRACE)), end);
  }
  marked.ids = block.ids;
  marked.context = block.context;
  marked.ids?.dropLines();
  return marked;
}
