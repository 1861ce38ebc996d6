import pLimit from 'p-limit';
import { ForebayError } from '../../base/errors.js';
import type { Batch } from '../../seams/batch.js';
import { DeadLettersFull } from '../../seams/dead-letters.js';
import type { DeadLetter, DeadLetterStore, LetterLook, LettersSize } from '../../seams/dead-letters.js';
import { linesOf } from '../file/aside/dead-letters.js';
import { lettersIn } from '../file/aside/newest-letters.js';
import type { Publisher } from './publisher.js';
import type { StreamManager } from './servers.js';

/** The newest that are looked at. */
const NEWEST = 8;
/** What a message has beside its content, at most, in bytes, and how much of a status is kept. */
const HEAD_BYTES = 300;
const STATUS_CHARACTERS = 100;
/** The size is asked for again after this time, in milliseconds. */
const KEPT_MS = 1000;
const ASKED_AT_ONCE = 32;

/** An event by its message and its place in it. No instance names it otherwise, wherever its batches end. */
export interface EventPlace {
  readonly seq: number;
  readonly index: number;
}

interface EarlierLetter {
  readonly place: EventPlace;
  readonly bytes: number;
}

export interface StreamLettersOptions {
  readonly jsm: StreamManager;
  readonly publisher: Publisher;
  readonly stream: string;
  /** Identifies the stream that the events are in: another one has other events under the same numbers. */
  readonly streamId: string;
  readonly bytesMax: number;
  /** The largest message, in bytes. */
  readonly messageBytesMost: number;
  /** Where the events of a batch are. */
  readonly placesOf: (batch: string) => Promise<readonly EventPlace[]>;
}

/**
 * Dead letters in a stream: one message each, under a subject that names its event. So what two instances keep of an event
 * is kept once.
 */
export class StreamLetters implements DeadLetterStore {
  readonly #options: StreamLettersOptions;
  #size = { bytes: 0, messages: 0, lastSeq: 0 };
  #lookedMs = -Infinity;
  /** The subjects of what this instance has kept, by batch, until that is off the stream. */
  readonly #kept = new Map<string, Set<string>>();

  constructor(options: StreamLettersOptions) {
    this.#options = options;
  }

  async keep(batch: Batch, letters: readonly DeadLetter[]): Promise<string> {
    const { jsm, publisher, stream, placesOf } = this.#options;
    const places = await placesOf(batch.name);
    await this.#look();
    const earlier = await this.#earlier(places);
    const lines = letters.map((letter) => ({ letter, line: this.#lineOf(batch, letter) }));
    const size = {
      bytes: lines.reduce((sum, { line }) => sum + line.length, 0),
      earlierBytes: this.#bytesOf(earlier),
    };
    if (!this.hasRoom(size)) throw this.#full(size);
    const kept = this.#kept.get(batch.name) ?? new Set();
    this.#kept.set(batch.name, kept);
    try {
      await Promise.all(
        lines.map(async ({ letter: { index }, line }) => {
          const place = places[index];
          if (place === undefined) throw new Error(`event ${index} of ${batch.name} is in no message`);
          // never a duplicate: the letter of a later attempt takes the place of the earlier one
          const id = `${batch.key}#${index}@${Date.now()}`;
          const subject = this.#subjectOf(place);
          kept.add(subject);
          await publisher.store(subject, line, id);
        }),
      );
      // the sink has taken, in this attempt, what an earlier one refused (N10)
      const refused = new Set(letters.map(({ index }) => places[index]));
      for (const { place } of earlier.filter((each) => !refused.has(each.place)))
        await jsm.streams.purge(stream, { filter: this.#subjectOf(place) });
    } catch (error) {
      const isFull = error instanceof ForebayError && error.code === 'BACKLOG_FULL';
      throw isFull ? this.#full(size) : error;
    } finally {
      this.#lookedMs = -Infinity;
    }
    return stream;
  }

  async withdraw(batch: Batch): Promise<void> {
    const { jsm, stream, placesOf } = this.#options;
    await this.#look();
    if (this.#size.messages === 0) return;
    const seqs = new Set((await placesOf(batch.name)).map(({ seq }) => seq));
    await pLimit(ASKED_AT_ONCE).map(seqs, async (seq) =>
      jsm.streams.purge(stream, { filter: this.#subjectOf({ seq, index: '>' }) }),
    );
    this.#lookedMs = -Infinity;
  }

  /** Withdraws what other instances have kept of a batch, of which each event is at the sink or kept by this one. */
  async withdrawOthers(batch: string): Promise<void> {
    const { jsm, stream, placesOf } = this.#options;
    this.#lookedMs = -Infinity;
    await this.#look();
    const kept = this.#kept.get(batch);
    for (const { place } of await this.#earlier(await placesOf(batch))) {
      const filter = this.#subjectOf(place);
      if (kept?.has(filter) !== true) await jsm.streams.purge(stream, { filter });
    }
    this.#lookedMs = -Infinity;
  }

  /** A batch is off the stream. */
  forget(batch: string): void {
    this.#kept.delete(batch);
  }

  async look(): Promise<number> {
    await this.#look();
    return this.#size.bytes;
  }

  hasRoom({ bytes, earlierBytes }: LettersSize): boolean {
    const others = Math.max(0, this.#size.bytes - earlierBytes);
    return others === 0 || others + bytes <= this.#options.bytesMax;
  }

  /** How many there are, and their size in bytes. */
  async size(): Promise<{ readonly letters: number; readonly bytes: number }> {
    await this.#look();
    return { letters: this.#size.messages, bytes: this.#size.bytes };
  }

  /** Newest first. */
  async newest(): Promise<LetterLook[]> {
    const { jsm, stream } = this.#options;
    await this.#look();
    const looks: LetterLook[] = [];
    const { lastSeq, messages } = this.#size;
    for (let seq = lastSeq; seq > Math.max(0, lastSeq - NEWEST) && looks.length < messages; seq--) {
      const message = await jsm.streams.getMessage(stream, { seq }).catch(() => null);
      if (message !== null) looks.push(...lettersIn(Buffer.from(message.data)));
    }
    return looks;
  }

  /** The line of a letter. A reason goes as far as there is room beside its event. */
  #lineOf(batch: Batch, letter: DeadLetter): Buffer {
    const status =
      typeof letter.status === 'string' ? letter.status.slice(0, STATUS_CHARACTERS) : letter.status;
    let { reason } = letter;
    for (;;) {
      const line = linesOf(batch, [{ ...letter, status, reason }]);
      if (line.length <= this.#options.messageBytesMost - HEAD_BYTES || reason === '') return line;
      reason = reason.slice(0, reason.length >> 1);
    }
  }

  #full(size: LettersSize): DeadLettersFull {
    const { stream, bytesMax } = this.#options;
    const text = `${this.#size.bytes} bytes of dead letters in the stream ${stream}, and ${size.bytes} more exceed --dead-letters-max (${bytesMax})`;
    return new DeadLettersFull(text, size);
  }

  /** The letters that there are of these events. */
  async #earlier(places: readonly EventPlace[]): Promise<EarlierLetter[]> {
    const { jsm, stream } = this.#options;
    if (this.#size.messages === 0) return [];
    const oneOf = pLimit(ASKED_AT_ONCE);
    const found = await oneOf.map(places, async (place) => {
      const message = await jsm.streams.getMessage(stream, { last_by_subj: this.#subjectOf(place) });
      return message === null ? [] : [{ place, bytes: message.data.length }];
    });
    return found.flat();
  }

  #bytesOf(earlier: readonly EarlierLetter[]): number {
    // a message takes more room than its bytes
    return earlier.length === this.#size.messages
      ? this.#size.bytes
      : earlier.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #subjectOf({ seq, index }: EventPlace | { readonly seq: number; readonly index: '>' }): string {
    const { stream, streamId } = this.#options;
    return `${stream}.${streamId}.${seq}.${index}`;
  }

  async #look(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < KEPT_MS) return;
    const { state } = await this.#options.jsm.streams.info(this.#options.stream);
    this.#size = { bytes: state.bytes, messages: state.messages, lastSeq: state.last_seq };
    this.#lookedMs = nowMs;
  }
}
