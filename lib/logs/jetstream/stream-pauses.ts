import { asError } from '../../base/errors.js';
import { parsePause, pauseText, unreadablePause } from '../../seams/pause.js';
import type { Pause, PauseStore } from '../../seams/pause.js';
import type { StreamManager } from './servers.js';

/** The key in the metadata of the stream. */
export const PAUSE_KEY = 'forebay-paused';
/** A server that has just come to lead may not know of a pause yet. */
const LOOKS_MIN = 2;

/**
 * The pause of all instances: it is in the metadata of the stream, which all of them look at once a second. What a majority
 * of the servers has is durable. An instance that sees none keeps the pause that it knows.
 */
export class StreamPauses implements PauseStore {
  readonly #streams: StreamManager['streams'];
  readonly #stream: string;
  #changed: (pause: Pause | null) => void = () => undefined;
  #pause: Pause | null = null;
  /** As in the metadata; '': there is none. */
  #text = '';
  /** Writes of this instance that have started or ended: a look that one falls into says nothing. */
  #writes = 0;
  #writesAtLook = 0;
  /** How many looks in a row have found that there is no pause any longer. */
  #looksWithout = 0;

  constructor({ streams }: StreamManager, stream: string) {
    this.#streams = streams;
    this.#stream = stream;
  }

  async read(): Promise<Pause | null> {
    return Promise.resolve(this.#pause);
  }

  watch(changed: (pause: Pause | null) => void): void {
    this.#changed = changed;
  }

  /** @throws Error if the servers do not say that they have it */
  async write(pause: Pause | null): Promise<void> {
    this.#writes++;
    try {
      const { config } = await this.#streams.info(this.#stream);
      const { [PAUSE_KEY]: _, ...others } = config.metadata ?? {};
      const text = pause === null ? '' : pauseText(pause);
      const metadata = pause === null ? others : { ...others, [PAUSE_KEY]: text };
      await this.#streams.update(this.#stream, { metadata });
      this.#know(text);
    } finally {
      this.#writes++;
    }
  }

  lookStarts(): void {
    this.#writesAtLook = this.#writes;
  }

  /** @param metadata that of the stream, as of the look that has started last */
  saw(metadata: Readonly<Record<string, string>> | undefined): void {
    if (this.#writes !== this.#writesAtLook || this.#writes % 2 === 1) return;
    const text = metadata?.[PAUSE_KEY] ?? '';
    this.#looksWithout = text === '' ? this.#looksWithout + 1 : 0;
    if (text === this.#text || (text === '' && this.#looksWithout < LOOKS_MIN)) return;
    this.#know(text);
    this.#changed(this.#pause);
  }

  #know(text: string): void {
    this.#text = text;
    this.#looksWithout = 0;
    try {
      this.#pause = text === '' ? null : parsePause(text);
    } catch (error) {
      const place = `${PAUSE_KEY} in the metadata of the stream ${this.#stream}`;
      this.#pause = unreadablePause(place, asError(error).message, Date.now());
    }
  }
}
