/**
 * A log in a stream of NATS JetStream, with copies on several servers, that any number of instances share. An event is in it
 * when a majority of the replicas has it. A message is a part of a group commit; confirming it takes it off the stream, as
 * deleting a file does. docs/fleet.md has what differs from files.
 */
import type { Readable } from 'node:stream';
import type { JetStreamManager } from '@nats-io/jetstream';
import { asError, ForebayError } from '../../base/errors.js';
import { DrainRate } from '../../base/drain-rate.js';
import type { Reporter } from '../../base/reporter.js';
import { count } from '../../base/words.js';
import { StoredBatch } from '../../seams/batch.js';
import type { PendingBatch, SettledBatch } from '../../seams/batch.js';
import { keyOf } from '../../seams/batch-key.js';
import type {
  BatchEnd,
  BatchPart,
  EventLog,
  Group,
  LogReplicas,
  LogSpace,
  PartEnded,
} from '../../seams/event-log.js';
import { blockBytes } from '../file/checksum.js';
import { newRunId } from '../file/run-mark.js';
import type { Connection } from './connection.js';
import { HeldMessages } from './held-messages.js';
import { linesOfMessage, MESSAGE_BYTES, messageOf } from './message.js';
import type { MergeBounds } from './merge.js';
import { Publisher } from './publisher.js';
import type { Puller } from './puller.js';
import { pendingOf, StreamBacklog } from './stream-backlog.js';
import { compareStreamBatches } from './stream-batch.js';
import type { StreamBatch } from './stream-batch.js';
import { StreamLetters } from './stream-letters.js';
import type { EventPlace } from './stream-letters.js';
import { storedBytes } from './stream-message.js';
import { eventsSubject } from './stream-names.js';
import type { StreamNames } from './stream-names.js';
import { GROUP } from './stream-setup.js';
import { StreamWatch } from './stream-watch.js';
import type { Look } from './stream-watch.js';

const LINE_FEED = Buffer.from('\n');
const RETRY_AFTER_MS = 5000;
/** Under a steady load no look is sharp. So one counts after this many, and is off by what happened during it. */
const BLURRED_MAX = 5;

export interface StreamLogOptions {
  readonly connection: Connection;
  readonly jsm: JetStreamManager;
  readonly puller: Puller;
  readonly names: StreamNames;
  /** Identifies the stream: another one of the same name has other events under the same numbers. */
  readonly streamId: string;
  readonly bounds: MergeBounds;
  readonly backlogBytesMax: number;
  readonly deadLettersBytesMax: number;
  readonly ackTimeoutMs: number;
  readonly inOrder: boolean;
  readonly reporter: Reporter;
}

export class StreamLog implements EventLog {
  readonly place: string;
  readonly batchBytesMost = MESSAGE_BYTES;
  readonly partBytesMost: number;
  readonly bytesOf = blockBytes;
  readonly compare = compareStreamBatches;
  readonly deadLetters: StreamLetters;
  readonly drain = new DrainRate();
  readonly torn = 0;
  readonly leftoverBatches = 0;
  readonly unreadBatches = 0;
  quarantined = 0;
  /** Of the whole stream, as of the last look and what this instance has done since. */
  pendingEvents = 0;
  pendingBytes = 0;
  /** Events that were in the stream when this instance started. */
  recoveredEvents = 0;
  replicas: LogReplicas | null = null;
  readonly sealedBy: Record<BatchEnd | 'failure', number> = {
    size: 0,
    bytes: 0,
    time: 0,
    stop: 0,
    failure: 0,
  };
  readonly #options: StreamLogOptions;
  readonly #publisher: Publisher;
  readonly #held: HeldMessages;
  readonly #backlog: StreamBacklog;
  readonly #watch: StreamWatch;
  readonly #runId = newRunId();
  #parts = 0;
  /** Whether this instance has changed something since the last look started: nobody knows whether the look has it. */
  #hasChanged = false;
  /** Looks in a row of which that is true. */
  #blurred = 0;
  #last: Look | null = null;
  /** When this instance last put an event into an empty stream, in milliseconds since 1970. */
  #appendedAtMs = Date.now();

  constructor(options: StreamLogOptions) {
    const { connection, jsm, names, puller, bounds, ackTimeoutMs, deadLettersBytesMax, inOrder } = options;
    this.#options = options;
    this.place = `stream ${names.events}`;
    const payloadMax = connection.nc.info?.max_payload ?? 0;
    this.partBytesMost = payloadMax - MESSAGE_BYTES;
    this.#publisher = new Publisher(connection, ackTimeoutMs);
    this.#held = new HeldMessages(connection);
    this.#backlog = new StreamBacklog({
      ...bounds,
      puller,
      held: this.#held,
      messageBytesMost: payloadMax,
      sealed: (end) => this.sealedBy[end]++,
      oldestSeq: inOrder ? async () => (await jsm.streams.info(names.events)).state.first_seq : null,
    });
    this.deadLetters = new StreamLetters({
      jsm,
      publisher: this.#publisher,
      stream: names.letters,
      bytesMax: deadLettersBytesMax,
      messageBytesMost: payloadMax,
      placesOf: (name) => this.#placesOf(name),
    });
    this.#watch = new StreamWatch(jsm, names);
  }

  /** Looks once, so that the bounds hold from the first event on. */
  async open(): Promise<void> {
    const look = await this.#watch.look();
    this.#see(look);
    this.recoveredEvents = look.pendingEvents;
    if (look.pendingEvents > 0) {
      const { messages, pendingEvents } = look;
      const text = `${count(pendingEvents, 'event')} in ${count(messages, 'message')} wait in the ${this.place}`;
      this.#options.reporter.info(`${text}; all instances deliver them`);
    }
    this.#watch.start(
      () => (this.#hasChanged = false),
      (seen) => this.#see(seen),
    );
  }

  /** Whether a server is there to talk to. */
  get isConnected(): boolean {
    return this.#options.connection.isUp;
  }

  get doubtful(): number {
    return this.#publisher.doubtful;
  }

  get oldestBornMs(): number | null {
    if (this.pendingEvents <= 0) return null;
    const atMs = this.#last?.oldestAtMs ?? this.#appendedAtMs;
    return performance.now() - Math.max(0, Date.now() - atMs);
  }

  async append(group: Group, ended: PartEnded): Promise<void> {
    const parts = group.filter(({ events }) => events > 0);
    // in order, a message that is retried must not come after the next one
    if (this.#options.inOrder) for (const part of parts) await this.#append(part, ended);
    else await Promise.all(parts.map(async (part) => this.#append(part, ended)));
  }

  async #append(part: BatchPart, ended: PartEnded): Promise<void> {
    const { events, bytes } = part;
    const id = `${this.#runId}-${++this.#parts}`;
    if (bytes > this.partBytesMost) {
      const message = `The event is larger than a message of the NATS servers may be (max_payload): ${this.partBytesMost} bytes`;
      ended(part, new ForebayError('EVENT_TOO_LARGE', { message }), null);
      return;
    }
    const data = messageOf(part, this.#runId);
    const subject = eventsSubject(this.#options.names, events);
    try {
      await this.#publisher.store(subject, data, id);
    } catch (thrown) {
      const error = thrown instanceof ForebayError ? thrown : failed(thrown);
      if (error.code === 'BACKLOG_FULL') this.#isFull();
      ended(part, error, null);
      return;
    }
    if (this.pendingEvents <= 0) this.#appendedAtMs = Date.now();
    this.#changed(events, storedBytes(subject, id, data));
    ended(part, null, null);
  }

  /** @throws ForebayError `LOG_FAILED` if no leader answers, or too few replicas do */
  async probe(): Promise<void> {
    const { servers, replicas } = (await this.#watch.look()).state;
    const current = servers.filter(({ isCurrent }) => isCurrent).length;
    // one server alone names no leader
    if (replicas === 1 || current * 2 > replicas) return;
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
    const texts: Buffer[] = [];
    let events = 0;
    for (const { seq, data, events: all } of batch?.messages ?? []) {
      const lines = linesOfMessage(data);
      if (lines.damaged.length > 0) await this.#setAside(seq, lines.damaged);
      this.#missed(seq, all - lines.events);
      texts.push(lines.bytes);
      events += lines.events;
    }
    const bytes = Buffer.concat(texts);
    return new StoredBatch(
      { name, key: () => keyOf(this.#options.streamId, name, bytes), events, bytes },
      batch?.bytes ?? 0,
    );
  }

  /** @throws Error if the servers do not say that it is off the stream */
  async delete({ name }: SettledBatch): Promise<void> {
    const batch = this.#backlog.batch(name);
    if (batch === null) return;
    await this.#held.confirm(batch.messages);
    this.#backlog.settled(name);
    const damaged = batch.messages.reduce((sum, { seq }) => sum + (this.#damaged.get(seq) ?? 0), 0);
    for (const { seq } of batch.messages) this.#damaged.delete(seq);
    this.#changed(damaged - batch.events, -batch.bytes);
  }

  async find(isAskedFor: (name: string) => boolean, most: number): Promise<PendingBatch[]> {
    const found = this.#backlog.batches.filter(({ name }) => isAskedFor(name));
    return Promise.resolve(found.slice(0, most).map(pendingOf));
  }

  miss(events: number, bytes: number): void {
    this.quarantined += events;
    this.#changed(-events, -bytes);
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
    await this.#backlog.stop();
    await this.#held.handBack().catch(() => undefined);
    await this.#unpin().catch(() => undefined);
    await this.#options.connection.close();
  }

  /** Lets another instance deliver at once; otherwise the servers would wait for this one. */
  async #unpin(): Promise<void> {
    const { connection, jsm, names, puller } = this.#options;
    if (!puller.isPinned || !connection.isUp) return;
    await jsm.consumers.unpin(names.events, names.consumer, GROUP);
  }

  /** Events of messages that were found damaged, by message, until they are off the stream. */
  readonly #damaged = new Map<number, number>();

  #missed(seq: number, events: number): void {
    if (events === 0 || this.#damaged.has(seq)) return;
    this.#damaged.set(seq, events);
    this.quarantined += events;
    this.#changed(-events, 0);
  }

  async #setAside(seq: number, damaged: readonly Buffer[]): Promise<void> {
    const { names, reporter } = this.#options;
    if (this.#damaged.has(seq)) return;
    const data = Buffer.concat(damaged.flatMap((line) => [line, LINE_FEED]));
    await this.#publisher.store(`${names.quarantine}.${seq}`, data, `${this.#options.streamId}-${seq}`);
    const text = `${count(damaged.length, 'line')} of message ${seq} of the ${this.place} are damaged`;
    reporter.error('BATCH_DAMAGED', `${text}: set aside in the stream ${names.quarantine}`);
  }

  #placesOf(name: string): EventPlace[] {
    const batch: StreamBatch | null = this.#backlog.batch(name.replace(/#.*$/, ''));
    return (batch?.messages ?? []).flatMap(({ seq, events }) =>
      Array.from({ length: events - (this.#damaged.get(seq) ?? 0) }, (_each, index) => ({ seq, index })),
    );
  }

  #changed(events: number, bytes: number): void {
    this.pendingEvents += events;
    this.pendingBytes += bytes;
    this.#hasChanged = true;
  }

  #see(look: Look): void {
    const last = this.#last;
    this.#last = look;
    this.replicas = look.state;
    this.#blurred = this.#hasChanged ? this.#blurred + 1 : 0;
    if (this.#blurred === 0 || this.#blurred > BLURRED_MAX) {
      this.#blurred = 0;
      this.pendingEvents = look.pendingEvents;
      this.pendingBytes = look.pendingBytes;
    }
    if (last === null || last.messages === 0) return;
    const gone = last.messages + (look.lastSeq - last.lastSeq) - look.messages;
    if (gone > 0) this.drain.add((gone * last.pendingBytes) / last.messages);
  }

  /** The servers know better than the last look: nothing more is taken until the next one. */
  #isFull(): void {
    this.pendingBytes = Math.max(this.pendingBytes, this.#options.backlogBytesMax);
  }
}

function failed(error: unknown): ForebayError {
  return new ForebayError('IN_DOUBT', { cause: asError(error), retryAfterMs: RETRY_AFTER_MS });
}
