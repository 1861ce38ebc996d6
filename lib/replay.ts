import type { AppendLog } from './append-log/append-log.js';
import type { SealedBatch } from './append-log/batch.js';
import type { LogLines } from './log-lines.js';
import type { Deliverer } from './stages/deliverer.js';

export interface ReplayOptions {
  readonly log: AppendLog;
  readonly deliverer: Deliverer;
  readonly lines: LogLines;
  /** How long to wait, in milliseconds. */
  readonly waitMs: number;
}

/**
 * Waits until what an earlier run left is delivered. Delivery itself is the Backlog's and the Deliverer's, as
 * at any other time. An unwell sink or a large backlog must not keep the door shut: at the first failure of
 * the sink, or after `waitMs`, the wait ends and the replay goes on in the background.
 */
export async function replay({ log, deliverer, lines, waitMs }: ReplayOptions): Promise<void> {
  let left = log.leftoverBatches;
  lines.info('Replaying pending batches...');
  if (left === 0) {
    lines.info('No pending batches to replay');
    return;
  }
  lines.info(`Found ${left} pending batches`);
  await new Promise<void>((resolve) => {
    const background = (why: string): void => {
      clearTimeout(timer);
      deliverer.off('failure', onFailure);
      deliverer.off('close', onClose);
      lines.warn('REPLAY_BEHIND', `${why}: replay goes on in the background, ${left} batches left`);
      resolve();
    };
    const onFailure = (): void => {
      background('Delivery fails');
    };
    const onClose = (): void => {
      background('The server stops');
    };
    const onGone = (batch: SealedBatch): void => {
      if (!batch.leftover || --left > 0) return;
      clearTimeout(timer);
      deliverer.off('failure', onFailure);
      deliverer.off('gone', onGone);
      deliverer.off('close', onClose);
      lines.info('Replay complete');
      resolve();
    };
    const timer = setTimeout(() => {
      background(`Replay takes longer than ${waitMs} ms`);
    }, waitMs);
    deliverer.on('failure', onFailure);
    deliverer.on('gone', onGone);
    deliverer.on('close', onClose);
  });
}
