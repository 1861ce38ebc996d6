import { pipeline } from 'node:stream/promises';
import { Admission } from './intake/admission.js';
import { AppendLog } from './logs/file/append-log.js';
import { backlogOfOther, noteOwner } from './logs/file/backlog-owner.js';
import { DiskUsageReader } from './logs/file/disk-usage.js';
import type { DiskUsage } from './logs/file/disk-usage.js';
import { nodeFileSystem } from './logs/file/file-system.js';
import type { FileSystem } from './logs/file/file-system.js';
import { markedBytes } from './logs/file/checksum.js';
import { asError, ForebayError } from './base/errors.js';
import { DiskWatch } from './intake/disk-watch.js';
import { eventLine, eventText } from './event/event.js';
import type { Event } from './event/event.js';
import { LineBuffer } from './event/event-block.js';
import { LogLines } from './base/reporter.js';
import type { Logger } from './base/reporter.js';
import { Replay } from './replay.js';
import { fromObject } from './settings/option-table.js';
import { PIPELINE_SETTINGS } from './settings/pipeline-settings.js';
import type { PipelineSettings } from './settings/pipeline-settings.js';
import { CUSTOM_SINK } from './seams/sink.js';
import type { Sink, SinkDescription } from './seams/sink.js';
import { Backlog } from './logs/file/backlog.js';
import { Batcher } from './core/batcher.js';
import { BatchWriter } from './core/committer.js';
import { Deliverer } from './core/delivery.js';
import type { SinkState } from './delivery/settler.js';
import type { RecentBatches, Stages } from './core/stages.js';
import { eventCounts, NO_EVENTS, statistics } from './statistics.js';
import type { EventCounts } from './event-counts.js';
import type { Statistics } from './statistics.js';
import { tell, WaitingRequests } from './intake/waiting-requests.js';
import type { Answer } from './intake/waiting-requests.js';

/** What `createForebay` takes: the sink, and any of the pipeline's settings. */
export interface ForebayOptions extends Partial<PipelineSettings> {
  readonly sink: Sink;
  /** Where log lines go; `pino` fits. Nowhere by default. If it throws, the process gets a warning, and all goes on. */
  readonly logger?: Logger;
  /** The file system under the append log; `node:fs` by default. */
  readonly fs?: FileSystem;
}

type State = 'new' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed';

/** The stages, and the pipelines they run in. */
interface Running extends Stages {
  readonly admission: Admission;
  readonly disk: DiskWatch;
  /** Settle when the stages have ended. */
  readonly ingest: Promise<void>;
  readonly delivery: Promise<void>;
}

/** Events that are on disk and not delivered yet may take this part of `queueBytes` again. */
const RECENT_SHARE = 0.25;

/** A durable front door for events, in process. The server is this behind HTTP. */
export class Forebay {
  readonly settings: PipelineSettings;
  /** Rejects if a stage breaks, which is a programming error; what is on disk is safe. Never resolves. */
  readonly broken: Promise<never>;
  /** What the sink says about itself. */
  readonly sink: SinkDescription;
  readonly #sink: Sink;
  readonly #lines: LogLines;
  readonly #fs: FileSystem;
  readonly #diskUsage: DiskUsageReader;
  readonly #waiting: WaitingRequests;
  #state: State = 'new';
  #building: Promise<Running> | null = null;
  #stages: Running | null = null;
  #replay: Replay | null = null;
  #stopped: Promise<void> | null = null;
  #break: (error: Error) => void = () => undefined;

  /** @throws ForebayError `SETTING_INVALID` */
  constructor(options: ForebayOptions) {
    const { sink, logger, fs = nodeFileSystem, ...settings } = options;
    this.settings = fromObject(PIPELINE_SETTINGS, settings);
    if (typeof sink?.deliver !== 'function') {
      throw new ForebayError('SETTING_INVALID', { message: 'sink must be an object with a method deliver' });
    }
    this.#sink = sink;
    this.sink = sink.description ?? CUSTOM_SINK;
    this.#lines = new LogLines(logger);
    this.#fs = fs;
    this.#diskUsage = new DiskUsageReader(fs, this.settings.logDir);
    this.#waiting = new WaitingRequests(this.settings.ackTimeoutMs, this.#lines);
    this.broken = new Promise((_resolve, reject) => {
      this.#break = reject;
    });
    this.broken.catch(() => undefined);
  }

  /**
   * Opens the append log and delivers what an earlier run left. Resolves when that is done, or when the sink
   * fails or `replayWaitMs` is over: the rest is delivered in the background then. From then on events are taken.
   *
   * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`, `SINK_DISCARDS`
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('start() is called once, before stop()');
    this.#state = 'starting';
    this.#building = this.#build();
    this.#stages = await this.#building;
    if (!this.#is('starting')) return;
    const { log, deliverer } = this.#stages;
    this.#replay = new Replay({ log, deliverer, lines: this.#lines, waitMs: this.settings.replayWaitMs });
    await this.#replay.run();
    if (this.#is('starting')) this.#state = 'running';
  }

  /**
   * Takes one event. Resolves when it is on disk, as durable as `fsync` says.
   *
   * @param event an object, or its JSON text, which is kept as it is
   * @throws ForebayError `EVENT_NOT_JSON`, `EVENT_TOO_DEEP`, `EVENT_NOT_OBJECT`, `EVENT_FIELD`; `BODY_TOO_LARGE` if it could never
   *   fit; `QUEUE_FULL`, `BACKLOG_FULL` with `retryAfterMs`; `LOG_FAILED` if the disk did not take it; `IN_DOUBT`
   *   if it does not say whether it has it, also after `ackTimeoutMs`; `NOT_RUNNING`
   */
  async write(event: Event | string): Promise<void> {
    const lines = LineBuffer.of(eventLine(eventText(event), Date.now(), this.settings.depthMax));
    await new Promise<void>((resolve, reject) => {
      this.take(lines, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  /**
   * Takes many events, all or none. No promise: the door calls it for each request.
   *
   * @param lines what `eventLine` gives for each event; they are not changed any more
   * @param answer called once: with `null` when all are on disk, or with the ForebayError that `write` throws;
   *   `IN_DOUBT` also where the disk failed when it had some of them. What it throws is an uncaught exception
   */
  take(lines: LineBuffer, answer: Answer): void {
    const events = lines.length;
    const bytes = markedBytes(events, lines.startOf(events));
    const refusal = this.refusal(events, bytes);
    this.#stages?.admission.saw(events, bytes);
    if (refusal === null) this.#stages?.batcher.queue(this.#waiting.add(lines, answer));
    else tell(answer, refusal);
  }

  /**
   * Why so many events would be refused now, as the error for their client; `null` if they would be taken.
   *
   * @param heldBytes what else the caller holds in memory on behalf of clients
   */
  refusal(events: number, bytes: number, heldBytes: number = 0): ForebayError | null {
    if (this.#state !== 'running' || this.#stages === null) return this.#notRunning();
    return this.#stages.admission.refusal(events, bytes, heldBytes);
  }

  /**
   * The same for a request like the last ones; what is said of the disk is at most some seconds old, whether or not
   * requests come.
   */
  unready(heldBytes: number = 0): ForebayError | null {
    if (this.#state !== 'running' || this.#stages === null) return this.#notRunning();
    return this.#stages.admission.unready(heldBytes);
  }

  /** Why the disk takes no event, with the system's error as cause; `null`: it does. */
  logFailure(): ForebayError | null {
    return this.#stages?.admission.logFailure() ?? null;
  }

  counts(): EventCounts {
    return this.#stages ? eventCounts(this.#stages) : NO_EVENTS;
  }

  /** What the pipeline counts; `null` before the start. */
  statistics(): Statistics | null {
    return this.#stages === null ? null : statistics(this.#stages, this.#waiting.ackSeconds);
  }

  /** What the log directory holds beside batches, and what its disk still takes; `null` before the start. */
  async diskUsage(): Promise<DiskUsage | null> {
    return this.#stages && this.#diskUsage.read();
  }

  /** What happened to batches lately, and those that are at the sink. */
  recentBatches(): RecentBatches {
    return { recent: this.#lines.recent, active: this.#stages?.deliverer.active ?? [] };
  }

  /** How the sink does; `null` before the start. */
  sinkState(): SinkState | null {
    return this.#stages?.deliverer.sinkState ?? null;
  }

  /** Has the sink read again what it was set up with, and asks it at once if it is left alone. @throws what the sink throws */
  async reloadSink(): Promise<void> {
    await this.#sink.reload?.();
    this.#stages?.deliverer.probe();
  }

  /** Whether the pipeline works; full or stopping is no failure. */
  get healthy(): boolean {
    return this.#state !== 'failed';
  }

  /**
   * Takes no more events, puts those it has on disk, lets the attempts that run end, and closes. What is not
   * delivered stays on disk for the next start.
   *
   * @param waitMs how long to wait for the sink, in milliseconds; the disk is waited for as long as it takes
   */
  async stop(waitMs: number = this.settings.shutdownTimeoutMs): Promise<void> {
    this.#stopped ??= this.#stop(waitMs);
    await this.#stopped;
  }

  async #stop(waitMs: number): Promise<void> {
    this.#state = 'stopping';
    const stages = await this.#building?.catch(() => null);
    if (stages) await this.#end(stages, waitMs);
    try {
      await this.#sink.close?.();
    } catch (error) {
      this.#lines.error('SINK_UNUSABLE', 'The sink could not be closed', asError(error));
    }
    await stages?.log.close();
    this.#lines.sumUp();
    this.#state = 'stopped';
  }

  async #build(): Promise<Running> {
    const { logDir, fsync, queueBytes, deadLettersBytesMax } = this.settings;
    const lines = this.#lines;
    const log = await AppendLog.open({
      dir: logDir,
      fsync,
      recentBytesMax: queueBytes * RECENT_SHARE,
      deadLettersBytesMax,
      lines,
      fs: this.#fs,
    });
    const wrong = this.settings.discardBacklog ? null : backlogOfOther(log, this.sink);
    if (wrong !== null) {
      await log.close();
      throw wrong;
    }
    await noteOwner(log, this.sink, lines);
    lines.info(`AppendLog initialized: ${logDir}`);
    const batcher = new Batcher(this.settings);
    const backlog = new Backlog(log, lines);
    const disk = new DiskWatch(log, lines, this.settings.ackTimeoutMs);
    const writer = new BatchWriter({ log, disk, lines, sealed: (batch) => backlog.offer(batch) });
    const deliverer = new Deliverer({ ...this.settings, log, sink: this.#sink, lines });
    const waiting = this.#waiting;
    const admission = new Admission({ ...this.settings, log, batcher, disk, deliverer, waiting, lines });
    const ingest = pipeline(batcher, writer);
    const delivery = pipeline(backlog, deliverer);
    for (const running of [ingest, delivery]) running.catch((error: unknown) => this.#fail(asError(error)));
    return { log, disk, batcher, writer, backlog, deliverer, admission, ingest, delivery };
  }

  async #end({ disk, batcher, backlog, deliverer, ...running }: Running, waitMs: number): Promise<void> {
    batcher.end();
    await running.ingest.catch(() => undefined);
    this.#waiting.close();
    deliverer.stop();
    backlog.stop();
    const abandon = setTimeout(() => {
      deliverer.abandon();
    }, waitMs);
    await running.delivery.catch(() => undefined);
    clearTimeout(abandon);
    await disk.close();
  }

  #fail(error: Error): void {
    this.#state = 'failed';
    this.#lines.error('INTERNAL', 'A stage of the pipeline broke; nothing more is taken or delivered', error);
    this.#break(error);
  }

  #notRunning(): ForebayError {
    if (this.#is('starting') && this.#replay !== null) return this.#replay.refusal;
    const message = this.#is('new') || this.#is('starting') ? 'The server is starting' : 'The server stops';
    return new ForebayError('NOT_RUNNING', { message, retryAfterMs: 1000 });
  }

  #is(state: State): boolean {
    return this.#state === state;
  }
}

/** A front door that is not started yet. @throws ForebayError `SETTING_INVALID` */
export function createForebay(options: ForebayOptions): Forebay {
  return new Forebay(options);
}
