import type { IncomingMessage, ServerResponse } from 'node:http';
import { asError, ForebayError } from '../base/errors.js';
import type { Forebay } from '../forebay.js';
import { withKeyMember } from '../keys/key-member.js';
import { KeyHolder, KeyRefusal } from '../keys/keys.js';
import type { Keys } from '../keys/keys.js';
import { asksForKey } from '../keys/open-sources.js';
import type { HttpAnswer } from '../seams/http-answer.js';
import type { Logger } from '../base/reporter.js';
import type { EventContext } from '../event/event-context.js';
import type { Client } from '../seams/client.js';
import type { EventReader, Limits, RequestHead, Source } from '../seams/source.js';
import type { TracedRequest, Tracer } from '../seams/tracer.js';
import { answerRefused, isAnswered, sendAnswer } from './answers.js';
import { BodyReading, bodyTooLarge } from './body-reading.js';
import { CODINGS, isCoding } from './content-decoder.js';
import { CrossOrigin } from './cross-origin.js';
import type { IncomingBodies } from './incoming-bodies.js';
import type { NewestEvents } from './newest-events.js';
import type { Peer, Peers } from './peers.js';
import { eventsAtFault } from './request-counts.js';
import type { RequestCounts } from './request-counts.js';
import { idsOfRequests } from './request-ids.js';
import { contextOfHead } from './request-context.js';
import { codingOf, headOf } from './request-head.js';
import { guard } from './router.js';
import type { Route } from './router.js';
import { spanOf, tracedTake } from './traced-requests.js';
import type { Answer, ClientOf, TakeWhole, Ways } from './ways.js';

export interface SourceRouteOptions {
  readonly source: Source;
  readonly forebay: Forebay;
  /** Bodies of all sources that are being read. */
  readonly bodies: IncomingBodies;
  readonly peers: Peers;
  /** The largest body, inflated, in bytes. */
  readonly bodyBytesMax: number;
  /** The largest event, in bytes. */
  readonly eventBytesMax: number;
  /** Whether the `traceparent` of a request is kept. */
  readonly traceparent: 'keep' | 'ignore';
  /** Origins of web pages that may send. */
  readonly corsOrigins: readonly string[];
  /** Keys of clients; `null`: the server has none. */
  readonly keys: Keys | null;
  readonly logger: Logger;
  readonly counts: RequestCounts;
  readonly newest: NewestEvents;
  /** `null`: there are no spans. */
  readonly tracer: Tracer | null;
  /** `null`: it takes no TLS. */
  readonly tlsCert: string | null;
}

/**
 * Takes the events of a source. Answers `202`, or the answer of the source, when all are on disk.
 *
 * Refuses before the body is read, if it can. Takes nothing before the body is whole, so a refused or cut off upload
 * leaves no trace.
 */
export class SourceRoute implements Route {
  readonly methods: readonly string[];
  /** Ends timers of the source. */
  readonly stop: () => void;
  readonly #options: SourceRouteOptions;
  readonly #source: Source;
  readonly #forebay: Forebay;
  readonly #limits: Limits;
  readonly #bodyBytesMax: number;
  readonly #crossOrigin: CrossOrigin;
  /** `null`: this source asks for no key. */
  readonly #keys: Keys | null;

  constructor(options: SourceRouteOptions) {
    const { source, forebay, corsOrigins, keys } = options;
    const { depthMax, queueSize } = forebay.settings;
    const eventBytesMax = Math.min(options.eventBytesMax, source.limits.eventBytesMax ?? Infinity);
    this.#bodyBytesMax = Math.min(options.bodyBytesMax, source.limits.bodyBytesMax ?? Infinity);
    this.#options = options;
    this.#source = source;
    this.#forebay = forebay;
    this.#limits = { eventBytesMax, depthMax, eventsMax: queueSize };
    this.#crossOrigin = new CrossOrigin(corsOrigins);
    this.#keys = asksForKey(source, keys !== null) ? keys : null;
    this.stop = () => source.close?.();
    const hasOptions = corsOrigins.length > 0 || source.handshake !== undefined;
    this.methods = hasOptions ? ['POST', 'OPTIONS'] : ['POST'];
  }

  prepare(req: IncomingMessage, res: ServerResponse): void {
    this.#crossOrigin.prepare(req, res);
  }

  /** @param waits whether the client waits for `100 Continue` before it sends the body */
  handle(req: IncomingMessage, res: ServerResponse, waits: boolean): void {
    if (req.method === 'OPTIONS') {
      const handshake = this.#source.handshake?.(headOf(req)) ?? null;
      if (handshake === null) this.#crossOrigin.answerPreflight(req, res);
      else sendAnswer(res, handshake);
      req.resume();
      return;
    }
    const { bodies, peers } = this.#options;
    const source = this.#source;
    let known: Client | null = null;
    const refuse = (thrown: unknown, events: number): void => {
      const error = this.#refused(thrown, events, known);
      answerRefused(req, res, error, this.#wordsFor(error));
    };
    const head = headOf(req, this.#crossOrigin.allows(req));
    const coding = codingOf(req);
    const context = this.#contextOf(head);
    const span = spanOf(this.#options.tracer, this.#traced(context), res);
    let client: Client;
    let reader: EventReader;
    try {
      const foreign = this.#crossOrigin.refusal(req);
      if (foreign !== null) throw foreign;
      client = this.#clientsOf(head)(peers.of(req.socket));
      known = client;
      reader = this.#newReader(head, req, coding, client);
    } catch (error) {
      refuse(error, 1);
      return;
    }
    if (waits) res.writeContinue();
    const reading = new BodyReading({
      req,
      res,
      coding,
      reader,
      bodies,
      client,
      bodyBytesMax: this.#bodyBytesMax,
      verify: source.verify && ((body) => source.verify?.(head, body)),
      refusal: (length) => {
        const [held, own] = [bodies.bytes - length, bodies.bytesOf(client) - length];
        return this.#forebay.refusal(Math.max(1, reader.block.length), length, held, client, own);
      },
      done: (thrown) => {
        if (thrown !== null) {
          refuse(thrown, eventsAtFault(reader));
          return;
        }
        if (isAnswered(res)) return; // with 408, while the rest of the body came
        reader.block.context = context;
        span?.took(reader.block);
        this.#take(reader, client, (error) => {
          void guard(req, res, this.#options.logger, () => {
            if (error === null) sendAnswer(res, this.#accepted(reader, client));
            else refuse(error, reader.block.length);
          });
        });
      },
    });
    reading.begin();
  }

  /** How to take the bodies of plain requests with this head on the fast path; `null`: they are not for it. */
  takerOf(head: RequestHead): TakeWhole | null {
    if (!this.#source.isFast) return null;
    try {
      const clientsOf = this.#clientsOf(head);
      const newReader = this.#source.readerFor(head, this.#limits);
      const idsOf = idsOfRequests(this.#forebay, this.#source, head);
      const context = this.#contextOf(head);
      const ways = { head, clientsOf, newReader, idsOf, context, span: null };
      const take = this.#takeWhole.bind(this);
      return tracedTake(this.#options.tracer, this.#traced(context), ways, take);
    } catch {
      return null; // `node:http`'s way refuses it with a message
    }
  }

  /** Who sends requests with this head, by their connection. @throws KeyRefusal, as does the returned function */
  #clientsOf(head: RequestHead): ClientOf {
    return this.#keys?.holderOf(head, this.#source.name) ?? this.#options.peers.sendersOf(head);
  }

  #takeWhole(ways: Ways, body: Buffer, answer: Answer, peer: Peer): void {
    const { head, clientsOf, newReader, idsOf, context, span } = ways;
    let known: Client | null = null;
    let reader: EventReader | null = null;
    let client: Client;
    try {
      client = clientsOf(peer);
      known = client;
      this.#checkRoom(body.length, client);
      this.#source.verify?.(head, body);
      reader = newReader(body.length, idsOf(holderIn(client)));
      reader.append(body);
      reader.end();
    } catch (thrown) {
      answer(this.#wordsFor(this.#refused(thrown, eventsAtFault(reader), known)));
      return;
    }
    const whole = reader;
    whole.block.context = context;
    if (span !== null) span.took(whole.block);
    this.#take(whole, client, (error) => {
      try {
        answer(
          error === null
            ? this.#accepted(whole, client)
            : this.#wordsFor(this.#refused(error, whole.block.length, client)),
        );
      } catch (thrown) {
        this.#named(thrown); // a fault of the door must not end the process
      }
    });
  }

  /** @throws ForebayError if the head alone shows that the request is refused */
  #newReader(head: RequestHead, req: IncomingMessage, coding: string, client: Client): EventReader {
    const newReader = this.#source.readerFor(head, this.#limits);
    const idsOf = idsOfRequests(this.#forebay, this.#source, head);
    if (coding !== 'identity' && !isCoding(coding)) {
      throw new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Encoding must be one of ${CODINGS}, not ${coding}`,
      });
    }
    const declared = Number(req.headers['content-length'] ?? 0);
    this.#checkRoom(declared, client);
    return newReader(coding === 'identity' ? declared : 0, idsOf(holderIn(client)));
  }

  /** @throws ForebayError if there is no room for a body of this length */
  #checkRoom(length: number, client: Client): void {
    const { bodies } = this.#options;
    if (length > this.#bodyBytesMax) throw bodyTooLarge(this.#bodyBytesMax);
    const refusal = this.#forebay.refusal(1, length, bodies.bytes, client, bodies.bytesOf(client));
    if (refusal !== null) throw refusal;
  }

  #contextOf(head: RequestHead): EventContext | null {
    return contextOfHead(head, this.#options.traceparent === 'keep');
  }

  #traced(context: EventContext | null): TracedRequest {
    const { name, path } = this.#source;
    return { source: name, path, isTls: this.#options.tlsCert !== null, context };
  }

  #take({ block }: EventReader, client: Client, answer: (error: Error | null) => void): void {
    if (block.length === 0) {
      answer(null);
      return;
    }
    const { keyMember = null } = this.#source;
    let taken = block;
    try {
      if (keyMember !== null && client instanceof KeyHolder)
        taken = withKeyMember(block, keyMember, client.name);
    } catch (error) {
      answer(asError(error));
      return;
    }
    this.#forebay.take(taken, answer, client);
  }

  #accepted(reader: EventReader, client: Client): HttpAnswer {
    const { counts, newest } = this.#options;
    const { name } = this.#source;
    const answer = reader.accepted();
    const stored = reader.block.length - (reader.block.ids?.duplicates ?? 0);
    counts.accept(name, stored, reader.idsMade ?? 0, holderIn(client));
    newest.note(reader);
    if (reader.refused !== undefined)
      for (const [code, events] of reader.refused) counts.refuse(code, events, name, holderIn(client));
    return answer;
  }

  /** Counts this many events as refused. */
  #refused(thrown: unknown, events: number, client: Client | null): ForebayError {
    const error = this.#named(thrown);
    const holder = error instanceof KeyRefusal ? error.holder : holderIn(client);
    this.#options.counts.refuse(error.code, events, this.#source.name, holder);
    return error;
  }

  /** The answer to a refused request, in the words of the source. */
  #wordsFor(error: ForebayError): HttpAnswer {
    const answer = this.#source.refused(error);
    return error instanceof KeyRefusal ? error.challenged(answer) : answer;
  }

  #named(thrown: unknown): ForebayError {
    if (thrown instanceof ForebayError) return thrown;
    const cause = asError(thrown);
    this.#options.logger.error({ code: 'INTERNAL', err: cause }, `POST ${this.#source.path} failed`);
    return new ForebayError('INTERNAL', { cause });
  }
}

function holderIn(client: Client | null): KeyHolder | null {
  return client instanceof KeyHolder ? client : null;
}
