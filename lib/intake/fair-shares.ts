import { ForebayError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import type { Client } from '../seams/client.js';
import type { EventLog } from '../seams/event-log.js';
import type { Account } from './account.js';
import type { Accounts } from './accounts.js';
import { BACKLOG_RETRY_AFTER_MS_MAX, BACKLOG_ROOM, bounded } from './admission.js';
import type { Admission, Queue } from './admission.js';
import type { BacklogLedger } from './backlog-ledger.js';
import type { LettersWatch } from './letters-watch.js';

/** The settings that shares depend on. */
export interface ShareSettings {
  readonly clientShare: number;
  readonly queueSize: number;
  readonly queueBytes: number;
  readonly backlogBytesMax: number;
  readonly deadLettersBytesMax: number;
}

export interface FairSharesOptions extends ShareSettings {
  readonly log: Pick<EventLog, 'pendingBytes'>;
  readonly queue: Queue;
  readonly admission: Admission;
  readonly accounts: Accounts;
  readonly ledger: BacklogLedger;
  readonly letters: LettersWatch;
  readonly reporter: Reporter;
}

/** Someone has to make room among the dead letters, and is seen to within seconds. */
const LETTERS_RETRY_AFTER_MS = 60_000;
/** After someone modest found no room, no request takes all of the queue for this long, in milliseconds. */
const QUIET_MS = 5000;
/** How often the log says that a client is refused, in milliseconds. */
const SAY_MS = 60_000;

/**
 * Keeps each client from taking all of what is bounded: it may have a share (`clientShare`) of what the others leave. So
 * an only client may fill nearly everything, several who want all get equal parts, and something is always free for one
 * who comes with little.
 */
export class FairShares {
  readonly #options: FairSharesOptions;
  #saidAtMs = -Infinity;
  /** When a client that had nothing in the queue found no room. */
  #turnedAwayMs = -Infinity;

  constructor(options: FairSharesOptions) {
    this.#options = options;
  }

  /** Why events of this client are refused; `null`: it is below its shares. @param heldBytes see `Intake.refusal` */
  refusal(
    client: Client,
    account: Account,
    events: number,
    bytes: number,
    heldBytes: number,
    ownHeldBytes: number,
  ): ForebayError | null {
    if (this.#options.clientShare === 1) return null;
    const error =
      this.#ofQueue(account, events, bytes, heldBytes, ownHeldBytes) ??
      this.#ofBacklog(account, events, bytes, heldBytes, ownHeldBytes) ??
      this.#ofLetters(account);
    if (error?.code === 'CLIENT_SHARE') this.#say(client, error);
    return error;
  }

  #ofQueue(
    account: Account,
    events: number,
    bytes: number,
    heldBytes: number,
    ownHeldBytes: number,
  ): ForebayError | null {
    const { queue, admission, accounts, clientShare, queueSize, queueBytes } = this.#options;
    const ownBytes = account.queueBytes + ownHeldBytes;
    const eventsFree = queueSize - queue.queuedEvents;
    const bytesFree = queueBytes - queue.queuedBytes - heldBytes;
    // a whole event: a queue of two takes two from an only client
    const eventsMost = Math.ceil(clientShare * (account.queueEvents + eventsFree));
    const bytesMost = clientShare * (ownBytes + bytesFree);
    if (account.queueEvents + events <= eventsMost && ownBytes + bytes <= bytesMost) return null;
    const hasNothing = account.queueEvents === 0 && ownBytes === 0;
    const isLarge = events > Math.ceil(clientShare * queueSize) || bytes > clientShare * queueBytes;
    if (hasNothing && isLarge && events <= eventsFree && bytes <= bytesFree && !this.#hasTurnedAway)
      return null;
    if (hasNothing && !isLarge) this.#turnedAwayMs = performance.now();
    const isAlone =
      accounts.queueEvents === account.queueEvents && accounts.queueBytes + heldBytes === ownBytes;
    // the others have all of it, or this client has: to it, the queue is full
    if (hasNothing || isAlone) return admission.queueFull();
    const message = `This client has its share of the queue (--client-share ${clientShare} of what others leave): please retry later`;
    const { retryAfterMs = 0 } = admission.queueFull(); // all of its events are out of the queue by then
    return new ForebayError('CLIENT_SHARE', { message, retryAfterMs });
  }

  /** Whether someone modest found no room lately: a request that is larger than any share waits for better times. */
  get #hasTurnedAway(): boolean {
    return performance.now() - this.#turnedAwayMs < QUIET_MS;
  }

  #ofBacklog(
    account: Account,
    events: number,
    bytes: number,
    heldBytes: number,
    ownHeldBytes: number,
  ): ForebayError | null {
    const { log, queue, admission, ledger, clientShare } = this.#options;
    const own = account.backlogBytes + account.queueBytes + ownHeldBytes;
    const free = admission.backlogRoom(events, bytes, heldBytes) + bytes;
    const most = shareOf(clientShare, own, free, free + log.pendingBytes + queue.queuedBytes + heldBytes);
    if (own + bytes <= most) return null;
    if (own === 0) return admission.backlogFull(bytes - most);
    ledger.check(); // of files that someone has deleted, no one hears
    const message = `This client has ${own} bytes on disk that wait for the sink, its share of --backlog-max (--client-share ${clientShare} of what others leave): please retry later`;
    const room = own + bytes - most + most * BACKLOG_ROOM;
    // a large file may keep what the sink has taken of a client for long
    const drainMs = Math.min(account.drainMs(room), admission.backlogDrainMs);
    const retryAfterMs = bounded(drainMs, BACKLOG_RETRY_AFTER_MS_MAX);
    return new ForebayError('CLIENT_SHARE', { message, retryAfterMs });
  }

  /** A client whose events the sink mostly takes goes on: those that it refuses wait aside when there is no room. */
  #ofLetters(account: Account): ForebayError | null {
    if (account.letterBytes === 0 || !account.isMostlyRefused) return null;
    const { letters, clientShare, deadLettersBytesMax } = this.#options;
    const free = Math.max(0, deadLettersBytesMax - letters.bytes);
    if (account.likelyLetterBytes <= clientShare * (account.letterBytes + free)) return null;
    letters.lookLater();
    const message = `The sink refuses what this client sends, and its dead letters have their share of --dead-letters-max (--client-share ${clientShare} of what others leave): please correct the events`;
    return new ForebayError('CLIENT_SHARE', { message, retryAfterMs: LETTERS_RETRY_AFTER_MS });
  }

  /** Clients that are refused come back soon. */
  #say({ id }: Client, error: ForebayError): void {
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < SAY_MS) return;
    this.#saidAtMs = nowMs;
    this.#options.reporter.warn('CLIENT_SHARE', `${id} gets 429, perhaps others as well: ${error.message}`);
  }
}

/**
 * How much a client may have. If nearly all is free, one that has nothing may have all of it: a request that is larger
 * than any share must not be refused for ever.
 */
function shareOf(share: number, own: number, free: number, all: number): number {
  return own === 0 && free >= share * all ? free : share * (own + free);
}
