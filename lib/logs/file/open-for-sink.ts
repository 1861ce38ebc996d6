import { AppendLog } from './append-log.js';
import type { AppendLogOptions } from './append-log-options.js';
import { asError, ForebayError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import type { SinkDescription } from '../../seams/sink.js';
import { count } from '../../base/words.js';

/** At most this much of a kind is noted, in characters. */
const KIND_LENGTH_MAX = 32;

/**
 * Opens the append log for a sink, and notes its owner in the lock file.
 *
 * @param mayDiscard whether a sink that keeps nothing may get the backlog of another sink
 * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`, `SINK_DISCARDS`
 */
export async function openForSink(
  options: AppendLogOptions,
  sink: SinkDescription,
  mayDiscard: boolean,
): Promise<AppendLog> {
  const log = await AppendLog.open(options);
  const wrong = mayDiscard ? null : backlogOfOther(log, sink);
  if (wrong !== null) {
    await log.close();
    throw wrong;
  }
  await noteOwner(log, sink, options.reporter);
  return log;
}

/** The error if this sink must not get the backlog: it keeps nothing, and the events were accepted for another sink. */
function backlogOfOther(
  { dir, leftoverBatches, lock }: AppendLog,
  { kind, keepsNothing }: SinkDescription,
): ForebayError | null {
  const { sink: sinkBefore } = lock.before;
  if (keepsNothing !== true || leftoverBatches === 0 || sinkBefore === noted(kind)) return null;
  const before = sinkBefore === null ? 'another sink' : `the sink ${sinkBefore}`;
  const why = `${dir} holds ${count(leftoverBatches, 'batch that was', 'batches that were')} accepted for ${before}, and the sink ${kind} keeps nothing`;
  const help = 'start with their sink, with another --log-dir, or with --discard-backlog to throw them away';
  return new ForebayError('SINK_DISCARDS', { message: `${why}: ${help}` });
}

/** Notes the owner of the directory in the lock file: the run, and the kind of sink. Never throws. */
async function noteOwner(
  { dir, lock, runId }: AppendLog,
  { kind }: SinkDescription,
  reporter: Reporter,
): Promise<void> {
  await lock.note({ runId, sink: noted(kind) }).catch((error: unknown) => {
    // a full disk must not stop delivery, which makes room on it
    reporter.error('DISK_FAILED', `Could not write the lock file in ${dir}; the lock holds`, asError(error));
  });
}

/** The kind of a sink as noted in the lock file. */
function noted(kind: string): string {
  return kind.replaceAll(/[^\w-]/g, '-').slice(0, KIND_LENGTH_MAX);
}
