import { asError, ForebayError } from './base/errors.js';
import type { Reporter } from './base/reporter.js';
import { PauseGate } from './delivery/pause-gate.js';
import { pauseOf, pauseWords } from './seams/pause.js';
import type { Pause, PauseOutcome, PauseRequest, PauseStore } from './seams/pause.js';

/** How often to look whether a pause is over: the clock may be set. */
const LOOK_MS = 60_000;

/** Of a log that keeps no pause: it ends with the process. */
export const IN_MEMORY: PauseStore = {
  read: async () => Promise.resolve(null),
  write: async () => undefined,
};

/** The pause of a pipeline: it is durable before it holds, and before it ends (N15). */
export class Pausing {
  readonly gate = new PauseGate();
  readonly #reporter: Reporter;
  readonly #changed: (pause: Pause | null) => void;
  #store: PauseStore | null = null;
  #pause: Pause | null = null;
  /** Whether this run knows that it is durable: one that was killed may have left it otherwise. */
  #isKept = false;
  /** Changes come one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** @param changed is called whenever it is another pause, or none */
  constructor(reporter: Reporter, changed: (pause: Pause | null) => void) {
    this.#reporter = reporter;
    this.#changed = changed;
  }

  /** `null`: delivery is not paused. */
  get pause(): Pause | null {
    return this.#pause;
  }

  /** Reads what an earlier run has left, before anything is delivered. */
  async open(store: PauseStore): Promise<void> {
    this.#store = store;
    let hasChanged = false;
    store.watch?.((pause) => {
      hasChanged = true;
      this.#hold(pause);
    });
    const pause = await store.read();
    if (!hasChanged) this.#hold(pause);
  }

  /** @throws ForebayError `BAD_REQUEST`, `NOT_RUNNING`, `PAUSE_FAILED` */
  async start(request: PauseRequest): Promise<PauseOutcome> {
    return this.#next(async () => {
      if (this.#pause !== null) {
        if (!this.#isKept) await this.#write(this.#pause);
        return { changed: false, pause: this.#pause };
      }
      const pause = pauseOf(request, Date.now());
      await this.#write(pause);
      this.#hold(pause);
      return { changed: true, pause };
    });
  }

  /** @throws ForebayError `BAD_REQUEST`, `NOT_RUNNING`, `PAUSE_FAILED` */
  async end({ by = 'unknown' }: Pick<PauseRequest, 'by'>): Promise<PauseOutcome> {
    return this.#next(async () => {
      const who = pauseOf({ by }, 0).by;
      const pause = this.#pause;
      if (pause !== null || !this.#isKept) await this.#write(null);
      if (pause === null) return { changed: false, pause };
      this.#hold(null, who);
      return { changed: true, pause };
    });
  }

  /** Resolves when no change is being kept. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#store = null;
    await this.#last;
  }

  async #next(change: () => Promise<PauseOutcome>): Promise<PauseOutcome> {
    const changing = this.#last.then(async () => {
      if (this.#store === null) throw new ForebayError('NOT_RUNNING', { retryAfterMs: 1000 });
      return change();
    });
    this.#last = changing.catch(() => undefined);
    return changing;
  }

  async #write(pause: Pause | null): Promise<void> {
    this.#isKept = false;
    await this.#store?.write(pause).catch((thrown: unknown) => {
      const cause = asError(thrown);
      const now = this.#pause === null ? 'goes on' : 'stays paused';
      const message = `The pause could not be kept or ended, and delivery ${now}: ${cause.message}; a restart may find it otherwise, try again`;
      this.#reporter.error('PAUSE_FAILED', message, cause);
      throw new ForebayError('PAUSE_FAILED', { message, cause, retryAfterMs: 1000 });
    });
    this.#isKept = true;
  }

  /** From now on. @param by who has ended it, if this process knows */
  #hold(given: Pause | null, by: string | null = null): void {
    const pause = isOver(given) ? null : given;
    const before = this.#pause;
    if (JSON.stringify(pause) === JSON.stringify(before)) {
      if (given !== null && pause === null) this.#forget();
      return;
    }
    this.#pause = pause;
    this.gate.set(pause !== null, pause?.untilMs ?? null);
    if (pause !== null) {
      const text = `Delivery is paused ${pauseWords(pause)}. Events are taken and wait`;
      this.#reporter.warn('DELIVERY_PAUSED', text);
    } else if (before !== null) {
      const seconds = Math.max(0, Math.round((Date.now() - before.sinceMs) / 1000));
      const who = by === null ? '' : `, resumed by ${by}`;
      this.#reporter.info(`Delivery goes on${who}; ${before.by} had paused it for ${seconds} s`);
    }
    this.#changed(pause);
    this.#wait();
  }

  /** A pause with an end is over at its time, whether or not that can be kept: whoever reads it knows. */
  #wait(): void {
    clearTimeout(this.#timer);
    const untilMs = this.#pause?.untilMs ?? null;
    if (untilMs === null) return;
    this.#timer = setTimeout(
      () => {
        if (!isOver(this.#pause)) {
          this.#wait();
          return;
        }
        this.#hold(null, 'the end that it was given');
        this.#forget();
      },
      Math.min(LOOK_MS, Math.max(0, untilMs - Date.now())),
    );
  }

  #forget(): void {
    void this.#next(async () => {
      // in a store that is shared someone may have paused it again
      if (this.#pause === null && this.#store?.watch === undefined) await this.#store?.write(null);
      return { changed: false, pause: null };
    }).catch(() => undefined);
  }
}

/** What can be paused, with who wants to know of it. */
export class Pausable {
  protected readonly reporter: Reporter;
  protected readonly pausing: Pausing;
  readonly #listeners: ((pause: Pause | null) => void)[] = [];

  constructor(reporter: Reporter) {
    this.reporter = reporter;
    this.pausing = new Pausing(reporter, (pause) => {
      for (const changed of this.#listeners) changed(pause);
    });
  }

  /** The pause of delivery; `null`: delivery goes on. */
  get paused(): Pause | null {
    return this.pausing.pause;
  }

  /**
   * Starts no further attempt at the sink until `resume`; those that run end, and events are taken as before. Resolves when
   * the pause is durable and holds. If delivery is paused already, that pause stays as it is.
   *
   * @throws ForebayError `BAD_REQUEST`, `NOT_RUNNING`, `PAUSE_FAILED`: nothing has changed
   */
  async pause(request: PauseRequest = {}): Promise<PauseOutcome> {
    return this.pausing.start(request);
  }

  /** Lets delivery go on. @throws ForebayError `BAD_REQUEST`, `NOT_RUNNING`, `PAUSE_FAILED`: it is paused as before */
  async resume(request: Pick<PauseRequest, 'by'> = {}): Promise<PauseOutcome> {
    return this.pausing.end(request);
  }

  /** @param changed is called with each pause, and with `null` when it has ended */
  onPause(changed: (pause: Pause | null) => void): void {
    this.#listeners.push(changed);
  }
}

/** The pause of another pipeline, which is this one's as well. @param other is called after that has started */
export function pauseOfOther(other: () => Pausable): PauseStore {
  return {
    read: async () => Promise.resolve(other().paused),
    write: async () => Promise.reject(new Error('it is the pause of another pipeline')),
    watch: (changed) => {
      other().onPause(changed);
    },
  };
}

function isOver(pause: Pause | null): boolean {
  return pause === null || (pause.untilMs !== null && pause.untilMs <= Date.now());
}
