import type { Logger } from '../base/reporter.js';
import { count } from '../base/words.js';
import type { EventCounts } from '../event-counts.js';
import { leftInLog } from '../open-log.js';
import { pauseWords } from '../seams/pause.js';
import type { Pause } from '../seams/pause.js';

/** The exit code of a stop that was to leave nothing and has. */
export const LEFT_EXIT = 3;

/**
 * Says what is left on disk after a stop that was to deliver all.
 *
 * @param dirs the log directories, which nobody uses any longer; none: the log is in a stream
 * @param paused why nothing went to the sink
 * @returns the exit code
 */
export async function tellLeft(
  dirs: readonly string[],
  { pending, unreadBatches }: EventCounts,
  paused: Pause | null,
  logger: Logger,
): Promise<number> {
  if (dirs.length === 0) {
    logger.info({}, 'Nothing is left on this instance: others deliver what waits in the stream');
    return 0;
  }
  const left = await Promise.all(dirs.map(async (dir) => leftInLog(dir)));
  const found = left.filter((each) => each.batchFiles + each.deadLetterFiles + each.quarantineFiles > 0);
  if (found.length === 0) {
    logger.info({ dirs }, `All is delivered: nothing is left in ${dirs.join(', ')}`);
    return 0;
  }
  const words = found.map(({ dir, batchFiles, deadLetterFiles, quarantineFiles }) => {
    const parts: (readonly [number, string, string])[] = [
      [batchFiles, 'batch file', 'batch files'],
      [deadLetterFiles, 'file of dead letters', 'files of dead letters'],
      [quarantineFiles, 'file in quarantine', 'files in quarantine'],
    ];
    const there = parts.filter(([number]) => number > 0);
    return `${there.map((part) => count(...part)).join(', ')} in ${dir}`;
  });
  const unread =
    unreadBatches === 0 ? '' : ` and ${count(unreadBatches, 'batch', 'batches')} of earlier runs`;
  const why = paused === null ? '' : `; delivery is paused ${pauseWords(paused)}`;
  logger.warn(
    { code: 'EVENTS_LEFT', pending, unreadBatches, left: found },
    `Not delivered: ${count(pending, 'event')}${unread}; left on disk: ${words.join('; ')}${why}`,
  );
  return LEFT_EXIT;
}
