import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import split2 from 'split2';
import { asError } from '../../lib/base/errors.js';

/** An event on its way to the server. */
export interface OutgoingEvent {
  /** Its bytes. Made-up ones are made when asked for: those that wait for a place take no memory. */
  readonly body: () => Buffer;
  /** Its id; `null` where the body holds none. */
  readonly id: () => string | null;
}

/** The longest event, of a file or made up, in bytes; no server takes one near this size. */
export const EVENT_BYTES_MAX = 16 * 2 ** 20;
const MESSAGE = 'Test event';
/** No run gets so far: 12 digits. */
const SEQUENCE_MAX = 999_999_999_999;

/**
 * Made-up events: `{"id":"PREFIX-WORKER-SEQUENCE","type":"test",…}`, with the sequence from 0.
 *
 * @param bytes how long each is: its message is cut or filled up; `null`: as long as it comes
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

/** The least length that made-up events of some workers can all have, in bytes. */
export function madeUpBytesMin(prefix: string, workers: number): number {
  const [longest] = madeUpEvents(prefix, workers - 1, 1);
  const own = (longest?.body().length ?? 0) - MESSAGE.length;
  return own + 2 * (String(SEQUENCE_MAX).length - 1); // the sequence stands in it twice
}

/**
 * The lines of a stream, byte for byte, without the empty ones. A line that is no event goes out too: the server
 * judges it. No more is read ahead than the streams' own buffers hold. Ends with an error when the signal is
 * aborted, and at a line longer than `EVENT_BYTES_MAX`.
 */
export async function* linesOf(source: Readable, signal: AbortSignal): AsyncGenerator<OutgoingEvent> {
  // as latin1 each byte is one character and comes back as the same byte; as UTF-8 invalid bytes would not
  const lines = source.setEncoding('latin1').pipe(split2('\n', lineOf, { maxLength: EVENT_BYTES_MAX }));
  lines.on('error', () => {}); // the loop below throws it, except while it is not waiting for a line
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

/** Events in groups of a size; the last may hold fewer. What there is goes out also where the source fails. */
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

/** A line without its line break, which may be that of Windows; `undefined`: an empty one. */
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
