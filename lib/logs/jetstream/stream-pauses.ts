import { asError } from '../../base/errors.js';
import { parsePause, pauseText, unreadablePause } from '../../seams/pause.js';
import type { Pause, PauseStore } from '../../seams/pause.js';
import type { StreamManager } from './servers.js';

/** The keys in the metadata of the stream: the pause, and how often one has started or ended. */
export const PAUSE_KEY = 'forebay-paused';
const CHANGES_KEY = 'forebay-pause-changes';
/** A server that has just come to lead may not know of the last change yet. */
const LOOKS_MIN = 2;

type Metadata = Readonly<Record<string, string>>;

interface Kept {
  /** As in the metadata; '': there is none. */
  readonly text: string;
  readonly changes: number;
}

/**
 * The pause of all instances: it is in the metadata of the stream, which all of them look at once a second. What a majority
 * of the servers has is durable.
 *
 * The servers replace the metadata as a whole, with all settings of a stream and without a condition. So whoever changes
 * a setting, having read them before a pause, undoes it. It shows, as changes are counted: an instance that finds fewer than
 * it knows keeps what it knows, and writes it again.
 */
export class StreamPauses implements PauseStore {
  readonly #streams: StreamManager['streams'];
  readonly #stream: string;
  #changed: (pause: Pause | null) => void = () => undefined;
  #pause: Pause | null = null;
  #known: Kept = { text: '', changes: 0 };
  /** Writes come one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Writes of this instance that have started or ended: a look that one falls into says nothing. */
  #writes = 0;
  #writesAtLook = 0;
  /** How many looks in a row have found less than what is known. */
  #looksBehind = 0;

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
    const text = pause === null ? '' : pauseText(pause);
    await this.#write((found) => ({ text, changes: Math.max(found.changes, this.#known.changes) + 1 }));
  }

  lookStarts(): void {
    this.#writesAtLook = this.#writes;
  }

  /** @param metadata that of the stream, as of the look that has started last */
  saw(metadata: Metadata | undefined): void {
    if (this.#writes !== this.#writesAtLook || this.#writes % 2 === 1) return;
    const found = keptIn(metadata);
    this.#looksBehind = isBehind(found, this.#known) ? this.#looksBehind + 1 : 0;
    if (this.#looksBehind >= LOOKS_MIN) {
      // if that fails, the next look comes here again
      this.#write((now) => (isBehind(now, this.#known) ? this.#known : null)).catch(() => undefined);
    }
    if (this.#looksBehind > 0 || isSame(found, this.#known)) return;
    this.#know(found);
    this.#changed(this.#pause);
  }

  /** @param next what is to be kept instead of what is found; `null`: that stays */
  async #write(next: (found: Kept) => Kept | null): Promise<void> {
    const written = this.#turn.then(async () => {
      this.#writes++;
      try {
        const { metadata = {} } = (await this.#streams.info(this.#stream)).config;
        const kept = next(keptIn(metadata));
        if (kept === null) return;
        await this.#streams.update(this.#stream, { metadata: withKept(metadata, kept) });
        this.#know(kept);
      } finally {
        this.#writes++;
      }
    });
    this.#turn = written.catch(() => undefined);
    return written;
  }

  #know(kept: Kept): void {
    const { text } = kept;
    this.#known = kept;
    this.#looksBehind = 0;
    try {
      this.#pause = text === '' ? null : parsePause(text);
    } catch (error) {
      const place = `${PAUSE_KEY} in the metadata of the stream ${this.#stream}`;
      this.#pause = unreadablePause(place, asError(error).message, Date.now());
    }
  }
}

function keptIn(metadata: Metadata | undefined): Kept {
  const changes = Number(metadata?.[CHANGES_KEY] ?? 0);
  return { text: metadata?.[PAUSE_KEY] ?? '', changes: Number.isSafeInteger(changes) ? changes : 0 };
}

function withKept(metadata: Metadata, { text, changes }: Kept): Record<string, string> {
  const { [PAUSE_KEY]: _, ...others } = metadata;
  return { ...others, [CHANGES_KEY]: String(changes), ...(text !== '' && { [PAUSE_KEY]: text }) };
}

function isSame(a: Kept, b: Kept): boolean {
  return a.text === b.text && a.changes === b.changes;
}

/** Of a pause and an end of one that came at the same time, the pause holds. */
function isBehind(a: Kept, b: Kept): boolean {
  return a.changes < b.changes || (a.changes === b.changes && a.text === '' && b.text !== '');
}
