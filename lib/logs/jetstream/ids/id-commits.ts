import pLimit from 'p-limit';
import { asError } from '../../../base/errors.js';
import type { BatchPart } from '../../../seams/event-log.js';
import type { Deadline, Failed, Publisher } from '../publisher.js';
import type { LogConnection } from '../servers.js';
import { eventsSubject } from '../stream-names.js';
import type { StreamNames } from '../stream-names.js';
import { contentOf } from './id-chunk.js';
import type { IdChunk } from './id-chunk.js';
import { IdLookup } from './id-lookup.js';
import { batchId, endBytes, endHeaders, idContent, idHeaders, keptFor, readIdContent } from './id-message.js';
import type { KnownId } from './id-message.js';

/** The servers hold 50 unfinished batches of a stream, of all instances. */
const AT_ONCE = 8;

export interface IdCommitsOptions {
  readonly connection: LogConnection;
  readonly publisher: Publisher;
  readonly names: StreamNames;
  /** Identifies this run. */
  readonly runId: string;
  /** An id is kept for at least this time, in milliseconds: longer than a doubt lasts. */
  readonly keptMsLeast: number;
  readonly messageOf: (part: BatchPart) => Promise<Buffer>;
}

/** What has become of a chunk. */
export interface Committed {
  /** What its events take of the stream; 0: all of them were known. */
  readonly bytes: number;
}

/**
 * Stores events together with their ids: each id is a message of its own under a subject that nobody else may have used,
 * and the servers store all of them and the message with the events, or none (ADR-50 of NATS). So an id is known
 * exactly if its event is stored (N14), whatever becomes of servers and instances, and until it is too old.
 */
export class IdCommits {
  readonly #options: IdCommitsOptions;
  readonly #lookup: IdLookup;
  readonly #limit = pLimit(AT_ONCE);
  #attempts = 0;

  constructor(options: IdCommitsOptions) {
    this.#options = options;
    this.#lookup = new IdLookup(options.connection, options.names.events);
  }

  /**
   * Stores those events of a chunk whose ids are not known, and leaves out the others.
   *
   * @throws ForebayError as `Publisher.store`
   */
  async store(chunk: IdChunk, deadline: Deadline): Promise<Committed> {
    return this.#limit(async () =>
      this.#options.publisher.untilKnown(async () => this.#attempt(chunk, deadline), deadline),
    );
  }

  close(): void {
    this.#lookup.close();
  }

  async #attempt(chunk: IdChunk, deadline: Deadline): Promise<Committed | Failed> {
    while (chunk.events.length > 0) {
      const answer = await this.#publish(chunk, deadline);
      if (!('fate' in answer)) return answer;
      // a full stream, too, knows ids; and this message, if an earlier attempt has stored it
      if (answer.fate !== 'known' && answer.fate !== 'full') return answer;
      const known = await this.#find(chunk).catch(asError);
      if (known instanceof Error) return { fate: 'refused', why: known.message };
      if (chunk.isStored(known)) return { bytes: answer.bytes };
      // somebody else is about to store it, or the server that was asked does not know it yet
      if (known.size === 0) return { ...answer, fate: answer.fate === 'full' ? 'full' : 'refused' };
      chunk.leaveOut(known);
    }
    return { bytes: 0 };
  }

  async #find(chunk: IdChunk): Promise<Map<string, KnownId>> {
    const found = await this.#lookup.find(chunk.events.map(({ subject }) => subject));
    const known = new Map<string, KnownId>();
    for (const [subject, data] of found) {
      const id = readIdContent(data);
      if (id !== null) known.set(subject, id);
    }
    return known;
  }

  async #publish(chunk: IdChunk, deadline: Deadline): Promise<Committed | (Failed & Committed)> {
    const { connection, publisher, names, runId, keptMsLeast, messageOf } = this.#options;
    const { events } = chunk;
    const part = chunk.part;
    const data = await messageOf(part);
    const subject = eventsSubject(names, part.events);
    const bytes = endBytes(subject, data);
    // never that of another attempt: what is late of that one must not become a part of this
    const batch = batchId(runId, ++this.#attempts);
    const sendIds = (): void => {
      for (const [at, { ids, index, subject: of }] of events.entries()) {
        const kept = keptFor(Math.max(ids.scope.windowMs, keptMsLeast));
        const content = idContent(chunk.key, contentOf(ids, index));
        connection.nc.publish(of, content, { headers: idHeaders(batch, at + 1, kept) });
      }
    };
    const sent = await publisher.send(subject, data, endHeaders(batch, events.length + 1), deadline, sendIds);
    return 'fate' in sent ? { ...sent, bytes } : { bytes };
  }
}
