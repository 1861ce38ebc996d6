import { setMaxListeners } from 'node:events';
import type { Batch } from '../append-log/batch.js';
import type { LogLines } from '../log-lines.js';
import type { Sink } from '../sinks/sink.js';

/** After so long without an answer from the sink the log says so, in milliseconds. */
const SILENCE_MS = 30_000;
/** How often it is looked for. */
const LOOK_MS = 10_000;

interface Attempt {
  readonly batch: string;
  /** How often it was found running. */
  looks: number;
  readonly fail: (error: Error) => void;
}

/**
 * The attempts that run at the sink. They share one timer and one listener: an interval and a listener for each took
 * several microseconds of every batch.
 */
export class SinkAttempts {
  readonly #sink: Sink;
  readonly #lines: LogLines;
  readonly #abandoning = new AbortController();
  readonly #running = new Set<Attempt>();
  /** Runs on for a while when there is no attempt, as the next is soon to come. */
  #timer: NodeJS.Timeout | undefined;

  constructor(sink: Sink, lines: LogLines) {
    this.#sink = sink;
    this.#lines = lines;
    // a sink may listen to it in each attempt
    setMaxListeners(0, this.#abandoning.signal);
  }

  get areAbandoned(): boolean {
    return this.#abandoning.signal.aborted;
  }

  /** One attempt. Rejects with what the sink throws, or when the attempts are abandoned. */
  run(batch: Batch): Promise<void> {
    return new Promise((resolve, reject) => {
      const answer = Promise.resolve(this.#sink.deliver(batch, this.#abandoning.signal));
      const attempt: Attempt = { batch: batch.name, looks: 0, fail: reject };
      this.#running.add(attempt);
      this.#timer ??= setInterval(() => {
        this.#look();
      }, LOOK_MS);
      answer.then(
        () => {
          this.#running.delete(attempt);
          resolve();
        },
        (error: Error) => {
          this.#running.delete(attempt);
          reject(error);
        },
      );
    });
  }

  /** Waits no longer for those that run: a sink that does not listen to its signal goes on alone. */
  abandon(): void {
    this.#abandoning.abort();
    for (const { fail } of this.#running) fail(new Error('the server stops'));
    this.end();
  }

  /** Nothing runs any more. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    if (this.#running.size === 0) this.end();
    for (const attempt of this.#running) {
      // the first look may come at once
      if (attempt.looks++ === 0 || (attempt.looks - 1) % (SILENCE_MS / LOOK_MS) > 0) continue;
      const text = `The sink has not answered ${attempt.batch} for another ${SILENCE_MS / 1000} seconds`;
      this.#lines.warn(text);
    }
  }
}
