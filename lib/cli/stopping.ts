import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/reporter.js';
import { count } from '../base/words.js';
import type { IngestionServer } from '../door/ingestion-server.js';
import type { EventCounts } from '../event-counts.js';
import type { Forebay } from '../forebay.js';
import { mergeCounts } from '../observe/together/merge-statistics.js';
import type { Leftovers } from './leftovers.js';
import type { ServerSettings } from './server-settings.js';

/** What closing files takes at the end of a stop, in milliseconds, with room to spare. */
export const CLOSING_MS = 500;

/** A second signal this soon after the first is the same one, come on two ways, in milliseconds. */
const SAME_SIGNAL_MS = 500;

export interface Stoppable {
  readonly forebay: Forebay;
  readonly server: IngestionServer;
  readonly leftovers: Leftovers;
}

/** How a stop goes on, and how long it may take, in milliseconds. */
export interface StopOptions {
  readonly drainWaitMs: number;
  readonly deliverAllMs: number;
  readonly shutdownTimeoutMs: number;
  readonly logger: Logger;
  /** Says to clients and probes that the server is about to stop. */
  readonly drain: () => void;
  /** Ends what is open. Resolves with the exit code when all is on disk and closed. */
  readonly end: () => Promise<number>;
  /** Called instead if that takes too long, or at a second signal; does not return. */
  readonly giveUp: () => never;
}

/** Stops a process in order at the first call, at once at the second; neither loses what was acknowledged. */
export class Stopping {
  /** Aborted at the first call. */
  readonly signal: AbortSignal;
  readonly #options: StopOptions;
  readonly #begun = new AbortController();
  #firstMs = 0;

  constructor(options: StopOptions) {
    this.#options = options;
    this.signal = this.#begun.signal;
  }

  /** Exits when all is closed. @param signal its name, for the log */
  async stop(signal: string): Promise<void> {
    const { logger, drainWaitMs, deliverAllMs, shutdownTimeoutMs, drain, end, giveUp } = this.#options;
    if (this.signal.aborted) {
      // npm hands on a Ctrl-C that the terminal has sent already
      if (performance.now() - this.#firstMs < SAME_SIGNAL_MS) return;
      logger.error({ signal }, `${signal} again: exiting at once; what was acknowledged is in the log`);
      giveUp();
    }
    this.#firstMs = performance.now();
    this.#begun.abort();
    const meanwhile = drainWaitMs === 0 ? '' : `; events are taken for ${drainWaitMs} ms more (--drain-wait)`;
    logger.info({ signal }, `${signal}: stopping${meanwhile}`);
    drain();
    if (drainWaitMs > 0) await sleep(drainWaitMs);
    setTimeout(() => {
      logger.error(
        { code: 'STOP_TIMEOUT' },
        `Not stopped within ${deliverAllMs + shutdownTimeoutMs} ms (--deliver-all, --shutdown-timeout): exiting`,
      );
      giveUp();
    }, deliverAllMs + shutdownTimeoutMs).unref();
    process.exit(await end());
  }

  onSignals(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, (name) => void this.stop(name));
  }
}

/**
 * Answers what was sent, lets delivery end, and closes the door last: without it, clients and probes would get no
 * connection, and could not tell a stop from a crash. Since delivery ends, events get `503`.
 *
 * @returns what is left on disk
 */
export async function endServing(
  { forebay, server, leftovers }: Stoppable,
  { deliverAllMs, shutdownTimeoutMs }: Pick<ServerSettings, 'deliverAllMs' | 'shutdownTimeoutMs'>,
): Promise<EventCounts> {
  let endMs = performance.now() + shutdownTimeoutMs - CLOSING_MS;
  const leftMs = (): number => Math.max(0, endMs - performance.now());
  await server.letGo(shutdownTimeoutMs / 2);
  endMs += await deliverAll([forebay, ...leftovers.forebays], deliverAllMs);
  await leftovers.stop(leftMs()); // they share the sink, which the other stop closes
  await forebay.stop(leftMs());
  await server.stop(leftMs());
  return mergeCounts([forebay, ...leftovers.forebays].map((each) => each.counts()));
}

/** Delivers what is left, for at most this many milliseconds. @returns how many it took */
export async function deliverAll(forebays: readonly Forebay[], waitMs: number): Promise<number> {
  if (waitMs === 0) return 0;
  const startMs = performance.now();
  await Promise.all(forebays.map(async (each) => each.deliverAll(waitMs)));
  return performance.now() - startMs;
}

/** The last line of a server. @param where what waits is, and what is in no number, in words */
export function tellStopped(counts: EventCounts, logger: Logger, where: string = 'on disk'): void {
  const { pending, unreadBatches } = counts;
  const unread =
    unreadBatches === 0 ? '' : ` and ${count(unreadBatches, 'batch', 'batches')} of earlier runs`;
  logger.info(
    { ...counts },
    `Stopped; ${count(pending, 'event')}${unread} ${pending + unreadBatches === 1 ? 'waits' : 'wait'} ${where}`,
  );
}

/** `process.exit` waits for the calls to the file system that run, and a disk that hangs never ends them. */
export function endAtOnce(): never {
  process.kill(process.pid, 'SIGKILL');
  process.exit(1);
}
