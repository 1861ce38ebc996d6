import { asError, systemCode } from '../errors.js';
import type { Batch } from '../append-log/batch.js';
import { SinkError } from '../sinks/sink-error.js';

/**
 * A sink may quote events in its errors, and events do not belong into log lines (decision 29): a word of the sink's
 * that stands in an event of the batch is shown as `…`. The dead letters, which have the events anyway, keep it.
 */

/** Words, also such as `evt-1` and `a@example.com`; shorter ones say nothing. */
const WORD = /[\p{L}\p{N}]+(?:[_@.+-]+[\p{L}\p{N}]+)*/gu;
const PART = /[\p{L}\p{N}]+/gu;
const WORD_LENGTH_MIN = 3;
/** A word that is shorter must stand alone in the event: each number is a part of some timestamp. */
const PART_LENGTH_MIN = 6;
/** So much of what the sink says is shown, in characters: each word of it is looked for in the whole batch. */
const TEXT_LENGTH_MAX = 500;
/** Forebay's own words, and the members that every event has. */
const PLAIN = new Set(
  'the sink answered answer error status within times events were refused type data timestamp true false null'.split(
    ' ',
  ),
);

/** What the sink said of a batch, without what it quotes of its events. */
export function withoutEvents(text: string, { bytes }: Pick<Batch, 'bytes'>, status: unknown = null): string {
  const quoted = (word: string): boolean =>
    word.length >= WORD_LENGTH_MIN &&
    !PLAIN.has(word.toLowerCase()) &&
    word !== String(status) &&
    standsIn(bytes, word);
  const shown = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
  return shown.replaceAll(WORD, (word) =>
    quoted(word) ? '…' : word.replaceAll(PART, (part) => (quoted(part) ? '…' : part)),
  );
}

/** An error of the sink as a log line may have it: nor are there members that a driver has added, such as a row. */
export function shownError(thrown: unknown, batch: Batch): Error {
  const error = asError(thrown);
  const { message, stack } = error;
  const status = error instanceof SinkError ? error.status : null;
  const text = withoutEvents(message, batch, status);
  const shown =
    error instanceof SinkError
      ? new SinkError(text, {
          status,
          ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
        })
      : new Error(text);
  const code = systemCode(error);
  if (code !== undefined) Object.assign(shown, { code });
  // without its first lines, which are the message
  const calls = /^ +at [^]*$/m.exec(stack ?? '')?.[0];
  shown.stack = `${error.name}: ${text}${calls === undefined ? '' : `\n${calls}`}`;
  return shown;
}

function standsIn(bytes: Buffer, word: string): boolean {
  const { length } = Buffer.from(word);
  for (let at = bytes.indexOf(word); at !== -1; at = bytes.indexOf(word, at + 1)) {
    if (word.length >= PART_LENGTH_MIN) return true;
    if (!isWordByte(bytes[at - 1]) && !isWordByte(bytes[at + length])) return true;
  }
  return false;
}

function isWordByte(byte: number | undefined): boolean {
  return byte !== undefined && /[A-Za-z0-9]/.test(String.fromCharCode(byte));
}
