import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import split2 from 'split2';
import { asError } from '../errors.js';

/** An event on its way to the server. */
export interface OutgoingEvent {
  readonly body: string | Buffer;
  /** Its id; `null` where the body holds none. */
  readonly id: () => string | null;
}

/** The longest line of a file, in bytes; no server takes an event near this size. */
const LINE_BYTES_MAX = 16 * 2 ** 20;

/** Made-up events: `{"id":"PREFIX-WORKER-SEQUENCE","type":"test",…}`, with the sequence from 0. */
export function* madeUpEvents(prefix: string, worker: number, count: number): Generator<OutgoingEvent> {
  for (let sequence = 0; sequence < count; sequence += 1) {
    const id = `${prefix}-${worker}-${sequence}`;
    const data = { message: 'Test event', worker_id: worker, sequence };
    yield { body: JSON.stringify({ id, type: 'test', data, timestamp: Date.now() }), id: () => id };
  }
}

/**
 * The lines of a stream, byte for byte, without the empty ones. A line that is no event goes out too: the server
 * judges it. No more is read ahead than the streams' own buffers hold. Ends with an error when the signal is
 * aborted, and at a line longer than `LINE_BYTES_MAX`.
 */
export async function* linesOf(source: Readable, signal: AbortSignal): AsyncGenerator<OutgoingEvent> {
  // as latin1 each byte is one character and comes back as the same byte; as UTF-8 invalid bytes would not
  const lines = source.setEncoding('latin1').pipe(split2('\n', lineOf, { maxLength: LINE_BYTES_MAX }));
  lines.on('error', () => {}); // the loop below throws it, except while it is not waiting for a line
  try {
    for await (const line of addAbortSignal(signal, lines) as AsyncIterable<string>) {
      const body = Buffer.from(line, 'latin1');
      yield { body, id: () => idOf(body) };
    }
  } catch (error) {
    if (asError(error).message !== 'maximum buffer reached') throw error;
    throw new Error('A line is longer than 16 MiB: nothing was sent from there on', { cause: error });
  }
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
