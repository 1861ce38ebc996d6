import type { PendingBatch } from './seams/batch.js';
import type { EventLog } from './seams/event-log.js';
import { ForebayError } from './base/errors.js';
import type { Reporter } from './base/reporter.js';
import type { Delivery } from './core/delivery.js';
import type { PauseGate } from './delivery/pause-gate.js';
import { count } from './base/words.js';

export interface ReplayOptions {
  readonly log: EventLog;
  readonly delivery: Delivery;
  /** Closed while delivery is paused: that must not keep the door shut either. */
  readonly gate: PauseGate;
  readonly reporter: Reporter;
  /** In milliseconds. */
  readonly waitMs: number;
}

const RETRY_AFTER_MS_MIN = 1000;

/**
 * Waits until the leftovers of earlier runs are delivered. Delivery itself goes on as usual. A failing sink or a large
 * backlog must not keep the door shut: at the first failure of the sink, or after `waitMs`, the wait ends and the
 * replay goes on in the background. Batches that wait aside are not waited for.
 */
export class Replay {
  readonly #options: ReplayOptions;
  /** When the door opens at the latest, on the clock of `performance.now()`. */
  readonly #endMs: number;
  /** Leftovers that are not delivered yet, without those that wait aside. */
  #left: number;
  #aside = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#endMs = performance.now() + options.waitMs;
    this.#left = options.log.leftoverBatches;
  }

  /** Resolves when the door may open. */
  async run(): Promise<void> {
    const { log, delivery, gate, reporter, waitMs } = this.#options;
    // what waits in a log that instances share is no instance's to replay: the log has said what waits
    if (log.drain !== undefined) return;
    reporter.info('Replaying pending batches...');
    if (this.#left === 0) {
      reporter.info('No pending batches to replay');
      return;
    }
    reporter.info(`Found ${count(this.#left, 'pending batch', 'pending batches')}`);
    await new Promise<void>((resolve) => {
      const openDoor = (): void => {
        clearTimeout(timer);
        delivery.off('failure', onFailure).off('close', onClose);
        gate.off('turn', onTurn);
        resolve();
      };
      const left = (): string => `${count(this.#left, 'batch', 'batches')} left`;
      const background = (why: string): void => {
        reporter.warn('REPLAY_BEHIND', `${why}: replay goes on in the background, ${left()}`);
        openDoor();
      };
      const onFailure = (): void => {
        background('Delivery fails');
      };
      const onTurn = (): void => {
        background('Delivery is paused');
      };
      const onClose = (): void => {
        reporter.info(`The server stops before the replay is complete, ${left()}`);
        openDoor();
      };
      const onGone = ({ leftover, past }: PendingBatch): void => {
        // a batch that has left its place does not count a second time
        if (leftover && past !== 'offered') onSettled();
      };
      const onLeft = ({ leftover }: PendingBatch): void => {
        if (!leftover) return;
        this.#aside++;
        onSettled();
      };
      const onSettled = (): void => {
        if (--this.#left > 0) return;
        delivery.off('gone', onGone).off('left', onLeft);
        const rest =
          this.#aside === 0
            ? ''
            : `; ${count(this.#aside, 'batch waits', 'batches wait')} aside for room for dead letters`;
        reporter.info(`Replay complete${rest}`);
        openDoor();
      };
      const timer = setTimeout(() => {
        background(`Replay takes longer than ${waitMs} ms`);
      }, waitMs);
      delivery.on('failure', onFailure).on('gone', onGone).on('left', onLeft).on('close', onClose);
      gate.on('turn', onTurn);
      if (gate.isClosed) onTurn();
    });
  }

  /** The error of an event that comes before then. */
  get refusal(): ForebayError {
    const { log, delivery } = this.#options;
    const untilEndMs = this.#endMs - performance.now();
    const retryAfterMs = Math.max(
      RETRY_AFTER_MS_MIN,
      Math.min(untilEndMs, delivery.drain.msFor(log.pendingBytes)),
    );
    const left =
      this.#left === 0
        ? 'in other directories'
        : `(${this.#left} of ${count(log.leftoverBatches, 'batch', 'batches')} left)`;
    const message = `The server is starting: it first delivers what an earlier run left ${left}`;
    return new ForebayError('NOT_RUNNING', { message, retryAfterMs });
  }
}
