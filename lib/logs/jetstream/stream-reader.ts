import { ForebayError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import { count } from '../../base/words.js';
import { StoredBatch } from '../../seams/batch.js';
import { keyOf } from '../../seams/batch-key.js';
import { contextsOfAll } from '../../seams/event-contexts.js';
import { linesOfMessage } from './message.js';
import type { MessageLines } from './message.js';
import type { BatchLines } from '../file/batch-lines.js';
import type { Publisher } from './publisher.js';
import type { StreamManager } from './servers.js';
import type { StreamBatch } from './stream-batch.js';
import type { EventPlace } from './stream-letters.js';
import type { StreamNames } from './stream-names.js';

export interface StreamReaderOptions {
  readonly jsm: StreamManager;
  readonly publisher: Publisher;
  readonly names: StreamNames;
  /** Identifies the stream: another one of the same name has other events under the same numbers. */
  readonly streamId: string;
  /** The largest content of a message, in bytes. */
  readonly partBytesMost: number;
  readonly reporter: Reporter;
  /** Called with events that are damaged. */
  readonly missed: (events: number) => void;
}

/** Checks the lines of messages, and sets damaged ones aside. */
export class StreamReader {
  readonly #options: StreamReaderOptions;
  /** Damaged events by message, until it is off the stream: 0 if all of a damaged message could be read. */
  readonly #damaged = new Map<number, number>();

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  /** @throws ForebayError if damaged lines cannot be set aside */
  async read(batch: StreamBatch): Promise<StoredBatch> {
    const { name } = batch;
    const read: BatchLines[] = [];
    for (const { seq, data, events: all } of batch.messages) {
      const message = await linesOfMessage(data);
      const lines = message.read;
      if (message.damaged.length > 0) await this.#setAside(seq, message);
      const lost = Math.max(0, all - lines.events);
      if ((lost > 0 || message.damaged.length > 0) && !this.#damaged.has(seq)) {
        this.#damaged.set(seq, lost);
        this.#options.missed(lost);
      }
      read.push(lines);
    }
    const bytes = Buffer.concat(read.map((lines) => lines.bytes));
    const events = read.reduce((sum, lines) => sum + lines.events, 0);
    const contexts = contextsOfAll(read);
    const key = (): string => keyOf(this.#options.streamId, name, bytes);
    return new StoredBatch({ name, key, events, bytes, contexts }, batch.bytes);
  }

  /** Where the events of a batch are. */
  async placesOf(batch: StreamBatch): Promise<EventPlace[]> {
    const places: EventPlace[] = [];
    for (const { seq, data } of batch.messages) {
      // not by what the subject says: somebody else may have put the message there
      const { events } = (await linesOfMessage(data)).read;
      for (let index = 0; index < events; index++) places.push({ seq, index });
    }
    return places;
  }

  /** A batch is off the stream. @returns how many damaged events it had */
  forget(batch: StreamBatch): number {
    const damaged = batch.messages.reduce((sum, { seq }) => sum + (this.#damaged.get(seq) ?? 0), 0);
    for (const { seq } of batch.messages) this.#damaged.delete(seq);
    return damaged;
  }

  async #setAside(seq: number, { damaged, isPartial, read }: MessageLines): Promise<void> {
    const { names, partBytesMost, reporter } = this.#options;
    if (this.#damaged.has(seq)) return;
    const data = Buffer.concat(damaged);
    // somebody else may have stored a message that is as large as messages may be
    const parts: Buffer[] = [];
    for (let at = 0; at < data.length; at += partBytesMost) parts.push(data.subarray(at, at + partBytesMost));
    await this.#quarantine(seq, parts);
    const what = isPartial ? 'compressed lines' : count(read.damagedLines, 'line');
    const text = `Message ${seq} of the stream ${names.events} is damaged (${what})`;
    reporter.error('BATCH_DAMAGED', `${text}: set aside in the stream ${names.quarantine}`);
  }

  /** Stores what is damaged of a message, unless an instance that had it before has. */
  async #quarantine(seq: number, parts: readonly Buffer[]): Promise<void> {
    const { jsm, publisher, names, streamId } = this.#options;
    const subject = `${names.quarantine}.${seq}`;
    const last = await jsm.streams.getMessage(names.quarantine, { last_by_subj: subject });
    if (last !== null && parts.at(-1)?.equals(last.data) === true) return;
    try {
      for (const [part, data] of parts.entries())
        await publisher.store(subject, data, `${streamId}-${seq}-${part}`);
    } catch (error) {
      if (!(error instanceof ForebayError) || error.code !== 'BACKLOG_FULL') throw error;
      const message = `The stream ${names.quarantine} is full, and message ${seq} is damaged: it waits until some room is made there`;
      throw new ForebayError('DISK_FAILED', { message, cause: error });
    }
  }
}
