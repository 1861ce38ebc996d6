import { ForebayError } from '../base/errors.js';
import { EventBlock } from '../event/event-block.js';
import { ID_WORDS } from '../event/event-ids.js';
import type { EventIds, IdKeeper } from '../event/event-ids.js';
import type { Client } from '../seams/client.js';
import type { Answer, Intake } from '../seams/intake.js';
import { entryTime } from './entry-time.js';
import { NONE } from './id-table.js';
import type { IdsOfSource } from './ids-of-source.js';
import { tell } from './waiting-requests.js';

const NOTHING = new Uint8Array(0);
const LATE_CONFLICTS: ReadonlySet<string> = new Set(['ID_CONFLICT', 'IDEMPOTENCY_KEY_REUSED']);
/** What was wrong with another request may be right with this one. */
const REFUSED_OTHER = {
  message: 'The request that brought an event of this one before was refused, and nothing is stored',
  retryAfterMs: 1000,
};
/** Ids whose buckets are read ahead: more than processors read at once, and few enough for their nearest memory. */
const FETCHED = 32;

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
    else new Request(block, ids, source, this.#requests, answer).take(this.#inner, client);
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

class Request implements IdKeeper {
  readonly #block: EventBlock;
  readonly #ids: EventIds;
  readonly #source: IdsOfSource;
  readonly #requests: Requests;
  readonly #answer: Answer;
  readonly #number: number;
  /** The ids of its events; later of those that are new. Each has its place in the table until it is settled: then `NONE`. */
  #fresh: EventIds;
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
  #hasStored = false;

  constructor(block: EventBlock, ids: EventIds, source: IdsOfSource, requests: Requests, answer: Answer) {
    this.#block = block;
    this.#ids = ids;
    this.#source = source;
    this.#requests = requests;
    this.#answer = answer;
    this.#fresh = ids;
    this.#number = requests.add(this);
  }

  take(inner: Intake, client: Client | undefined): void {
    const block = this.#block;
    const ids = this.#ids;
    ids.seal();
    const others = this.#lookUp();
    if (ids.conflicts > 0) this.#refusal = this.#source.refusalOf(ids, block.length);
    if (others !== null) this.#waitForAll(others, inner);
    // what comes with a refused event is not taken either
    if (this.#unsettled === 0 || this.#refusal !== null) {
      this.#ended(null, new Error('refused'));
      return;
    }
    this.#hasStored = true;
    const fresh = ids.duplicates === 0 ? block : withoutKnown(block, ids);
    if (fresh.ids !== null) this.#fresh = fresh.ids;
    this.#fresh.keeper = this;
    this.#fresh.refusesWhole = ids.isKeyed || (ids.scope.refusesConflicts && !ids.refusesAlone);
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
    const ids = this.#ids;
    const { words } = ids;
    const { table } = this.#source;
    const nowS = entryTime(Date.now());
    let others: Set<Request> | null = null;
    for (let index = 0; index < ids.length; index++) {
      const at = ids.at(index);
      if (index % FETCHED === 0 && ids.length > 1)
        table.fetch(words, at, Math.min(FETCHED, ids.length - index));
      const place = table.find(words, at, nowS);
      if (place === NONE) {
        ids.setPlace(index, table.add(words, at, this.#number, nowS));
        continue;
      }
      ids.setPlace(index, NONE);
      const isSame = table.contentOf(place) === words[at + ID_WORDS - 1];
      ids.found(index, isSame ? 'duplicate' : 'conflict');
      const other = this.#requests.get(table.requestOf(place));
      if (other !== null && other !== this) (others ??= new Set()).add(other);
    }
    this.#unsettled = ids.length - ids.duplicates;
    return others;
  }

  /** What waits is in memory, as what is in the queue: together they have the room of the queue once more. */
  #waitForAll(others: ReadonlySet<Request>, inner: Intake): void {
    const block = this.#block;
    const requests = this.#requests;
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
      this.#othersError ??= isConflict(error) ? new ForebayError('LOG_FAILED', REFUSED_OTHER) : error;
      this.#finish();
    };
    if (other.#outcome === undefined) (other.#twins ??= []).push(told);
    else told(other.#outcome);
  }

  /** An id stays in the window if its event is durable, and only then (N14). */
  ended(from: number, to: number, error: Error | null): void {
    const { table } = this.#source;
    const fresh = this.#fresh;
    const nowS = entryTime(Date.now());
    for (let index = from; index < to; index++) {
      const place = fresh.placeOf(index);
      if (place === NONE) continue;
      // of one that another instance has stored, with other content, this one does not know the content
      if (error === null && fresh.findingOf(index) !== 'conflict') table.keep(place, nowS);
      else table.drop(place);
      fresh.setPlace(index, NONE);
      this.#unsettled--;
    }
    this.#leave();
  }

  /** @param why set if its events are not on their way, unless nobody knows */
  #ended(error: Error | null, why: Error | null): void {
    this.#hearOfLog();
    this.#outcome = isConflict(error)
      ? (this.#source.refusalOf(this.#ids, this.#block.length) ?? error)
      : error;
    if (why !== null && !isInDoubt(why)) this.ended(0, this.#fresh.length, why);
    const twins = this.#twins;
    this.#twins = null;
    this.#leave();
    this.#finish();
    for (const told of twins ?? []) told(error);
  }

  /** Of the events that are new here, the log may know some: other instances have stored them. */
  #hearOfLog(): void {
    const ids = this.#ids;
    const fresh = this.#fresh;
    if (fresh === ids || fresh.duplicates === 0) return;
    let at = 0;
    for (let index = 0; index < ids.length; index++) {
      if (ids.findingOf(index) !== 'new') continue;
      const finding = fresh.findingOf(at++);
      if (finding !== 'new') ids.found(index, finding);
    }
  }

  /** Nobody refers to it any longer by its number. */
  #leave(): void {
    if (this.#outcome === undefined || this.#unsettled > 0) return;
    this.#unsettled = Infinity;
    this.#requests.delete(this.#number);
  }

  #finish(): void {
    if (--this.#waitsFor > 0) return;
    this.#requests.heldBytes -= this.#heldBytes;
    const error = this.#outcome ?? this.#errorOfOthers() ?? this.#refusal;
    const ids = this.#ids;
    if (error === null && ids.duplicates > 0) this.#source.count(ids, this.#block);
    tell(this.#answer, error);
  }

  #errorOfOthers(): Error | null {
    const cause = this.#othersError;
    if (cause === null || !this.#hasStored) return cause;
    const message =
      'Some of the events are on disk and will be delivered; others came with another request, which failed';
    return new ForebayError('IN_DOUBT', { message, retryAfterMs: 1000, cause });
  }
}

/** Only a log that instances share knows it so late. */
function isConflict(error: Error | null): boolean {
  return error instanceof ForebayError && LATE_CONFLICTS.has(error.code);
}

function isInDoubt(error: Error): boolean {
  return error instanceof ForebayError && error.code === 'IN_DOUBT';
}

/** The events that are not in the window. */
function withoutKnown(block: EventBlock, ids: EventIds): EventBlock {
  const fresh = new EventBlock();
  const { length } = block;
  for (let index = 0; index < length; index++) {
    if (ids.findingOf(index) === 'new') fresh.addBytes(block.lineOf(index), NOTHING);
  }
  fresh.ids = ids.onlyNew();
  fresh.context = block.context;
  return fresh;
}
