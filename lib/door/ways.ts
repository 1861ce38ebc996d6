import type { EventContext } from '../event/event-context.js';
import type { EventIds } from '../event/event-ids.js';
import type { KeyHolder } from '../keys/keys.js';
import type { Client } from '../seams/client.js';
import type { HttpAnswer } from '../seams/http-answer.js';
import type { NewReader, RequestHead } from '../seams/source.js';
import type { AcceptSpan } from '../seams/tracer.js';
import type { Peer } from './peers.js';

export type Answer = (answer: HttpAnswer) => void;

/** Says who sends a request: the holder of its key, or its address. Throws a `KeyRefusal` if the key is no longer good. */
export type ClientOf = (peer: Peer) => Client;

/** What is the same for all requests with one head. */
export interface Ways {
  readonly head: RequestHead;
  readonly clientsOf: ClientOf;
  readonly newReader: NewReader;
  readonly idsOf: (holder: KeyHolder | null) => EventIds | null;
  readonly context: EventContext | null;
  /** Of one request; `null`: it is not traced. */
  readonly span: AcceptSpan | null;
}

/** Takes a whole body, and answers once. */
export type TakeWhole = (body: Buffer, answer: Answer, peer: Peer) => void;
