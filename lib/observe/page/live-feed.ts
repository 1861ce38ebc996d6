import { sseText } from './live-stream.js';
import type { LiveStream } from './live-stream.js';
import { Observer } from './observer.js';
import type { ObserverOptions } from './observer.js';

const LOOK_MS = 1000;
const PEEK_MS = 100;
/** How soon a browser comes back when the stream breaks. */
const RETRY_MS = 1000;

/** Where the texts for open pages come from. */
export interface LiveFeed {
  /** Sends a text to the open pages once a second, from now on. */
  start(stream: LiveStream): void;
  /** What a page gets first: the history, and the state. */
  first(): string | Promise<string>;
  stop(): void;
}

/** Looks at the pipeline of this process. */
export class OwnFeed implements LiveFeed {
  readonly #observer: Observer;
  #looks: NodeJS.Timeout | undefined;
  /** Set while someone looks. */
  #peeks: NodeJS.Timeout | undefined;
  /** Of the last look, rendered for the first page that asks for it. */
  #first: string | null = null;

  constructor(options: ObserverOptions) {
    this.#observer = new Observer(options);
  }

  start(stream: LiveStream): void {
    this.#looks = setInterval(() => {
      this.#observer.tick();
      this.#first = null;
      if (stream.pages > 0) stream.send(snapshotText(this.#observer));
      else this.#rest();
    }, LOOK_MS).unref();
  }

  first(): string {
    this.#first ??= firstText(this.#observer);
    this.#peeks ??= setInterval(() => {
      this.#observer.peek();
    }, PEEK_MS).unref();
    return this.#first;
  }

  stop(): void {
    clearInterval(this.#looks);
    this.#rest();
  }

  #rest(): void {
    clearInterval(this.#peeks);
    this.#peeks = undefined;
  }
}

/** The state as of the last look; '' before the first. */
export function snapshotText(observer: Observer): string {
  const snapshot = observer.snapshot();
  return snapshot === null ? '' : sseText('snapshot', snapshot);
}

/** What a page gets first. */
export function firstText(observer: Observer): string {
  return `retry: ${RETRY_MS}\n${sseText('history', observer.history())}${snapshotText(observer)}`;
}
