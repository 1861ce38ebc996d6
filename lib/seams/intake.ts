import type { ForebayError } from '../base/errors.js';
import type { EventBlock } from '../event/event-block.js';
import type { Client } from './client.js';

/** Gets the outcome of a request, once: `null` if all of its events are durable. */
export type Answer = (error: Error | null) => void;

/** What became of an event that a program writes. */
export interface Written {
  readonly duplicate: boolean;
}

/**
 * Takes the events of a request, all or none. A rule, such as an id window, wraps another intake with its own
 * signature. Each must pass test/helpers/intake-contract.ts.
 */
export interface Intake {
  /**
   * Why events of this size would be refused now, as the error for their client; `null` if they would be taken.
   *
   * @param bytes about what they take of the log: the length of a body is near enough before it is read
   * @param heldBytes what else the caller holds in memory for clients
   * @param client who would send them; without one, the program itself, which has no share and no limits
   * @param ownHeldBytes the part of `heldBytes` that is this client's
   */
  refusal(
    events: number,
    bytes: number,
    heldBytes?: number,
    client?: Client,
    ownHeldBytes?: number,
  ): ForebayError | null;
  /**
   * Takes events, all or none.
   *
   * @param block their texts, at least one, each checked by its source; nobody changes them from now on
   * @param answer called once: with `null` after the events are durable, with the error of `refusal`, with `LOG_FAILED` if
   *   none of them is in the log, or with `IN_DOUBT` if nobody knows or only some are. An error that it throws is an
   *   uncaught exception
   * @param client who sends them, as for `refusal`
   */
  take(block: EventBlock, answer: Answer, client?: Client): void;
}
