/**
 * A log in a stream of NATS JetStream, with copies on several servers, that any number of instances share. An event is in it
 * when a majority of the replicas has it. A message is a part of a group commit; confirming it takes it off the stream, as
 * deleting a file does. docs/fleet.md has what differs from files.
 */
import type { Readable } from 'node:stream';
import { ForebayError } from '../../base/errors.js';
import type { Removal } from '../../base/batch-event.js';
import type { Reporter } from '../../base/reporter.js';
import { count } from '../../base/words.js';
import { StoredBatch } from '../../seams/batch.js';
import type { PendingBatch, SettledBatch } from '../../seams/batch.js';
import type { BatchEnd, EventLog, Group, LogSpace, PartEnded } from '../../seams/event-log.js';
import { blockBytes } from '../file/checksum.js';
import { Appender } from './appender.js';
import { HeldMessages } from './held-messages.js';
import type { StreamIdBounds, StreamIds } from './ids/stream-ids.js';
import { MESSAGE_BYTES } from './message.js';
import type { MergeBounds } from './merge.js';
import { Publisher } from './publisher.js';
import type { Puller } from './puller.js';
import type { LogConnection, StreamManager } from './servers.js';
import { pendingOf, StreamBacklog } from './stream-backlog.js';
import { compareStreamBatches } from './stream-batch.js';
import { StreamCounts } from './stream-counts.js';
import { StreamLetters } from './stream-letters.js';
import { StreamPauses } from './stream-pauses.js';
import type { StreamNames } from './stream-names.js';
import { StreamReader } from './stream-reader.js';
import { GROUP } from './delivery-consumer.js';
import { StreamWatch } from './stream-watch.js';

const NONE = Buffer.alloc(0);
const RETRY_AFTER_MS = 5000;

export interface StreamLogOptions {
  readonly connection: LogConnection;
  readonly jsm: StreamManager;
  readonly puller: Puller;
  readonly names: StreamNames;
  /** Identifies the stream: another one of the same name has other events under the same numbers. */
  readonly streamId: string;
  /** `null`: no source has an id window. */
  readonly ids: StreamIdBounds | null;
  readonly bounds: MergeBounds;
  readonly backlogBytesMax: number;
  readonly deadLettersBytesMax: number;
  readonly ackTimeoutMs: number;
  readonly inOrder: boolean;
  /** Whether messages are compressed. */
  readonly compresses: boolean;
  readonly reporter: Reporter;
}

export class StreamLog extends StreamCounts implements EventLog {
  readonly place: string;
  readonly batchBytesMost = MESSAGE_BYTES;
  readonly partBytesMost: number;
  readonly cutsBatches = true;
  readonly bytesOf = blockBytes;
  readonly compare = compareStreamBatches;
  readonly deadLetters: StreamLetters;
  readonly ids: StreamIds | null;
  readonly pauses: StreamPauses;
  readonly sealedBy: Record<BatchEnd | 'failure', number> = {
    size: 0,
    bytes: 0,
    time: 0,
    stop: 0,
    failure: 0,
  };
  readonly #options: StreamLogOptions;
  readonly #publisher: Publisher;
  readonly #appender: Appender;
  readonly #held: HeldMessages;
  readonly #backlog: StreamBacklog;
  readonly #reader: StreamReader;
  readonly #watch: StreamWatch;

  constructor(options: StreamLogOptions) {
    super();
    const { connection, jsm, names, puller, bounds, ackTimeoutMs, deadLettersBytesMax } = options;
    this.#options = options;
    this.place = `stream ${names.events}`;
    const payloadMax = connection.nc.info?.max_payload ?? 0;
    this.partBytesMost = payloadMax - MESSAGE_BYTES;
    const publisher = new Publisher(connection, ackTimeoutMs);
    const held = new HeldMessages(connection);
    const sealed = (end: BatchEnd): void => void this.sealedBy[end]++;
    this.#publisher = publisher;
    this.#held = held;
    const watch = new StreamWatch(jsm, names);
    const oldestSeq = async (): Promise<number> => watch.oldestSeq();
    this.#backlog = new StreamBacklog({
      ...bounds,
      puller,
      held,
      messageBytesMost: payloadMax,
      sealed,
      oldestSeq: options.inOrder ? oldestSeq : null,
    });
    const missed = (events: number): void => this.miss(events, 0);
    this.#reader = new StreamReader({ ...options, publisher, partBytesMost: this.partBytesMost, missed });
    this.deadLetters = new StreamLetters({
      jsm,
      publisher,
      stream: names.letters,
      streamId: options.streamId,
      bytesMax: deadLettersBytesMax,
      messageBytesMost: payloadMax,
      placesOf: async (name) => {
        const batch = this.#backlog.batch(name);
        return batch === null ? [] : this.#reader.placesOf(batch);
      },
    });
    this.#watch = watch;
    const { partBytesMost } = this;
    this.#appender = new Appender({
      ...options,
      publisher,
      partBytesMost,
      stored: (events, bytes) => {
        this.changed(events, bytes);
      },
      full: () => {
        this.#isFull();
      },
    });
    this.ids = this.#appender.ids;
    this.pauses = new StreamPauses(jsm, names.events);
  }

  /** Looks once, so that the bounds hold from the first event on. @throws as `StreamWatch.first` */
  async open(stopping: AbortSignal): Promise<void> {
    const look = await this.#watch.first(stopping);
    this.see(look);
    this.pauses.saw(look.metadata);
    if (look.pendingEvents > 0) {
      const { messages, pendingEvents } = look;
      const waits = pendingEvents === 1 ? 'waits' : 'wait';
      const text = `${count(pendingEvents, 'event')} in ${count(messages, 'message')} ${waits} in the ${this.place}`;
      this.#options.reporter.info(`${text}; all instances deliver what waits`);
    }
    this.#watch.start(look.created, {
      begins: () => {
        this.lookStarts();
        this.pauses.lookStarts();
      },
      seen: (seen) => {
        this.see(seen);
        this.ids?.seen(seen.ids);
        this.pauses.saw(seen.metadata);
      },
      unseen: () => {
        this.lostSight();
      },
      lost: (why) => {
        this.#lost(why);
      },
    });
  }

  /** What was acknowledged in another stream is not here, and what is here goes by other numbers: only a new start helps. */
  #lost(why: string): void {
    this.#backlog.destroy(
      new ForebayError('LOG_UNUSABLE', { message: `The ${this.place} ${why}: start again` }),
    );
  }

  /** Whether a server is there to talk to. */
  get isConnected(): boolean {
    return this.#options.connection.isUp;
  }

  get doubtful(): number {
    return this.#publisher.doubtful;
  }

  async append(group: Group, ended: PartEnded): Promise<void> {
    return this.#appender.append(group, ended);
  }

  /** @throws Error if no leader answers; ForebayError `LOG_FAILED` if too few replicas are there */
  async probe(): Promise<void> {
    const { servers, replicas } = (await this.#watch.look()).state;
    const current = servers.filter(({ isCurrent }) => isCurrent).length;
    if (current * 2 > replicas) return;
    const message = `${current} of ${replicas} replicas of the ${this.place} are there: no majority`;
    throw new ForebayError('LOG_FAILED', { message, retryAfterMs: RETRY_AFTER_MS });
  }

  backlog(stopping: AbortSignal): Readable {
    stopping.addEventListener('abort', () => {
      void this.#backlog.stop();
    });
    this.#backlog.start();
    return this.#backlog;
  }

  pendingBytesOf({ logBytes }: Pick<PendingBatch, 'logBytes'>): number {
    return logBytes;
  }

  /** What is held is in memory. */
  remembers(): boolean {
    return true;
  }

  forget(): void {
    // it is held until it is confirmed
  }

  /** Damaged events are first set aside in the quarantine. @throws ForebayError if that fails */
  async read({ name }: PendingBatch): Promise<StoredBatch> {
    const batch = this.#backlog.batch(name);
    return batch === null
      ? new StoredBatch({ name, key: name, events: 0, bytes: NONE }, 0)
      : this.#reader.read(batch);
  }

  /** @throws Error if the servers do not say that it is off the stream */
  async delete({ name }: SettledBatch): Promise<Removal> {
    const batch = this.#backlog.batch(name);
    if (batch === null) return 'confirmed';
    const newest = this.#held.newest(batch.messages);
    // whoever had them in between may have kept dead letters of what the sink has taken here (N10)
    if (newest.some(({ deliveries }, at) => deliveries !== batch.messages[at]?.deliveries))
      await this.deadLetters.withdrawOthers(name);
    await this.#held.confirm(newest);
    this.deadLetters.forget(name);
    this.#backlog.settled(name);
    this.changed(this.#reader.forget(batch) - batch.events, -batch.bytes);
    return 'confirmed';
  }

  async find(isAskedFor: (name: string) => boolean, most: number): Promise<PendingBatch[]> {
    const found = this.#backlog.batches.filter(({ name }) => isAskedFor(name));
    return Promise.resolve(found.slice(0, most).map(pendingOf));
  }

  async space(): Promise<LogSpace> {
    const { jsm, names } = this.#options;
    const [letters, newestLetters, quarantine] = await Promise.all([
      this.deadLetters.size().catch(() => null),
      this.deadLetters.newest().catch(() => null),
      jsm.streams.info(names.quarantine).catch(() => null),
    ]);
    return {
      deadLetterFiles: letters?.letters ?? null,
      deadLetterBytes: letters?.bytes ?? null,
      quarantineFiles: quarantine?.state.messages ?? null,
      quarantineBytes: quarantine?.state.bytes ?? null,
      freeBytes: null,
      sizeBytes: null,
      freeInodes: null,
      inodes: null,
      newestLetters,
    };
  }

  async close(): Promise<void> {
    this.#watch.close();
    this.ids?.close();
    await this.#backlog.stop();
    await this.#held.handBack().catch(() => undefined);
    await this.#unpin().catch(() => undefined);
    await this.#options.connection.close();
  }

  /** Lets another instance deliver at once; otherwise the servers would wait for this one. */
  async #unpin(): Promise<void> {
    const { connection, jsm, names, puller } = this.#options;
    if (puller.isPinned && connection.isUp) await jsm.consumers.unpin(names.events, names.consumer, GROUP);
  }

  /** The servers know better than the last look: nothing more is taken until the next one. */
  #isFull(): void {
    this.pendingBytes = Math.max(this.pendingBytes, this.#options.backlogBytesMax);
  }
}
