import { ID_WORDS } from '../../../event/event-ids.js';
import type { EventIds } from '../../../event/event-ids.js';

interface Words {
  words: Uint32Array<ArrayBuffer>;
  used: number;
}

/** The ids of the events of a batch file, by source. */
export class FileIds {
  readonly #sources = new Map<string, Words>();
  /** What is known to come first. */
  readonly #firstWords: number;

  /** @param events that are added first, at most: nearly always all are of one source */
  constructor(events = 0) {
    this.#firstWords = Math.max(16, events) * ID_WORDS;
  }

  /** Adds those of events from number `from` to before `to`. */
  add(ids: EventIds, from: number, to: number): void {
    const ofSource = this.#withRoom(ids.scope.source, (to - from) * ID_WORDS);
    const { words } = ofSource;
    for (let index = from; index < to; index++) {
      const at = ids.at(index);
      for (let word = 0; word < ID_WORDS; word++) words[ofSource.used++] = ids.words[at + word] ?? 0;
    }
  }

  addWords(source: string, words: Uint32Array): void {
    const ofSource = this.#withRoom(source, words.length);
    ofSource.words.set(words, ofSource.used);
    ofSource.used += words.length;
  }

  #withRoom(source: string, more: number): Words {
    let ofSource = this.#sources.get(source);
    if (ofSource === undefined) {
      ofSource = { words: new Uint32Array(0), used: 0 };
      this.#sources.set(source, ofSource);
    }
    const end = ofSource.used + more;
    if (end > ofSource.words.length) {
      const larger = new Uint32Array(Math.max(end, 2 * ofSource.words.length, this.#firstWords));
      larger.set(ofSource.words);
      ofSource.words = larger;
    }
    return ofSource;
  }

  /** Takes all ids of a source, as they are. */
  adopt(source: string, words: Uint32Array<ArrayBuffer>): void {
    this.#sources.set(source, { words, used: words.length });
  }

  /** Those of some sources. */
  of(isWanted: (source: string) => boolean): FileIds {
    const some = new FileIds();
    for (const [source, words] of this) if (isWanted(source)) some.addWords(source, words);
    return some;
  }

  get length(): number {
    let ids = 0;
    for (const { used } of this.#sources.values()) ids += used / ID_WORDS;
    return ids;
  }

  *[Symbol.iterator](): Generator<[string, Uint32Array<ArrayBuffer>], void, undefined> {
    for (const [source, { words, used }] of this.#sources) yield [source, words.subarray(0, used)];
  }
}
