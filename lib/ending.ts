import { setTimeout as sleep } from 'node:timers/promises';
import type { WaitingRequests } from './intake/waiting-requests.js';
import type { Running } from './pipelines.js';

const LOOK_MS = 20;

/** Resolves when what is queued is in the log, and each request has its answer. */
export async function endIntake(
  { batcher, ingesting }: Pick<Running, 'batcher' | 'ingesting'>,
  waiting: WaitingRequests,
): Promise<void> {
  if (!batcher.writableEnded) batcher.end();
  await ingesting.catch(() => undefined);
  waiting.close();
}

/** Resolves when nothing in the log waits for the sink, when nothing is delivered, or after this many milliseconds. */
export async function allDelivered(
  { log, delivery, gate }: Pick<Running, 'log' | 'delivery' | 'gate'>,
  waitMs: number,
): Promise<void> {
  // a log that is shared needs nobody to stay: the others deliver what is there
  if (log.drain !== undefined) return;
  const endMs = performance.now() + waitMs;
  while (performance.now() < endMs && !delivery.destroyed && !gate.isClosed) {
    if (log.pendingEvents === 0 && log.unreadBatches === 0) return;
    await sleep(LOOK_MS);
  }
}

/** Lets running attempts end, for at most this many milliseconds. */
export async function endDelivery(
  { delivery, delivering }: Pick<Running, 'delivery' | 'delivering'>,
  waitMs: number,
): Promise<void> {
  const abandon = setTimeout(() => {
    delivery.abandon();
  }, waitMs);
  await delivering.catch(() => undefined);
  clearTimeout(abandon);
}
