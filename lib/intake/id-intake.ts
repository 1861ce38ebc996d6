import { ForebayError } from '../base/errors.js';
import { EventBlock } from '../event/event-block.js';
import { ID_WORDS } from '../event/event-ids.js';
import type { EventIds } from '../event/event-ids.js';
import type { Client } from '../seams/client.js';
import type { Answer, Intake } from '../seams/intake.js';
import { entryTime, NONE } from './id-table.js';
import type { IdsOfSource } from './ids-of-source.js';
import { tell } from './waiting-requests.js';

const NOTHING = new Uint8Array(0);

/**
 * Leaves out events whose ids are in the window. An id is in it from the moment its event comes: until that is
 * durable, it is on its way with its request, and a twin waits for the outcome of that request and gets the same.
 */
export class IdIntake implements Intake {
  readonly #inner: Intake;
  readonly #sources: ReadonlyMap<string, IdsOfSource>;
  readonly #requests = new Requests();

  constructor(inner: Intake, sources: ReadonlyMap<string, IdsOfSource>) {
    this.#inner = inner;
    this.#sources = sources;
  }

  refusal(...about: Parameters<Intake['refusal']>): ForebayError | null {
    return this.#inner.refusal(...about);
  }

  take(block: EventBlock, answer: Answer, client?: Client): void {
    const { ids } = block;
    const source = ids === null ? undefined : this.#sources.get(ids.scope.source);
    if (ids === null || source === undefined) this.#inner.take(block, answer, client);
    else new Request({ block, ids, source, requests: this.#requests, answer }).take(this.#inner, client);
  }
}

/** Requests whose events are on their way to the log, by number. */
class Requests {
  /** The size of requests that wait for others, in bytes. */
  heldBytes = 0;
  readonly #all: (Request | null)[] = [];
  readonly #free: number[] = [];

  add(request: Request): number {
    const number = this.#free.pop() ?? this.#all.length;
    this.#all[number] = request;
    return number;
  }

  get(number: number): Request | null {
    return this.#all[number] ?? null;
  }

  delete(number: number): void {
    this.#all[number] = null;
    this.#free.push(number);
  }
}

interface RequestOptions {
  readonly block: EventBlock;
  readonly ids: EventIds;
  readonly source: IdsOfSource;
  readonly requests: Requests;
  readonly answer: Answer;
}

class Request {
  readonly #options: RequestOptions;
  readonly #number: number;
  /** The entries of its new events, in their order; `NONE`: settled. */
  #places: number[] = [];
  #unsettled = 0;
  /** What became of its own events, as its client hears it; `undefined`: not known yet. */
  #outcome: Error | null | undefined = undefined;
  /** Called with its outcome: requests that bring one of its events again. */
  #twins: Answer[] | null = null;
  /** Outcomes to wait for before the answer: its own, and those of requests that have brought some of its events. */
  #waitsFor = 1;
  #othersError: Error | null = null;
  #heldBytes = 0;
  #refusal: ForebayError | null = null;

  constructor(options: RequestOptions) {
    this.#options = options;
    this.#number = options.requests.add(this);
  }

  take(inner: Intake, client: Client | undefined): void {
    const { block, ids, source } = this.#options;
    ids.seal();
    const others = this.#lookUp();
    if (ids.conflicts > 0) this.#refusal = source.refusalOf(ids, block.length);
    if (others !== null) this.#waitForAll(others, inner);
    const stored = this.#places.length;
    // what comes with a refused event is not taken either
    if (stored === 0 || this.#refusal !== null) {
      this.#ended(null, new Error('refused'));
      return;
    }
    const fresh = stored === block.length ? block : withoutKnown(block, ids);
    if (fresh.ids !== null) fresh.ids.ended = this.#settle;
    inner.take(
      fresh,
      (error) => {
        this.#ended(error, error);
      },
      client,
    );
  }

  /** @returns requests that have brought some of its events and are on their way */
  #lookUp(): Set<Request> | null {
    const { ids, source, requests } = this.#options;
    const { words } = ids;
    const { table } = source;
    const nowS = entryTime(Date.now());
    let others: Set<Request> | null = null;
    for (let index = 0, at = 0; index < ids.length; index++, at += ID_WORDS) {
      const place = table.find(words, at, nowS);
      if (place === NONE) {
        this.#places.push(table.add(words, at, this.#number, nowS));
        continue;
      }
      const isSame = table.contentOf(place) === words[at + ID_WORDS - 1];
      ids.found(index, isSame ? 'duplicate' : 'conflict');
      const other = requests.get(table.requestOf(place));
      if (other !== null && other !== this) (others ??= new Set()).add(other);
    }
    this.#unsettled = this.#places.length;
    return others;
  }

  /** What waits is in memory, as what is in the queue: together they have the room of the queue once more. */
  #waitForAll(others: ReadonlySet<Request>, inner: Intake): void {
    const { block, requests } = this.#options;
    const bytes = block.startOf(block.length);
    const full = inner.refusal(block.length, bytes, requests.heldBytes);
    if (full?.code === 'QUEUE_FULL') {
      this.#refusal = full;
      return;
    }
    this.#heldBytes = bytes;
    requests.heldBytes += bytes;
    for (const other of others) this.#waitFor(other);
  }

  /** Its client may have its answer already: then the same holds for this one. */
  #waitFor(other: Request): void {
    this.#waitsFor++;
    const told: Answer = (error) => {
      this.#othersError ??= error;
      this.#finish();
    };
    if (other.#outcome === undefined) (other.#twins ??= []).push(told);
    else told(other.#outcome);
  }

  /** An id stays in the window if its event is durable, and only then (N14). */
  readonly #settle = (from: number, to: number, error: Error | null): void => {
    const { table } = this.#options.source;
    const nowS = entryTime(Date.now());
    for (let index = from; index < to; index++) {
      const place = this.#places[index] ?? NONE;
      if (place === NONE) continue;
      if (error === null) table.keep(place, nowS);
      else table.drop(place);
      this.#places[index] = NONE;
      this.#unsettled--;
    }
    this.#leave();
  };

  /** @param why set if its events are not on their way, unless nobody knows */
  #ended(error: Error | null, why: Error | null): void {
    this.#outcome = error;
    if (why !== null && !isInDoubt(why)) this.#settle(0, this.#places.length, why);
    const twins = this.#twins;
    this.#twins = null;
    this.#leave();
    this.#finish();
    for (const told of twins ?? []) told(error);
  }

  /** Nobody refers to it any longer by its number. */
  #leave(): void {
    if (this.#outcome === undefined || this.#unsettled > 0) return;
    this.#unsettled = Infinity;
    this.#options.requests.delete(this.#number);
  }

  #finish(): void {
    if (--this.#waitsFor > 0) return;
    const { ids, source, answer, requests } = this.#options;
    requests.heldBytes -= this.#heldBytes;
    const error = this.#outcome ?? this.#errorOfOthers() ?? this.#refusal;
    if (error === null) source.count(ids, this.#options.block);
    tell(answer, error);
  }

  #errorOfOthers(): Error | null {
    const cause = this.#othersError;
    const hasStored = this.#places.length > 0 && this.#refusal === null;
    if (cause === null || !hasStored) return cause;
    const message =
      'Some of the events are on disk and will be delivered; others came with another request, which failed';
    return new ForebayError('IN_DOUBT', { message, retryAfterMs: 1000, cause });
  }
}

function isInDoubt(error: Error): boolean {
  return error instanceof ForebayError && error.code === 'IN_DOUBT';
}

/** The events that are not in the window. */
function withoutKnown(block: EventBlock, ids: EventIds): EventBlock {
  const fresh = new EventBlock();
  const { bytes, length } = block;
  for (let index = 0; index < length; index++) {
    if (ids.findingOf(index) === 'new')
      fresh.add(bytes, block.startOf(index), block.startOf(index + 1), NOTHING);
  }
  fresh.ids = ids.onlyNew();
  return fresh;
}
