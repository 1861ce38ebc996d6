import type { BatchFile } from './batch-file.js';

/** Batches that end within this time of each other come fast, in milliseconds. */
const FAST_MS = 50;
/** A file of several batches is sealed after this time, as delivery waits for that, in milliseconds. */
const AGE_MS = 100;
/** Both take this many times as long while delivery is behind: it waits for no file, and a larger one compresses better. */
const BEHIND = 20;

/**
 * Decides which batches share a file. A file costs its creation, a flush of the directory and a deletion, so it holds
 * several batches while they come fast, and one otherwise.
 */
export class FilePace {
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  readonly #nowMs: () => number;
  readonly #isBehind: () => boolean;
  #endedMs = -Infinity;
  #isFast = false;
  #isSlow = false;

  /**
   * @param eventsMax a file ends with the batch that reaches this many events (0: with each batch),
   * @param bytesMax or this many bytes
   * @param isBehind whether delivery is so far behind that it waits for no file
   */
  constructor(
    eventsMax: number,
    bytesMax: number,
    nowMs: () => number = () => performance.now(),
    isBehind: () => boolean = () => false,
  ) {
    this.#eventsMax = eventsMax;
    this.#bytesMax = bytesMax;
    this.#nowMs = nowMs;
    this.#isBehind = isBehind;
  }

  /** Whether a new file is for several batches. @param isFollowed whether another batch is at hand */
  isShared(isFollowed: boolean): boolean {
    return this.#eventsMax > 0 && ((this.#isFast && !this.#isSlow && this.#restMs > 0) || isFollowed);
  }

  /** A batch has ended. */
  ended(): void {
    this.#isFast = this.#restMs > 0;
    this.#endedMs = this.#nowMs();
  }

  /** An append has ended: while the disk takes long for one, no complete batch waits in a file for the next. */
  took(ms: number): void {
    this.#isSlow = ms > FAST_MS;
  }

  /** Whether a file of several batches goes on after one of them, with this size. */
  goesOn(
    file: Pick<BatchFile, 'bornMs'> | null,
    events: number,
    bytes: number,
    isFollowed: boolean,
  ): boolean {
    const isYoung = file === null || this.#nowMs() - file.bornMs < AGE_MS * this.#patience;
    return (
      ((this.#isFast && !this.#isSlow) || isFollowed) &&
      isYoung &&
      events < this.#eventsMax &&
      bytes < this.#bytesMax
    );
  }

  /** How long the next batch may take to end before the ones at hand are no longer kept waiting, in milliseconds. */
  get restMs(): number {
    return Math.max(0, this.#restMs);
  }

  get #patience(): number {
    return this.#isBehind() ? BEHIND : 1;
  }

  get #restMs(): number {
    return this.#endedMs + FAST_MS * this.#patience - this.#nowMs();
  }
}
