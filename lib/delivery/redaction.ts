import { systemCode } from '../base/errors.js';
import type { Batch } from '../seams/batch.js';
import { SinkError } from '../seams/sink-error.js';

/**
 * Sinks may quote events in their errors, and events do not belong in log lines (decision 29). So a word of the sink
 * that is also in an event of the batch is shown as `…`. Dead letters keep it: they have the events anyway.
 */

/** Words; `evt-1` and `a@example.com` are one word each. Shorter ones say nothing. */
const WORD = /[\p{L}\p{N}]+(?:[_@.+-]+[\p{L}\p{N}]+)*/gu;
const PART = /[\p{L}\p{N}]+/gu;
const WORD_LENGTH_MIN = 3;
/** A shorter word counts only if it is a whole word in the event: each number is a part of some timestamp. */
const PART_LENGTH_MIN = 6;
/** The rest of a word where the text was cut off. */
const CUT_OFF = /[\p{L}\p{N}_@.+-]*…/gu;
/** At most this much of the sink's text is shown, in characters. */
const TEXT_LENGTH_MAX = 500;
/** At most this many bytes of events are searched for one text, about 5 ms. Words that are left then are hidden. */
const SEARCH_BYTES_MAX = 8 * 1024 * 1024;
/** The cost of checking one place where a word was found, in bytes that could be searched instead. */
const PLACE_BYTES = 1024;
/** Forebay's own words, and the members that every event has. */
const PLAIN = new Set(
  'the sink answered answer error status within times events were refused type data timestamp true false null'.split(
    ' ',
  ),
);

/** The sink's text about a batch, without what it quotes of its events. */
export function withoutEvents(text: string, { bytes }: Pick<Batch, 'bytes'>, status: unknown = null): string {
  const search = new Search(bytes);
  const quoted = (word: string): boolean =>
    word.length >= WORD_LENGTH_MIN &&
    !PLAIN.has(word.toLowerCase()) &&
    word !== String(status) &&
    search.finds(word);
  const cut = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
  const shown = cut.replaceAll(CUT_OFF, '…').replaceAll(/\p{Cc}+/gu, ' ');
  return shown.replaceAll(WORD, (word) =>
    quoted(word) ? '…' : word.replaceAll(PART, (part) => (quoted(part) ? '…' : part)),
  );
}

/** An error of the sink as a log line may have it. Members that a driver has added, such as a row, are left out. */
export function shownError(error: Error, batch: Batch): Error {
  const { message, stack = '' } = error;
  const status = error instanceof SinkError ? error.status : null;
  const [own, said] =
    error instanceof SinkError && error.ownWords !== null ? [error.ownWords, error.said] : ['', message];
  const quoted = withoutEvents(said, batch, status);
  const text = own + (own !== '' && quoted !== '' ? ': ' : '') + quoted;
  const shown =
    error instanceof SinkError
      ? new SinkError(text, {
          status,
          misconfigured: error.misconfigured,
          reached: error.reached,
          ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
        })
      : new Error(text);
  const code = systemCode(error);
  if (code !== undefined) Object.assign(shown, { code });
  // lines of the message may look like calls
  const end = stack.indexOf(message);
  const calls = end === -1 ? null : /^ +at [^]*$/m.exec(stack.slice(end + message.length));
  shown.stack = `${error.name}: ${text}${calls === null ? '' : `\n${calls[0]}`}`;
  return shown;
}

/** Searches a batch for words, each once, within a bound of time: a client chooses what is in an event. */
class Search {
  readonly #bytes: Buffer;
  readonly #found = new Map<string, boolean>();
  #spent = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Whether the word is in the batch, or no time is left to find out. */
  finds(word: string): boolean {
    let found = this.#found.get(word);
    if (found === undefined) this.#found.set(word, (found = this.#look(word)));
    return found;
  }

  #look(word: string): boolean {
    const { length } = Buffer.from(word);
    for (let from = 0; this.#spent < SEARCH_BYTES_MAX;) {
      const end = Math.min(this.#bytes.length, from + SEARCH_BYTES_MAX - this.#spent);
      const at = this.#bytes.subarray(0, end).indexOf(word, from);
      this.#spent += (at === -1 ? end : at) - from + PLACE_BYTES;
      if (at === -1 && end === this.#bytes.length) return false;
      if (at === -1) break;
      if (word.length >= PART_LENGTH_MIN) return true;
      if (!this.#endsInWord(at) && !isWordByte(this.#bytes[at + length])) return true;
      from = at + 1;
    }
    return true;
  }

  /** Whether the text before this place ends in a word. The letter of `\n` and the digits of `\u0001` do not count. */
  #endsInWord(at: number): boolean {
    const before = this.#bytes.toString('latin1', Math.max(0, at - 6), at);
    return isWordByte(before.charCodeAt(before.length - 1)) && !/\\(?:[bfnrt]|u[0-9a-fA-F]{4})$/.test(before);
  }
}

function isWordByte(byte: number | undefined): boolean {
  return byte !== undefined && /[A-Za-z0-9]/.test(String.fromCharCode(byte));
}
