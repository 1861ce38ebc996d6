import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import split2 from 'split2';
import { asError } from '../../lib/base/errors.js';

/** An event on its way to the server. */
export interface OutgoingEvent {
  /** Its bytes. Generated events are built on demand, so that waiting events take no memory. */
  readonly body: () => Buffer;
  /** Its id; `null`: the body holds none. */
  readonly id: () => string | null;
}

/** The longest event, from a file or generated, in bytes. No server takes one near this size. */
export const EVENT_BYTES_MAX = 16 * 2 ** 20;
const MESSAGE = 'Test event';
/** No run reaches 12 digits. */
const SEQUENCE_MAX = 999_999_999_999;

/**
 * Generated events: `{"id":"PREFIX-WORKER-SEQUENCE","type":"test",…}`, with the sequence from 0.
 *
 * @param bytes the length of each: its message is cut or padded; `null`: its natural length
 */
export function* madeUpEvents(
  prefix: string,
  worker: number,
  count: number,
  bytes: number | null = null,
): Generator<OutgoingEvent> {
  for (let sequence = 0; sequence < count; sequence += 1) {
    const id = `${prefix}-${worker}-${sequence}`;
    const withMessage = (message: string): Buffer => {
      const data = { message, worker_id: worker, sequence };
      return Buffer.from(JSON.stringify({ id, type: 'test', data, timestamp: Date.now() }));
    };
    const body = (): Buffer => {
      if (bytes === null) return withMessage(MESSAGE);
      const length = bytes - withMessage('').length;
      return withMessage(MESSAGE.slice(0, length).padEnd(length, 'x'));
    };
    yield { body, id: () => id };
  }
}

/** The smallest length that all generated events of some workers can have, in bytes. */
export function madeUpBytesMin(prefix: string, workers: number): number {
  const [longest] = madeUpEvents(prefix, workers - 1, 1);
  const own = (longest?.body().length ?? 0) - MESSAGE.length;
  return own + 2 * (String(SEQUENCE_MAX).length - 1); // the sequence occurs twice in it
}

/**
 * The lines of a stream, byte for byte, without empty ones. A line that is not an event is sent too: the server
 * judges it. Reads ahead at most as far as the buffers of the streams. Throws when the signal is aborted, and at a
 * line longer than `EVENT_BYTES_MAX`.
 */
export async function* linesOf(source: Readable, signal: AbortSignal): AsyncGenerator<OutgoingEvent> {
  // latin1 maps each byte to one character and back; UTF-8 would lose invalid bytes
  const lines = source.setEncoding('latin1').pipe(split2('\n', lineOf, { maxLength: EVENT_BYTES_MAX }));
  lines.on('error', () => {}); // the loop below throws it, unless it is not waiting for a line
  try {
    for await (const line of addAbortSignal(signal, lines) as AsyncIterable<string>) {
      const body = Buffer.from(line, 'latin1');
      yield { body: () => body, id: () => idOf(body) };
    }
  } catch (error) {
    if (asError(error).message !== 'maximum buffer reached') throw error;
    throw new Error('A line is longer than 16 MiB: nothing was sent from there on', { cause: error });
  }
}

/** Events in groups of a size. The last group may be smaller; it is also returned if the source fails. */
export async function* inGroups(
  source: Iterable<OutgoingEvent> | AsyncIterable<OutgoingEvent>,
  size: number,
): AsyncGenerator<readonly OutgoingEvent[]> {
  let group: OutgoingEvent[] = [];
  try {
    for await (const event of source) {
      group.push(event);
      if (group.length < size) continue;
      yield group;
      group = [];
    }
  } catch (error) {
    if (group.length > 0) yield group;
    throw error;
  }
  if (group.length > 0) yield group;
}

/** A line without its line break, which may be that of Windows; `undefined`: the line is empty. */
function lineOf(line: string): string | undefined {
  return line.trim() === '' ? undefined : line.replace(/\r$/, '');
}

function idOf(body: Buffer): string | null {
  try {
    const event: unknown = JSON.parse(body.toString());
    const id = typeof event === 'object' && event !== null && 'id' in event ? event.id : null;
    return typeof id === 'string' ? id : null;
  } catch {
    return null;
  }
}
