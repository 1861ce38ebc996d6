import cluster from 'node:cluster';
import { asError, ForebayError } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import { silentLogger } from '../../base/reporter.js';
import type { Logger } from '../../base/reporter.js';
import { createForebay } from '../../forebay.js';
import type { Forebay } from '../../forebay.js';
import { mergeCounts } from '../../observe/together/merge-statistics.js';
import { adoptedLogDirs, allLogDirs, leftLogDirs } from '../../open-log.js';
import { pauseOfOther } from '../../pausing.js';
import { kindNamed } from '../../seams/sink-kind.js';
import { ofTable } from '../../settings/option-table.js';
import { declaredSources } from '../../settings/source-settings.js';
import { openSources } from '../../sources/registry.js';
import { PIPELINE_SETTINGS } from '../../settings/pipeline-settings.js';
import { SINK_KINDS } from '../../sinks/registry.js';
import { idRulesOf } from '../id-rules.js';
import { tellLeft } from '../left-behind.js';
import { Leftovers } from '../leftovers.js';
import { pauseOnSignal } from '../pause-signal.js';
import { resumingOf, tellListening, tellStart } from '../serve.js';
import type { ServerSettings } from '../server-settings.js';
import { CLOSING_MS, deliverAll, endAtOnce, Stopping, tellStopped } from '../stopping.js';
import { claimedPort } from './claimed-port.js';
import { ClosingTogether } from './closing-together.js';
import { PauseTogether } from './pause-together.js';
import { WholeView } from './whole-view.js';
import { leftoverReports } from './worker-reports.js';
import { diskShare } from './worker-settings.js';
import { WorkerSlot } from './worker-slot.js';
import type { GivenTask, SlotEvents, WorkerEnd } from './worker-slot.js';

/**
 * Starts the workers, and those again that end by themselves; passes signals on; answers operators for all. It holds
 * the lock of the whole log directory. Only events that a run without workers, or with more of them, has left are
 * delivered here; all others go through a worker.
 */
export async function supervise(settings: ServerSettings, logger: Logger): Promise<void> {
  tellStart(settings, logger);
  const { host, port, adminHost, adminPort } = settings;
  const ports = {
    port: await claimedPort(host, port),
    adminPort: adminPort === null ? null : await claimedPort(adminHost ?? '127.0.0.1', adminPort),
  };
  const { workers, logDir, sinkConcurrency } = settings;
  const leftDirs = await leftLogDirs(logDir, workers);
  const adopted = await adoptedLogDirs(settings.adopt, logDir);
  const connections = sinkConcurrency * (1 + leftDirs.length + adopted.length);
  const sink = await kindNamed(SINK_KINDS, settings.sink).open(settings, { connections, logger });
  const idRules =
    adopted.length === 0
      ? []
      : idRulesOf(openSources(declaredSources(settings), { logger: silentLogger }), settings);
  const shared = { ...settings, ...diskShare(settings, workers) };
  const pauses = pauseOfOther(() => forebay);
  const leftovers = new Leftovers({ left: leftDirs, adopted, idRules, pauses }, shared, sink, logger);
  const supervisor = new Supervisor({ ...settings }, ports, logger);
  // it has the lock of the directory, and delivers what a run without workers has left in it
  const forebay = createForebay({
    ...ofTable(PIPELINE_SETTINGS, shared),
    sink,
    logger,
    besideReplay: async () => {
      supervisor.startWorkers();
      await leftovers.start();
    },
  });
  forebay.broken.catch(() => process.exit(1)); // workers end without it; a restart starts with what is on disk
  const view = new WholeView({
    slots: supervisor.slots,
    leftovers: [forebay, ...leftovers.forebays].map(leftoverReports),
    logDir,
    sink: forebay.sink,
    showsData: settings.page === 'data',
    resuming: resumingOf(settings),
  });
  await supervisor.run(forebay, leftovers, adopted, view);
}

class Supervisor {
  readonly slots: readonly WorkerSlot[];
  readonly #settings: ServerSettings;
  readonly #logger: Logger;
  readonly #task: GivenTask;
  readonly #ports: { readonly port: number; readonly adminPort: number | null };
  #stopping: Stopping | null = null;
  #view: WholeView | null = null;
  #pause: PauseTogether | null = null;
  #isTls = false;
  #areLeftoversDelivered = false;
  /** Whether all workers have listened once. */
  #isStarted = false;
  #started: () => void = () => undefined;
  #failed: (error: Error) => void = () => undefined;
  readonly #closing: ClosingTogether;
  /** Resolves when no worker runs, in a stop. */
  readonly #workersEnded: Promise<void>;
  #allEnded: () => void = () => undefined;

  constructor(
    settings: ServerSettings,
    ports: { readonly port: number; readonly adminPort: number | null },
    logger: Logger,
  ) {
    const { workers } = settings;
    this.#workersEnded = new Promise((resolve) => {
      this.#allEnded = resolve;
    });
    this.#settings = settings;
    this.#logger = logger;
    this.#ports = ports;
    this.#task = { ...ports, workers, isRestart: false };
    const events: SlotEvents = {
      listening: (_slot: WorkerSlot, isTls: boolean): void => {
        this.#listening(isTls);
      },
      ended: (slot: WorkerSlot, end: WorkerEnd): void => {
        this.#ended(slot, end);
      },
      paused: () => this.#pause?.paused ?? null,
      asks: (slot, id, question) => {
        const replying = 'request' in question ? this.#pause?.reply(question) : this.#view?.reply(question);
        void replying?.then((reply) => {
          if ('outcome' in reply) this.#view?.changed();
          slot.tell({ kind: 'reply', id, reply });
        });
      },
      reached: (): void => {
        this.#closing.look();
      },
      held: (from: number): void => {
        this.#closing.held(from);
      },
      reporting: (slot: WorkerSlot): void => {
        if (this.#areLeftoversDelivered) slot.tell({ kind: 'leftovers delivered' });
      },
    };
    this.slots = Array.from({ length: workers }, (_, index) => new WorkerSlot(index + 1, events));
    this.#closing = new ClosingTogether(this.slots, { host: settings.host, port: ports.port });
  }

  startWorkers(): void {
    // round robin: a worker that is busy, or that has ended, gets no connection it does not accept
    cluster.schedulingPolicy = cluster.SCHED_RR;
    cluster.setupPrimary({ serialization: 'advanced' });
    if (this.#stopping?.signal.aborted === true) return;
    for (const slot of this.slots) slot.start(this.#task);
  }

  async run(
    forebay: Forebay,
    leftovers: Leftovers,
    adopted: readonly string[],
    view: WholeView,
  ): Promise<void> {
    const logger = this.#logger;
    this.#view = view;
    this.#pause = new PauseTogether(forebay, this.slots, logger);
    const stopping = new Stopping({
      ...this.#settings,
      logger,
      giveUp: () => this.endAtOnce(),
      drain: () => {
        for (const slot of this.slots) slot.stop(); // each takes events for as long
        this.#lookForEnd();
      },
      end: async () => this.#end(forebay, leftovers, adopted),
    });
    this.#stopping = stopping;
    stopping.onSignals();
    pauseOnSignal(this.#pause, logger);
    process.on('SIGHUP', () => {
      for (const slot of this.slots) slot.tell({ kind: 'reload' });
      forebay.reloadSink().catch((error: unknown) => {
        logger.warn({ code: 'SINK_FILE_FAILED' }, `SIGHUP: ${asError(error).message}`);
      });
    });
    const started = new Promise<void>((resolve, reject) => {
      this.#started = resolve;
      this.#failed = reject;
    });
    started.catch(() => undefined);
    try {
      await forebay.start();
      this.#areLeftoversDelivered = true;
      for (const slot of this.slots) slot.tell({ kind: 'leftovers delivered' });
      await started;
    } catch (error) {
      for (const slot of this.slots) slot.kill();
      await leftovers.stop(0);
      await forebay.stop(0);
      throw error;
    }
    if (stopping.signal.aborted) return;
    tellListening(this.#settings, { ...this.#ports, isTls: this.#isTls }, logger);
  }

  endAtOnce(): never {
    for (const slot of this.slots) slot.kill();
    return endAtOnce();
  }

  async #end(forebay: Forebay, leftovers: Leftovers, adopted: readonly string[]): Promise<number> {
    const { deliverAllMs, shutdownTimeoutMs, logDir } = this.#settings;
    await deliverAll([forebay, ...leftovers.forebays], deliverAllMs);
    const endMs = performance.now() + shutdownTimeoutMs - CLOSING_MS;
    const waitMs = (): number => Math.max(0, endMs - performance.now());
    await leftovers.stop(waitMs());
    await forebay.stop(waitMs());
    await this.#workersEnded;
    this.#view?.close();
    const counts = [forebay, ...leftovers.forebays].map((each) => each.counts());
    const unknown: number[] = [];
    for (const { number, stoppedWith } of this.slots) {
      if (stoppedWith === null) unknown.push(number);
      else counts.push(stoppedWith);
    }
    const besides = unknown.length === 0 ? '' : `, without what worker ${unknown.join(' and ')} had`;
    const sum = mergeCounts(counts);
    tellStopped(sum, this.#logger, `on disk${besides}`);
    if (deliverAllMs === 0) return 0;
    const paused = this.#pause?.paused ?? null;
    return tellLeft([...(await allLogDirs(logDir)), ...adopted], sum, paused, this.#logger);
  }

  #listening(isTls: boolean): void {
    this.#isTls = isTls;
    if (!this.slots.every(({ state }) => state === 'listening')) return;
    this.#isStarted = true;
    this.#started();
  }

  #ended(slot: WorkerSlot, { how, failure }: WorkerEnd): void {
    this.#view?.ended(slot);
    if (this.#stopping?.signal.aborted === true) {
      this.#closing.look();
      this.#lookForEnd();
      return;
    }
    const { number: worker } = slot;
    const why = failure === null ? how : failure.message;
    if (!this.#isStarted) {
      const code: ErrorCode = failure?.code ?? 'WORKER_ENDED';
      this.#failed(new ForebayError(code, { message: `Worker ${worker} does not start: ${why}` }));
      return;
    }
    const waitMs = slot.startLater({ ...this.#task, isRestart: true });
    this.#logger.error(
      { code: 'WORKER_ENDED', endedWorker: worker, how, restarts: slot.restarts },
      `Worker ${worker} ended (${why}): it is started again in ${waitMs} ms, the others go on`,
    );
  }

  #lookForEnd(): void {
    if (this.slots.every(({ isRunning }) => !isRunning)) this.#allEnded();
  }
}
