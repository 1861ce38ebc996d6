import { ForebayError } from '../../lib/base/errors.js';
import type { RestingStreams } from '../../lib/logs/jetstream/resting-streams.js';
import { invalid } from '../../lib/settings/setting-error.js';
import type { Done, Operation } from '../log/operations.js';
import { letterIn, LineNumbers } from './letter-lines.js';
import type { Letter } from './letter-lines.js';
import type { Edit, LetterStore } from './letter-store.js';

/** Letters that are in memory at once, as many as a request of a redrive has. */
const PART_BYTES = 2 ** 20;
const PART_LETTERS = 500;
/** `MESSAGE`, or `MESSAGE.INDEX`: what is after the stream in the subject of a letter. */
const NAME = /^\d+(?:\.\d+)?$/;

/** @throws ForebayError `SETTING_INVALID` */
export function checkLetterName(name: string): void {
  if (!NAME.test(name))
    throw invalid(
      `${name} names no letters of a stream: they are like 120 (of a message) or 120.3 (one event)`,
    );
}

/** The letters of a stream, each in a message of its own. Its name is that of the group with all of them. */
export class StreamLetters implements LetterStore {
  readonly place: string;
  readonly noun = 'message';
  readonly #streams: RestingStreams;
  readonly #stream: string;

  constructor(streams: RestingStreams) {
    this.#streams = streams;
    this.#stream = streams.names.letters;
    this.place = `the stream ${this.#stream}`;
  }

  /** @throws ForebayError `LOG_UNUSABLE` if there is no such letter */
  async names(wanted: readonly string[]): Promise<string[]> {
    if (wanted.length === 0) return [this.#stream];
    for (const name of wanted) {
      const { done } = await this.#streams.messages(this.#stream, this.#range(name)).next();
      if (done === true)
        throw new ForebayError('LOG_UNUSABLE', { message: `There is no letter ${name} in ${this.place}` });
    }
    const isInMessage = (name: string): boolean => wanted.includes(name.replace(/\..*/, ''));
    return [...new Set(wanted)].filter((name) => !name.includes('.') || !isInMessage(name));
  }

  whereText(): string {
    return `in ${this.place}`;
  }

  pathOf(): string {
    return this.place;
  }

  async *readEach(
    names: readonly string[],
    failures: string[],
  ): AsyncGenerator<{ name: string; letters: readonly Letter[] }, void, undefined> {
    const strange = new LineNumbers(this.noun);
    for (const name of names)
      for await (const letters of this.#partsOf(name, strange)) yield { name, letters };
    if (strange.count > 0) failures.push(`${this.place}: ${strange.text} cannot be read`);
  }

  async exclusively<T>(_command: string, work: () => Promise<T>): Promise<T> {
    return work();
  }

  async recorded<T extends Done>(_operation: Operation, work: () => Promise<T>): Promise<T> {
    return work();
  }

  /** A letter that is written again is another message, which stays. */
  async take(name: string): Promise<string> {
    return Promise.resolve(name);
  }

  async edit(name: string, use: (letters: readonly Letter[], edit: Edit) => Promise<void>): Promise<void> {
    const remove = async (letters: Iterable<Letter>): Promise<void> => this.#remove([...letters]);
    for await (const letters of this.#partsOf(name))
      await use(letters, { remove, numberLeft: ({ number }) => number });
  }

  async keepOnly(name: string, isKept: (letter: Letter) => boolean): Promise<number> {
    let removed = 0;
    for await (const letters of this.#partsOf(name)) {
      const gone = letters.filter((letter) => !isKept(letter));
      await this.#remove(gone);
      removed += gone.length;
    }
    return removed;
  }

  async #remove(letters: readonly Letter[]): Promise<void> {
    await this.#streams.remove(
      this.#stream,
      letters.map(({ number }) => number),
    );
  }

  /** @param strange gets the numbers of messages that are no letters */
  async *#partsOf(name: string, strange?: LineNumbers): AsyncGenerator<readonly Letter[], void, undefined> {
    let letters: Letter[] = [];
    let bytes = 0;
    for await (const { seq, data } of this.#streams.messages(this.#stream, this.#range(name))) {
      const line = Buffer.from(data.buffer, data.byteOffset, data.length);
      const letter = letterIn({ number: seq, at: 0, line });
      if (letter === null) strange?.add(seq);
      else letters.push(letter);
      bytes += line.length;
      if (letters.length < PART_LETTERS && bytes < PART_BYTES) continue;
      yield letters;
      letters = [];
      bytes = 0;
    }
    if (letters.length > 0) yield letters;
  }

  #range(name: string): { readonly subject?: string } {
    if (name === this.#stream) return {};
    // whichever stream its event was in
    return { subject: `${this.#stream}.*.${name}${name.includes('.') ? '' : '.>'}` };
  }
}
