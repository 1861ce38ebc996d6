import { count } from '../../../lib/base/words.js';
import { eventsIn } from '../../../lib/logs/jetstream/stream-names.js';
import type { RestingMessage, RestingStreams } from '../../../lib/logs/jetstream/resting-streams.js';
import { placeText } from '../damaged-lines.js';
import { EXIT } from '../exit-code.js';
import type { ExitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { inspectMessage } from './message-inspection.js';

interface Found {
  messages: number;
  events: number;
  bytes: number;
  damagedMessages: number;
  damagedLines: number;
}

/**
 * Reads every message of the events, and reports each damage with its place. What is delivered meanwhile is not read.
 *
 * @throws ForebayError `LOG_SERVERS`, `LOG_UNUSABLE`
 */
export async function verifyStream(streams: RestingStreams, output: Output): Promise<ExitCode> {
  const { events, quarantine } = streams.names;
  const found: Found = { messages: 0, events: 0, bytes: 0, damagedMessages: 0, damagedLines: 0 };
  for await (const message of streams.messages(events)) {
    if (output.closed) break;
    const lines = await look(message, found);
    for (const line of lines) await output.write(`${events}: message ${message.seq}, ${line}\n`);
  }
  const aside = await streams.count(quarantine);
  const set = aside === 0 ? '' : `${count(aside, 'message')} in ${quarantine}: damage that was set aside\n`;
  await output.write(`${summary(found)}\n${set}`);
  return found.damagedMessages === 0 ? EXIT.sound : EXIT.damaged;
}

/** Counts the lines of a message, and describes its damage. */
async function look(message: RestingMessage, found: Found): Promise<string[]> {
  const { inspection, isPartial } = await inspectMessage(message);
  const { bytes, events, damaged, breakLost } = inspection;
  const stored = eventsIn(message.subject);
  const texts = damaged.texts;
  if (isPartial) texts.unshift('its compressed lines are damaged: what follows is of those that can be read');
  if (breakLost !== null)
    texts.push(`${placeText(breakLost)}: the last line break is lost; the event before it is sound`);
  // two lines may have become one
  if (events + damaged.count !== stored)
    texts.push(
      `${count(events, 'sound event')} and ${count(damaged.count, 'damaged line')}, of ${count(stored, 'event')}`,
    );
  found.messages++;
  found.events += events;
  found.bytes += bytes;
  found.damagedLines += damaged.count;
  if (texts.length > 0) found.damagedMessages++;
  return texts;
}

function summary({ messages, events, bytes, damagedMessages, damagedLines }: Found): string {
  const said =
    damagedMessages === 0
      ? 'all are sound'
      : `${count(damagedMessages, 'message is', 'messages are')} damaged (${count(damagedLines, 'line')})`;
  return `Read ${count(messages, 'message')} with ${count(events, 'sound event')}, ${count(bytes, 'byte')}: ${said}`;
}
