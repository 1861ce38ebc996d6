import type { ErrorCode, ForebayError } from '../base/errors.js';
import type { HttpAnswer } from './http-answer.js';
import type { EventBlock } from '../event/event-block.js';
import type { EventIds } from '../event/event-ids.js';

/**
 * What one path understands: who may send there, how a body holds events, and which answer the sender expects. The
 * door reads HTTP, undoes content codings, bounds memory and checks for room; a source knows none of this. A new
 * source is a folder and a line in `registry.ts`.
 */
export interface Source {
  /** In metrics, log lines and errors. */
  readonly name: string;
  readonly path: string;
  readonly limits: SourceLimits;
  /** Whether its plain requests may take the fast path. */
  readonly isFast: boolean;
  /** Whether senders need a key of `--keys-file`; without: unless there is `verify`. */
  readonly keyRule?: KeyRule | null;
  /** How long the ids of its events are remembered, in milliseconds; 0: not at all; `null`: by default. */
  readonly idWindowMs?: number | null;
  /** The default of its kind; of the source `events` it is `--id-window`. */
  readonly idWindowDefaultMs?: number | null;
  /** What happens to an event whose id is known and whose content is not; `null`: as `--id-conflict` says. */
  readonly idConflict?: 'accept' | 'reject' | null;
  /** A member that each event gets, with the name of its key; `null`: none. */
  readonly keyMember?: string | null;
  /**
   * Called before a body is read, and on the fast path once for all following requests with the same head: the result
   * must depend on the head alone. The returned function checks what may change between requests.
   *
   * @returns makes the reader of each body
   * @throws ForebayError if a request with this head is refused
   */
  readerFor(head: RequestHead, limits: Limits): NewReader;
  /**
   * Checks a body as it was sent, before its content coding is undone and anything is read. Only a source with this
   * method waits for the whole body first, which is at most `--body-max`.
   *
   * @throws ForebayError if the request is refused
   */
  verify?(head: RequestHead, body: Buffer): void;
  /** The answer to a refused request. Does not throw. */
  refused(error: ForebayError): HttpAnswer;
  /**
   * The answer to an `OPTIONS` request in which a sender asks whether it may send; `null`: it asks nothing that this
   * source knows. Does not throw.
   */
  handshake?(head: RequestHead): HttpAnswer | null;
  /** Called when the server stops: ends timers. */
  close?(): void;
}

export type KeyRule = 'required' | 'none';

/** The head of a request, the same on the fast path as from `node:http`. */
export interface RequestHead {
  /** The request target: the path, and the query if there is one. */
  readonly target: string;
  /** @param name in lower case */
  header(name: string): string | undefined;
  /** The headers with a name, in lower case, that starts with this prefix. */
  headersWith(prefix: string): ReadonlyMap<string, string>;
  /** Whether a web page has sent it that may send (`--cors-origin`). Never on the fast path. */
  readonly isOfPage?: boolean;
}

/** Bounds of a source that are lower than those of the server; `null`: the same. */
export interface SourceLimits {
  /** The largest event, in bytes. */
  readonly eventBytesMax: number | null;
  /** The largest body, inflated, in bytes. */
  readonly bodyBytesMax: number | null;
}

/** What bounds the events of a request. */
export interface Limits {
  /** The largest event, in bytes. */
  readonly eventBytesMax: number;
  /** How deep an event may be nested. */
  readonly depthMax: number;
  /** The maximum number of events, refused ones included. */
  readonly eventsMax: number;
}

/**
 * Makes the reader of one body.
 *
 * @param lengthDeclared in bytes; 0 if not known
 * @param ids get the id of each event, in the order of the block, which has them then; `null`: there is no window
 * @throws ForebayError if the request is refused before its body is read
 */
export type NewReader = (lengthDeclared: number, ids?: EventIds | null) => EventReader;

/** Reads one body. All of its events are taken, or none. */
export interface EventReader {
  /** The events read so far, as lines of the log. */
  readonly block: EventBlock;
  /** How many events were refused alone while the others are taken, by error code, if the sender asked for that. */
  readonly refused?: ReadonlyMap<ErrorCode, number> | undefined;
  /** How many events got an id from the server, because the sender gave none. */
  readonly idsMade?: number;
  /** @throws ForebayError if the body so far is wrong */
  append(piece: Buffer): void;
  /** @throws ForebayError if the whole body is wrong */
  end(): void;
  /** The answer when `block` is on disk. Does not throw. */
  accepted(): HttpAnswer;
}
