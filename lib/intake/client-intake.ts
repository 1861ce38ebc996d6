import { ForebayError } from '../base/errors.js';
import type { EventBlock } from '../event/event-block.js';
import type { Client } from '../seams/client.js';
import type { EventLog } from '../seams/event-log.js';
import type { Answer, Intake } from '../seams/intake.js';
import type { Account } from './account.js';
import type { Accounts } from './accounts.js';
import type { Admission } from './admission.js';
import type { FairShares } from './fair-shares.js';
import { tell } from './waiting-requests.js';

export interface ClientIntakeOptions {
  readonly inner: Intake;
  readonly log: Pick<EventLog, 'bytesOf'>;
  readonly accounts: Accounts;
  readonly admission: Admission;
  readonly shares: FairShares;
}

/** Refuses the events of a client that has its share, or that comes too fast, and counts what it has in the queue. */
export class ClientIntake implements Intake {
  readonly #options: ClientIntakeOptions;

  constructor(options: ClientIntakeOptions) {
    this.#options = options;
  }

  refusal(
    events: number,
    bytes: number,
    heldBytes: number = 0,
    client?: Client,
    ownHeldBytes: number = 0,
  ): ForebayError | null {
    const { inner, accounts, shares } = this.#options;
    const error = inner.refusal(events, bytes, heldBytes);
    if (client === undefined || isMoreThanRoom(error)) return error;
    const account = accounts.find(client);
    const ofShare = shares.refusal(client, account, events, bytes, heldBytes, ownHeldBytes);
    return ofShare ?? error ?? ofRate(client, account, events, bytes);
  }

  /** Why a request like the last ones would be refused now, whatever the rate of its client; `null` if it would be taken. */
  unready(heldBytes: number, client?: Client, ownHeldBytes: number = 0): ForebayError | null {
    const { accounts, admission, shares } = this.#options;
    const error = admission.unready(heldBytes);
    if (client === undefined || isMoreThanRoom(error)) return error;
    const { events, bytes } = admission.likely;
    return shares.refusal(client, accounts.find(client), events, bytes, heldBytes, ownHeldBytes) ?? error;
  }

  take(block: EventBlock, answer: Answer, client?: Client): void {
    const { inner, log, accounts, shares } = this.#options;
    if (client === undefined) {
      inner.take(block, answer);
      return;
    }
    const events = block.length;
    const bytes = log.bytesOf(block, 0, events);
    const account = accounts.of(client);
    const refusal =
      shares.refusal(client, account, events, bytes, 0, 0) ?? ofRate(client, account, events, bytes);
    if (refusal !== null) {
      const error = inner.refusal(events, bytes);
      tell(answer, isMoreThanRoom(error) ? error : refusal);
      return;
    }
    const { limits } = client;
    account.queue(events, bytes, limits);
    accounts.queueEvents += events;
    accounts.queueBytes += bytes;
    const answered = (error: Error | null): void => {
      accounts.queueEvents -= events;
      accounts.queueBytes -= bytes;
      account.current.answer(events, bytes, error === null, limits);
      answer(error);
    };
    inner.take(block, answered, client);
  }
}

/** Whether events are refused for another reason than that others have the room. */
function isMoreThanRoom(error: ForebayError | null): error is ForebayError {
  return error !== null && error.code !== 'QUEUE_FULL' && error.code !== 'BACKLOG_FULL';
}

/** Why the events of a client come too fast; `null`: they do not. */
function ofRate(client: Client, account: Account, events: number, bytes: number): ForebayError | null {
  const { limits } = client;
  const retryAfterMs = account.rateWaitMs(limits, events, bytes);
  if (retryAfterMs === 0) return null;
  const { eventsPerSecond, bytesPerSecond } = limits;
  const most = [
    ...(eventsPerSecond === null ? [] : [`${eventsPerSecond} events`]),
    ...(bytesPerSecond === null ? [] : [`${bytesPerSecond} bytes`]),
  ];
  const message = `This client may send ${most.join(' and ')} a second (--client-rate-events, --client-rate-bytes, or the limits of its key): please retry later`;
  return new ForebayError('CLIENT_RATE', { message, retryAfterMs });
}
