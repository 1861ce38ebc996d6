import type { Reporter } from '../../../base/reporter.js';
import { count } from '../../../base/words.js';
import type { BatchPart } from '../../../seams/event-log.js';
import type { IdStore } from '../../../seams/id-store.js';
import type { StreamManager } from '../servers.js';
import { idSubjects } from '../stream-names.js';
import { IdChunk, sharesOf } from './id-chunk.js';
import type { BytesOf, PartShares } from './id-chunk.js';
import { IdCommits } from './id-commits.js';
import type { IdCommitsOptions } from './id-commits.js';
import { messageKey } from './id-message.js';

/** How often the log repeats that there are too many ids, in milliseconds. */
const SAY_MS = 60_000;
/** Ids go once there are more than this share above the bound: each time costs the servers a look at all of them. */
const SLACK = 1.01;

/** The ids of a log in a stream, as of its opening. */
export interface StreamIdBounds {
  readonly secret: Uint8Array;
  /** Ids of all sources and instances, at most. */
  readonly idsMax: number;
}

export interface StreamIdsOptions extends IdCommitsOptions, StreamIdBounds {
  readonly jsm: StreamManager;
  readonly bytesOf: BytesOf;
  readonly reporter: Reporter;
}

/** The ids of events that any instance has stored. They rest in the stream, and each says when it is too old itself. */
export class StreamIds implements IdStore {
  readonly secret: Uint8Array;
  readonly failures = 0;
  /** The age of the oldest id after too many had gone. */
  keptSeconds: number | null = null;
  readonly commits: IdCommits;
  readonly #options: StreamIdsOptions;
  #isPurging = false;
  #saidMs = -Infinity;

  constructor(options: StreamIdsOptions) {
    this.#options = options;
    this.secret = options.secret;
    this.commits = new IdCommits(options);
  }

  /** The servers are asked for each event, so there is nothing to be read before the first. */
  async recall(): Promise<void> {
    return Promise.resolve();
  }

  sharesOf(part: BatchPart): PartShares {
    return sharesOf(part, this.#options.bytesOf);
  }

  /** @param message the number of the message that it becomes, in this run */
  chunkOf(part: BatchPart, message: number): IdChunk {
    const { names, runId, bytesOf } = this.#options;
    return new IdChunk(names.events, part, messageKey(runId, message), bytesOf);
  }

  /** The stream has this many ids: the oldest go if they are too many. */
  seen(ids: number): void {
    const { idsMax } = this.#options;
    // they come no longer so fast, or go in their time
    if (ids < idsMax) this.keptSeconds = null;
    if (ids <= idsMax * SLACK || this.#isPurging) return;
    this.#isPurging = true;
    this.#say(ids);
    // tried again after the next look
    void this.#purge()
      .catch(() => undefined)
      .finally(() => (this.#isPurging = false));
  }

  async #purge(): Promise<void> {
    const { jsm, names, idsMax } = this.#options;
    const filter = idSubjects(names.events);
    await jsm.streams.purge(names.events, { filter, keep: idsMax });
    const oldest = await jsm.streams.getMessage(names.events, { seq: 1, next_by_subj: filter });
    if (oldest !== null) this.keptSeconds = Math.max(0, (Date.now() - oldest.time.getTime()) / 1000);
  }

  #say(ids: number): void {
    const { idsMax, names, reporter } = this.#options;
    const nowMs = performance.now();
    if (nowMs - this.#saidMs < SAY_MS) return;
    this.#saidMs = nowMs;
    const text = `${count(ids, 'id')} in the stream ${names.events}, and ${idsMax} are kept at most (--id-window-max of each source): the oldest go before --id-window is over`;
    reporter.warn('ID_WINDOW_SHORT', text);
  }

  close(): void {
    this.commits.close();
  }
}
