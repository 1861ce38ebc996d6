import { ID_WORDS } from '../../../event/event-ids.js';
import type { EventIds } from '../../../event/event-ids.js';

/** The ids of the events of a batch file, by source. */
export class FileIds {
  readonly #sources = new Map<string, { words: Uint32Array<ArrayBuffer>; used: number }>();

  /** Adds those of events from number `from` to before `to`. */
  add({ scope, words }: Pick<EventIds, 'scope' | 'words'>, from: number, to: number): void {
    this.addWords(scope.source, words, from * ID_WORDS, to * ID_WORDS);
  }

  addWords(source: string, words: Uint32Array, from = 0, to = words.length): void {
    let ofSource = this.#sources.get(source);
    if (ofSource === undefined) {
      ofSource = { words: new Uint32Array(0), used: 0 };
      this.#sources.set(source, ofSource);
    }
    const end = ofSource.used + to - from;
    if (end > ofSource.words.length) {
      const larger = new Uint32Array(Math.max(end, 2 * ofSource.words.length, 16 * ID_WORDS));
      larger.set(ofSource.words);
      ofSource.words = larger;
    }
    for (let at = from; at < to; at++) ofSource.words[ofSource.used++] = words[at] ?? 0;
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
