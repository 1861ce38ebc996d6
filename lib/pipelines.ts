import { pipeline } from 'node:stream/promises';
import type { Reporter } from './base/reporter.js';
import { Batcher } from './core/batcher.js';
import { Committer } from './core/committer.js';
import { Delivery } from './core/delivery.js';
import { QueueIntake } from './core/intake.js';
import type { Stages } from './core/stages.js';
import { Admission } from './intake/admission.js';
import type { ClientIntake } from './intake/client-intake.js';
import { Clients } from './intake/clients.js';
import { DiskWatch } from './intake/disk-watch.js';
import { IdWindow } from './intake/id-window.js';
import type { PauseGate } from './delivery/pause-gate.js';
import type { WaitingRequests } from './intake/waiting-requests.js';
import type { PendingBatch } from './seams/batch.js';
import type { EventLog } from './seams/event-log.js';
import type { IdRule } from './seams/id-store.js';
import type { Sink } from './seams/sink.js';
import type { PipelineSettings } from './settings/pipeline-settings.js';

/** The stages, and the pipelines they run in. */
export interface Running extends Stages {
  readonly intake: ClientIntake;
  readonly admission: Admission;
  readonly clients: Clients;
  /** `null`: no source has a window. */
  readonly ids: IdWindow | null;
  readonly disk: DiskWatch;
  readonly gate: PauseGate;
  /** Settle when the stages have ended. */
  readonly ingesting: Promise<void>;
  readonly delivering: Promise<void>;
}

export interface PipelinesOptions {
  readonly settings: PipelineSettings;
  readonly log: EventLog;
  readonly sink: Sink;
  readonly idRules: readonly IdRule[];
  readonly waiting: WaitingRequests;
  /** Closed while delivery is paused. */
  readonly gate: PauseGate;
  readonly reporter: Reporter;
  /** Aborted to give delivery no further batch. */
  readonly stopping: AbortSignal;
}

/** Joins the stages: the two pipelines with the log between them, and the rules at their start. */
export async function openPipelines(options: PipelinesOptions): Promise<Running> {
  const { settings, log, sink, idRules, waiting, gate, reporter, stopping } = options;
  const ids = log.ids ? await IdWindow.open(idRules, log.ids, settings.idWindowMax, reporter) : null;
  const batchBytes = Math.min(settings.batchBytes, log.partBytesMost ?? Infinity);
  const batcher = new Batcher({ ...settings, batchBytes }, log);
  const disk = new DiskWatch(log, reporter, settings.ackTimeoutMs);
  const clients = new Clients({ ...settings, log, reporter });
  const { ledger } = clients;
  const committer = new Committer({ log, disk, ledger, reporter });
  const delivery = new Delivery({ ...settings, log, sink, reporter, gate, blame: ledger });
  const rate = log.drain ?? delivery.drain;
  // while delivery is paused the rate is that of before, and nothing gets less
  const drain = { msFor: (bytes: number): number => (gate.isClosed ? gate.waitMs : rate.msFor(bytes)) };
  const admission = new Admission({
    ...settings,
    batchBytes,
    log,
    drain,
    queue: batcher,
    disk,
    waiting,
    reporter,
  });
  delivery.on('gone', (batch: PendingBatch) => {
    ledger.gone(batch);
    admission.freed();
  });
  log.compression?.begin({
    drainMs: () => delivery.drain.msFor(log.pendingBytes),
    isRoomy: () => log.pendingBytes < settings.backlogBytesMax / 2,
    shrunk: (batch, fromBytes, toBytes) => {
      ledger.shrunk(batch, fromBytes, toBytes);
      admission.freed();
    },
  });
  const queue = new QueueIntake({ log, admission, batcher, waiting });
  const intake = clients.around(ids?.around(queue) ?? queue, batcher, admission);
  const ingesting = pipeline(batcher, committer);
  const delivering = pipeline(log.backlog(stopping), delivery);
  const rules = { intake, admission, clients, ids, disk, gate };
  return { batcher, committer, log, delivery, ...rules, ingesting, delivering };
}
