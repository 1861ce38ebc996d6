import type { ErrorCode, ForebayError } from '../base/errors.js';
import type { HttpAnswer } from './http-answer.js';
import type { EventBlock } from '../event/event-block.js';

/**
 * What one path understands: who may send there, what the events of a body are, and what the sender expects to hear. The
 * door reads HTTP, undoes content codings, bounds memory and asks whether there is room; a source knows none of this. To
 * add one is a file and a line in `registry.ts`; a rule, such as a key, wraps a source with its own signature.
 */
export interface Source {
  readonly path: string;
  /** Whether its plain requests may take the fast path. */
  readonly isFast: boolean;
  /**
   * Asked before a body is read, and on the fast path once for all requests that follow with the same head: the
   * result must follow from the head alone. What may change from one request to the next is asked by what is returned.
   *
   * @returns makes the reader of each body
   * @throws ForebayError if a request with this head is refused
   */
  readerFor(head: RequestHead, limits: Limits): NewReader;
  /**
   * Checks a body as it was sent, before its content coding is undone and anything is read. Only a source that has this
   * waits for the whole body first, which is at most `--body-max`.
   *
   * @throws ForebayError if the request is refused
   */
  verify?(head: RequestHead, body: Buffer): void;
  /** The answer to a refused request. Does not throw. */
  refused(error: ForebayError): HttpAnswer;
}

/** The head of a request, the same on the fast path as from `node:http`. */
export interface RequestHead {
  /** What is asked for: the path, and a query if there is one. */
  readonly target: string;
  /** @param name in small letters */
  header(name: string): string | undefined;
}

/** What bounds the events of a request. */
export interface Limits {
  /** The largest event, in bytes. */
  readonly eventBytesMax: number;
  /** How deep an event may be nested. */
  readonly depthMax: number;
  /** The most events of a request, refused ones included. */
  readonly eventsMax: number;
}

/**
 * Makes the reader of one body.
 *
 * @param lengthDeclared in bytes; 0: not known
 * @throws ForebayError if the request is refused, still before its body is read
 */
export type NewReader = (lengthDeclared: number) => EventReader;

/** Reads one body. All of its events are taken, or none. */
export interface EventReader {
  /** The events read so far, as lines of the log. */
  readonly block: EventBlock;
  /** How many events were refused alone while the others are taken, by error code, if the sender asked for that. */
  readonly refused?: ReadonlyMap<ErrorCode, number> | undefined;
  /** @throws ForebayError if what has come so far is wrong */
  append(piece: Buffer): void;
  /** @throws ForebayError if the whole is wrong */
  end(): void;
  /** The answer when `lines` are on disk. Does not throw. */
  accepted(): HttpAnswer;
}
