import { batchOf, divided, eventOf } from './batch.js';
import type { Batch, Entry } from './batch.js';
import { ForebayClientError } from './client-error.js';
import { CLOCK } from './clock.js';
import type { Clock } from './clock.js';
import { eventText } from './event-text.js';
import type { ClientEvent } from './event-text.js';
import { post } from './post.js';
import { checked } from './settings.js';
import type { ForebayClientOptions, Settings } from './settings.js';
import type { Repeat, Settled } from './verdict.js';

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 30_000;
/** At most this long between requests while someone has to mend a key or an address. */
const SETUP_MS_MAX = 60_000;
const STOP_TIMEOUT_MS = 10_000;

const UTF8 = new TextEncoder();

/**
 * Sends events to a Forebay: in batches, in their order, one request at a time. What may not have arrived is sent
 * again with the same ids, without end. The promise of `send` may be ignored: its rejection ends no process.
 *
 * The buffer is in memory, and is lost with its process. While it has events a Node.js process stays. A page that is
 * closed loses it, too, except for a request of at most 60,000 bytes under way: call `flush` when the page is hidden
 * (`visibilitychange`).
 */
export class ForebayClient {
  /** Calls of `send`: `sent = accepted + refused + unsent + bufferedEvents`. */
  sent = 0;
  /** Events that are on the server's disk. */
  accepted = 0;
  /** Accepted events that the server had already, by their ids. */
  duplicates = 0;
  /** Events whose promise was rejected, by the server or here. `onRefused` gets each. */
  refused = 0;
  /** Events that `stop` returned. */
  unsent = 0;
  /** Requests that were repeated. */
  retries = 0;
  /** Bytes in the buffer. */
  bufferedBytes = 0;
  readonly #settings: Settings;
  readonly #clock: Clock;
  /** Events without an outcome, oldest first. Those of the batch under way are still among them. */
  readonly #buffer: Entry[] = [];
  /** Events that have left the buffer. */
  #gone = 0;
  /** Nothing waits for more events until this many are gone. */
  #flushTo = 0;
  /** Run when events have left the buffer. */
  readonly #waiting: (() => void)[] = [];
  #isRunning = false;
  /** Whether a batch is filling, and nothing is under way. */
  #isFilling = false;
  /** Failures in a row. */
  #failures = 0;
  #request = new AbortController();
  /** Ends the present pause. */
  #wake: () => void = () => undefined;
  #stopped: Promise<ClientEvent[]> | null = null;
  #isEnded = false;

  /** @throws ForebayClientError `SETTING_INVALID` */
  constructor(options: ForebayClientOptions, clock: Clock = CLOCK) {
    this.#settings = checked(options);
    this.#clock = clock;
  }

  /** Events in the buffer: taken, and without an outcome. */
  get bufferedEvents(): number {
    return this.#buffer.length;
  }

  /**
   * Takes an event into the buffer. Its JSON text is made now, with an id if it has none; neither changes later.
   *
   * @returns a promise that resolves when the event is on the server's disk. It rejects with a `ForebayClientError`: at
   *   once with `BUFFER_FULL`, `STOPPED`, `EVENT_NOT_OBJECT`, `EVENT_FIELD` or `EVENT_NOT_JSON`; later with the server's
   *   code if it refuses the event for good, and with `STOPPED` if `stop` returns the event.
   */
  send(event: ClientEvent): Promise<void> {
    this.sent++;
    const promise = new Promise<void>((resolve, reject) => {
      try {
        this.#take(event, resolve, reject);
      } catch (error) {
        this.#refuse(event, error as ForebayClientError, reject);
      }
    });
    promise.catch(() => undefined);
    return promise;
  }

  /**
   * Resolves when the buffer has room for an event. Of several that wait, those that come later may find it full again.
   *
   * @throws ForebayClientError `STOPPED`
   */
  async ready(): Promise<void> {
    while (this.#stopped === null && !this.#hasRoom()) await this.#change();
    if (this.#stopped !== null) throw stopped();
  }

  /** Sends what is buffered without waiting for more. Resolves when all of it has an outcome, however long that takes. */
  async flush(): Promise<void> {
    const end = this.#gone + this.#buffer.length;
    this.#flushTo = end;
    this.#look();
    while (this.#gone < end) await this.#change();
  }

  /**
   * Takes no more events, and flushes for at most `timeoutMs` milliseconds: default 10,000; 0 ends at once. A second
   * call returns the promise of the first one.
   *
   * @returns the events without an outcome, oldest first, with their ids. Some may have arrived: send them with these.
   */
  stop({ timeoutMs = STOP_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Promise<ClientEvent[]> {
    this.#stopped ??= this.#stop(timeoutMs);
    this.#changed();
    return this.#stopped;
  }

  async #stop(timeoutMs: number): Promise<ClientEvent[]> {
    const left: ClientEvent[] = [];
    const end = (): void => {
      this.#isEnded = true;
      for (const entry of this.#leave(this.#buffer.length)) {
        this.unsent++;
        entry.reject(stopped());
        left.push(eventOf(entry));
      }
      this.#request.abort();
      this.#wake();
    };
    if (timeoutMs > 0) {
      const cancel = this.#clock.after(timeoutMs, end);
      await this.flush();
      cancel();
    }
    end();
    return left;
  }

  #take(event: ClientEvent, resolve: () => void, reject: Entry['reject']): void {
    if (this.#stopped !== null) throw stopped();
    if (!this.#hasRoom()) throw new ForebayClientError('BUFFER_FULL', 'The buffer is full: see ready()');
    const text = eventText(event);
    const bytes = UTF8.encode(text).length + 1;
    this.#buffer.push({ text, bytes, bornMs: this.#clock.nowMs(), resolve, reject });
    this.bufferedBytes += bytes;
    if (this.#isRunning) this.#look();
    else void this.#run();
  }

  #hasRoom(): boolean {
    const { bufferEvents, bufferBytes } = this.#settings;
    return this.#buffer.length < bufferEvents && this.bufferedBytes < bufferBytes;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#buffer.length > 0) {
      this.#isFilling = true;
      await this.#pause(this.#fillMs()); // also without a wait events of the same turn go together
      this.#isFilling = false;
      await this.#deliver(this.#nextBatch());
    }
    this.#isRunning = false;
  }

  /** How long the next batch waits for more events, in milliseconds. */
  #fillMs(): number {
    const { batchEvents, batchBytes, waitMs } = this.#settings;
    if (this.#buffer.length >= batchEvents || this.bufferedBytes >= batchBytes || this.#flushTo > this.#gone)
      return 0;
    const waitedMs = this.#clock.nowMs() - (this.#buffer[0]?.bornMs ?? 0);
    // a clock that steps back makes no event wait longer
    return Math.min(waitMs, waitMs - waitedMs);
  }

  #look(): void {
    if (this.#isFilling && this.#fillMs() <= 0) this.#wake();
  }

  #nextBatch(): Batch {
    const { batchEvents, batchBytes } = this.#settings;
    let bytes = 0;
    const entries = this.#buffer.slice(0, batchEvents);
    const end = entries.findIndex((entry, index) => (bytes += entry.bytes) > batchBytes && index > 0);
    return batchOf(end === -1 ? entries : entries.slice(0, end), false);
  }

  /** Brings each event of a batch to its outcome, unless the client ends. */
  async #deliver(batch: Batch): Promise<void> {
    while (!this.#isEnded && batch.entries.length > 0) {
      this.#request = new AbortController();
      const verdict = await post(batch, this.#settings, this.#clock, this.#request);
      if (this.#isEnded) return;
      if (verdict.kind === 'repeat') {
        await this.#backOff(verdict);
        continue;
      }
      this.#failures = 0;
      if (verdict.kind === 'settled') this.#settle(batch.entries.length, verdict);
      else for (const part of divided(batch, verdict.isNamed)) await this.#deliver(part);
      return;
    }
  }

  async #backOff({ error, waitMs, isSetup }: Repeat): Promise<void> {
    const mostMs = isSetup
      ? SETUP_MS_MAX
      : Math.min(BACKOFF_MS_MAX, 2 * BACKOFF_MS_MIN * 2 ** this.#failures++);
    const ms = Math.max(BACKOFF_MS_MIN, waitMs ?? mostMs * (0.5 + this.#clock.random() / 2));
    call(() => {
      this.#settings.onRetry(error, ms);
    });
    await this.#pause(ms);
    if (!this.#isEnded) this.retries++;
  }

  #settle(events: number, { duplicates, refused }: Settled): void {
    this.duplicates += duplicates;
    for (const [index, entry] of this.#leave(events).entries()) {
      const error = refused.get(index);
      if (error === undefined) {
        this.accepted++;
        entry.resolve();
      } else this.#refuse(eventOf(entry), error, entry.reject);
    }
  }

  #refuse(event: ClientEvent, error: ForebayClientError, reject: Entry['reject']): void {
    this.refused++;
    reject(error);
    call(() => {
      this.#settings.onRefused(event, error);
    });
  }

  /** Takes the oldest events out of the buffer. */
  #leave(events: number): Entry[] {
    const entries = this.#buffer.splice(0, events);
    this.#gone += entries.length;
    for (const { bytes } of entries) this.bufferedBytes -= bytes;
    this.#changed();
    return entries;
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Waits until the time is over or `#wake` is called. */
  async #pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#isEnded) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function stopped(): ForebayClientError {
  return new ForebayClientError('STOPPED', 'The client was stopped');
}

/** What the caller's function throws is ignored, as the events of others must not wait for its mistake. */
function call(run: () => void): void {
  try {
    run();
  } catch {
    // see ForebayClientOptions
  }
}
