import type { Logger } from './base/reporter.js';
import type { FileSystem } from './logs/file/file-system.js';
import type { LogContext } from './open-log.js';
import type { EventLog } from './seams/event-log.js';
import type { IdRule } from './seams/id-store.js';
import type { PauseStore } from './seams/pause.js';
import type { Sink } from './seams/sink.js';
import type { PipelineSettings } from './settings/pipeline-settings.js';

/** The options of `createForebay`: the sink, and any of the pipeline's settings. */
export interface ForebayOptions extends Partial<PipelineSettings> {
  readonly sink: Sink;
  /** Where log lines go; `pino` fits. Nowhere by default. If it throws, the process gets a warning and goes on. */
  readonly logger?: Logger;
  /** The file system of the append log; `node:fs` by default. */
  readonly fs?: FileSystem;
  /** The id windows of sources; by default that of `idWindowMs`, for events that are written in process. */
  readonly idRules?: readonly IdRule[];
  /** Opens the event log; the append log by default. For tests. */
  readonly openLog?: (context: LogContext) => Promise<EventLog>;
  /** Where the pause of delivery is kept; in the log by default. */
  readonly pauses?: PauseStore;
  /** Called when the log is open. Until it resolves no event is taken: more is replayed elsewhere. */
  readonly besideReplay?: () => Promise<void>;
}
