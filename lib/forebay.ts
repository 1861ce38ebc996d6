import { promisify } from 'node:util';
import { asError, ForebayError } from './base/errors.js';
import { blockOf } from './event/written-event.js';
import type { Event } from './event/event.js';
import type { EventBlock } from './event/event-block.js';
import { contextOf } from './event/event-context.js';
import type { EventIds } from './event/event-ids.js';
import { Reporter } from './base/reporter.js';
import { allDelivered, endDelivery, endIntake } from './ending.js';
import { openAppendLog } from './open-log.js';
import type { ForebayOptions } from './forebay-options.js';
import { openPipelines } from './pipelines.js';
import type { Running } from './pipelines.js';
import type { LogContext } from './open-log.js';
import { IN_MEMORY, Pausable } from './pausing.js';
import { Replay } from './replay.js';
import { fromObject } from './settings/option-table.js';
import { PIPELINE_SETTINGS } from './settings/pipeline-settings.js';
import type { PipelineSettings } from './settings/pipeline-settings.js';
import type { Client, ClientUsage } from './seams/client.js';
import { CUSTOM_SINK } from './seams/sink.js';
import type { Sink, SinkDescription } from './seams/sink.js';
import type { SinkState } from './delivery/settler.js';
import type { RecentBatches } from './core/stages.js';
import { eventCounts, NO_EVENTS, statistics } from './statistics.js';
import type { EventCounts } from './event-counts.js';
import type { Statistics } from './statistics.js';
import { tell, WaitingRequests } from './intake/waiting-requests.js';
import type { EventLog, LogSpace } from './seams/event-log.js';
import { EVENTS_SOURCE, idRuleOf } from './seams/id-store.js';
import type { IdRule } from './seams/id-store.js';
import type { IdWindow } from './intake/id-window.js';
import type { IdUsage } from './intake/ids-of-source.js';
import type { Answer, Intake, Written } from './seams/intake.js';
import type { PauseStore } from './seams/pause.js';

export type { ForebayOptions } from './forebay-options.js';

type State = 'new' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed';

/** A durable front door for events, in process. The server is this with HTTP around it. */
export class Forebay extends Pausable implements Intake {
  readonly settings: PipelineSettings;
  /** The id windows of sources. */
  readonly idRules: readonly IdRule[];
  /** Rejects if a stage breaks, which is a programming error; events on disk are safe. Never resolves. */
  readonly broken: Promise<never>;
  readonly sink: SinkDescription;
  readonly #sink: Sink;
  readonly #reporter: Reporter;
  readonly #openLog: (context: LogContext) => Promise<EventLog>;
  readonly #besideReplay: () => Promise<void>;
  readonly #pauses: PauseStore | undefined;
  /** Aborted to give delivery no further batch. */
  readonly #stopping = new AbortController();
  readonly #waiting: WaitingRequests;
  #state: State = 'new';
  #building: Promise<Running> | null = null;
  #stages: Running | null = null;
  #replay: Replay | null = null;
  #stopped: Promise<void> | null = null;
  #break: (error: Error) => void = () => undefined;

  /** @throws ForebayError `SETTING_INVALID` */
  constructor(options: ForebayOptions) {
    super(new Reporter(options.logger));
    const { sink, logger: _, fs, idRules, openLog, besideReplay, pauses, ...settings } = options;
    this.settings = fromObject(PIPELINE_SETTINGS, settings);
    if (typeof sink?.deliver !== 'function') {
      throw new ForebayError('SETTING_INVALID', { message: 'sink must be an object with a method deliver' });
    }
    this.#sink = sink;
    this.sink = sink.description ?? CUSTOM_SINK;
    this.#reporter = this.reporter;
    this.#pauses = pauses;
    this.#openLog = openLog ?? (async (context) => openAppendLog(context, fs));
    this.#besideReplay = besideReplay ?? (async () => undefined);
    this.idRules = (idRules ?? [idRuleOf(this.settings)]).filter(({ windowMs }) => windowMs > 0);
    this.#waiting = new WaitingRequests(this.settings.ackTimeoutMs, this.#reporter);
    this.broken = new Promise((_resolve, reject) => {
      this.#break = reject;
    });
    this.broken.catch(() => undefined);
  }

  /**
   * Opens the append log and delivers the leftovers of earlier runs. Resolves when that is done, or if the sink fails
   * or `replayWaitMs` is over: the rest is delivered in the background then. From then on events are taken.
   *
   * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`, `SINK_DISCARDS`
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('start() is called once, before stop()');
    this.#state = 'starting';
    this.#building = this.#build();
    this.#stages = await this.#building;
    if (!this.#is('starting')) return;
    const { log, delivery } = this.#stages;
    this.#replay = new Replay({
      log,
      delivery,
      gate: this.pausing.gate,
      reporter: this.#reporter,
      waitMs: this.settings.replayWaitMs,
    });
    await Promise.all([this.#replay.run(), this.#besideReplay()]);
    if (this.#is('starting')) this.#state = 'running';
  }

  /**
   * Takes one event. Resolves when it is on disk, as durable as `fsync` says; `duplicate` if its id was within
   * `idWindowMs`, and nothing was stored.
   *
   * @param event an object, or its JSON text, which is kept as it is
   * @param context goes on to the sink with it; a `traceparent` that is invalid is ignored
   * @throws ForebayError `EVENT_NOT_JSON`, `EVENT_TOO_DEEP`, `EVENT_NOT_OBJECT`, `EVENT_FIELD`; `BODY_TOO_LARGE` if it
   *   could never fit; `QUEUE_FULL`, `BACKLOG_FULL` with `retryAfterMs`; `LOG_FAILED` if the disk did not take it;
   *   `IN_DOUBT` if the disk does not say whether it has it, also after `ackTimeoutMs`; `NOT_RUNNING`
   */
  async write(event: Event | string, context: Parameters<typeof contextOf>[0] = {}): Promise<Written> {
    const block = blockOf(event, this.settings.depthMax, this.idsFor(EVENTS_SOURCE, null, null));
    block.context = contextOf(context);
    await promisify((answer: Answer) => {
      this.take(block, answer);
    })();
    return { duplicate: (block.ids?.duplicates ?? 0) > 0 };
  }

  /** For the ids of a request, which then go with its block; `null` if its source has no window. */
  idsFor(...about: Parameters<IdWindow['idsFor']>): EventIds | null {
    return this.#stages?.ids?.idsFor(...about) ?? null;
  }

  /** What the id windows hold, by source. */
  idUsage(): readonly IdUsage[] {
    return this.#stages?.ids?.usage ?? [];
  }

  /** Takes many events, all or none, with the errors of `write`; the door calls it for each request. */
  take(block: EventBlock, answer: Answer, client?: Client): void {
    if (this.#state === 'running' && this.#stages !== null) this.#stages.intake.take(block, answer, client);
    else tell(answer, this.#notRunning());
  }

  refusal(...about: Parameters<Intake['refusal']>): ForebayError | null {
    if (this.#state !== 'running' || this.#stages === null) return this.#notRunning();
    return this.#stages.intake.refusal(...about);
  }

  /**
   * The same for a request like the last ones. What it says of the disk is at most a few seconds old, even if no
   * requests come.
   */
  unready(heldBytes: number = 0, client?: Client, ownHeldBytes?: number): ForebayError | null {
    if (this.#state !== 'running' || this.#stages === null) return this.#notRunning();
    return this.#stages.intake.unready(heldBytes, client, ownHeldBytes);
  }

  /** Why the disk takes no event, with the system's error as cause; `null` if it does. */
  logFailure(): ForebayError | null {
    return this.#stages?.admission.logFailure() ?? null;
  }

  counts(): EventCounts {
    return this.#stages ? eventCounts(this.#stages) : NO_EVENTS;
  }

  /** The counts of the pipeline; `null` before the start. */
  statistics(): Statistics | null {
    return this.#stages === null ? null : statistics(this.#stages, this.#waiting.ackSeconds, this.paused);
  }

  /** What clients take; `null` before the start. */
  clientUsage(): ClientUsage | null {
    return this.#stages?.clients.usage ?? null;
  }

  /** The size of what the log directory holds besides batches, and the free space of its disk; `null` before the start. */
  async diskUsage(): Promise<LogSpace | null> {
    return this.#stages && this.#stages.log.space();
  }

  /** Recent batches and what happened to them, and batches at the sink. */
  recentBatches(): RecentBatches {
    return { recent: this.#reporter.recent, active: this.#stages?.delivery.active ?? [] };
  }

  /** The state of the sink; `null` before the start. */
  sinkState(): SinkState | null {
    return this.#stages?.delivery.sinkState ?? null;
  }

  /** Lets the sink read its setup again, and asks it at once if it is left alone. @throws the sink's error */
  async reloadSink(): Promise<void> {
    await this.#sink.reload?.();
    this.#stages?.delivery.probe();
  }

  /** Whether the pipeline works. Being full or stopping is no failure. */
  get healthy(): boolean {
    return this.#state !== 'failed';
  }

  /** Takes no more events and goes on delivering, at most for this long, until none is left. `stop` comes after it. */
  async deliverAll(waitMs: number): Promise<void> {
    this.#state = 'stopping';
    const stages = await this.#building?.catch(() => null);
    if (stages) await endIntake(stages, this.#waiting).then(async () => allDelivered(stages, waitMs));
  }

  /**
   * Takes no more events, puts the queued ones on disk, lets running attempts end, and closes. Undelivered events stay
   * on disk for the next start.
   *
   * @param waitMs how long to wait for the sink, in milliseconds; the wait for the disk has no bound
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
      this.#reporter.error('SINK_UNUSABLE', 'The sink could not be closed', asError(error));
    }
    await this.pausing.close();
    await stages?.log.close();
    this.#reporter.sumUp();
    this.#state = 'stopped';
  }

  async #build(): Promise<Running> {
    const { settings, sink, idRules } = this;
    const reporter = this.#reporter;
    const log = await this.#openLog({ settings, sink, reporter, idRules });
    reporter.info(`AppendLog initialized: ${log.place}`);
    await this.pausing.open(this.#pauses ?? log.pauses ?? IN_MEMORY);
    const running = await openPipelines({
      gate: this.pausing.gate,
      settings,
      log,
      sink: this.#sink,
      idRules,
      waiting: this.#waiting,
      reporter,
      stopping: this.#stopping.signal,
    });
    for (const ended of [running.ingesting, running.delivering]) {
      ended.catch((error: unknown) => {
        this.#fail(asError(error));
      });
    }
    return running;
  }

  async #end(running: Running, waitMs: number): Promise<void> {
    await endIntake(running, this.#waiting);
    running.delivery.stop();
    this.#stopping.abort();
    await endDelivery(running, waitMs);
    running.clients.close();
    await running.disk.close();
  }

  #fail(error: Error): void {
    this.#state = 'failed';
    this.#reporter.error(
      'INTERNAL',
      'A stage of the pipeline broke; nothing more is taken or delivered',
      error,
    );
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

/** Creates a front door that is not started yet. @throws ForebayError `SETTING_INVALID` */
export function createForebay(options: ForebayOptions): Forebay {
  return new Forebay(options);
}
