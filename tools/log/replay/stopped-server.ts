import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError, ForebayError } from '../../../lib/base/errors.js';
import { count } from '../../../lib/base/words.js';
import { createForebay } from '../../../lib/forebay.js';
import { pauseWords } from '../../../lib/seams/pause.js';
import { checkSinkSettings, kindNamed } from '../../../lib/seams/sink-kind.js';
import { SINK_KINDS } from '../../../lib/sinks/registry.js';
import type { SinkSettings } from '../../../lib/sinks/registry.js';
import type { Outcome, WithEvent } from '../front-door.js';
import type { Destination, Finished } from './destination.js';

/** How often to say what waits for the sink, in milliseconds. */
const SAY_MS = 10_000;
/** The wait for room if nobody names one, in milliseconds. */
const RETRY_AFTER_MS = 1000;

export interface StoppedServerOptions {
  readonly logDir: string;
  readonly sink: SinkSettings;
  readonly tell: (line: string) => Promise<void>;
  /** Ends waiting. */
  readonly signal: AbortSignal;
}

/**
 * The sink of a server that does not run: events go through the log of that server and its delivery, in this process and with
 * a closed door. So it has the lock of the directory, what the server has left is delivered as well, and what this leaves is
 * delivered by the next start.
 *
 * @throws ForebayError `SETTING_INVALID`, `SINK_UNUSABLE`, `LOG_DIR_LOCKED`, `LOG_DIR_UNUSABLE`, `SINK_DISCARDS`,
 *   `DELIVERY_PAUSED`
 */
export async function stoppedServer({
  logDir,
  sink: settings,
  tell,
  signal,
}: StoppedServerOptions): Promise<Destination> {
  checkSinkSettings(SINK_KINDS, settings, []);
  const say = (_fields: object, line: string): void => void tell(line);
  const quiet = (): void => undefined;
  const logger = { debug: quiet, info: quiet, warn: say, error: say };
  const sink = await kindNamed(SINK_KINDS, settings.sink).open(settings, { connections: 1, logger });
  const forebay = createForebay({ logDir, sink, logger });
  const interruption = once(signal, 'abort');
  try {
    // it may wait for what the server has left
    if (!signal.aborted) await Promise.race([forebay.start(), interruption]);
    const { paused } = forebay;
    if (paused !== null) {
      const message = `Delivery is paused ${pauseWords(paused)}: start the server and resume delivery first`;
      throw new ForebayError('DELIVERY_PAUSED', { message });
    }
  } catch (error) {
    await forebay.stop(0);
    if (!(error instanceof ForebayError) || error.code !== 'LOG_DIR_LOCKED') throw error;
    const message = `${error.message}: without --sink events go to a server that runs (--url)`;
    throw new ForebayError('LOG_DIR_LOCKED', { message, cause: error });
  }
  const before = forebay.counts();
  return {
    name: `the sink ${settings.sink}`,
    sent: `in the log again, for the sink ${settings.sink}`,
    async send<T extends WithEvent>(body: readonly T[], outcome: Outcome<T>): Promise<void> {
      for (let waiting = body; waiting.length > 0;) {
        let waitMs = 0;
        const left: T[] = [];
        const write = async (each: T): Promise<void> => {
          try {
            await forebay.write(each.event.toString('utf8'), { isReplay: true });
            outcome.taken.add(each);
          } catch (thrown) {
            const error = asError(thrown);
            const { status, retryAfterMs } = error instanceof ForebayError ? error : {};
            if (status === 400 || status === 413) outcome.refused.set(each, error.message);
            else if (status === 429 || status === 503) left.push(each);
            else throw error;
            waitMs = Math.max(
              waitMs,
              status === 400 || status === 413 ? 0 : (retryAfterMs ?? RETRY_AFTER_MS),
            );
          }
        };
        await Promise.all(waiting.map(write));
        waiting = left;
        if (left.length > 0) await sleep(waitMs, undefined, { signal });
      }
    },
    async finish(): Promise<Finished> {
      const waiting = (): string | null => {
        const { pending, unreadBatches } = forebay.counts();
        if (pending + unreadBatches === 0) return null;
        const waits =
          pending > 0
            ? count(pending, 'event waits', 'events wait')
            : count(unreadBatches, 'batch waits', 'batches wait');
        return `${waits} for the sink`;
      };
      for (let isDelivering = true; isDelivering && waiting() !== null && !signal.aborted;) {
        const startMs = performance.now();
        await Promise.race([forebay.deliverAll(SAY_MS), interruption]);
        // it returns before if nothing is delivered any longer
        isDelivering = performance.now() - startMs >= SAY_MS;
        const words = waiting();
        if (isDelivering && words !== null) await tell(words);
      }
      const left = waiting();
      const { deadLettered } = forebay.counts();
      const refused = deadLettered - before.deadLettered;
      return {
        refused: refused === 0 ? [] : [`the sink refused ${count(refused, 'event')}: see its dead letters`],
        left: left === null ? null : `${left}, and the next start of the server delivers them`,
      };
    },
    close: async () => forebay.stop(),
  };
}
