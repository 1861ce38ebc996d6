import { join } from 'node:path';
import { count } from '../../../lib/base/words.js';
import { RETAINED } from '../../../lib/logs/file/retained/retained-name.js';
import type { RetainedName } from '../../../lib/logs/file/retained/retained-name.js';
import { fillBody, nextBody } from '../front-door.js';
import type { Outcome } from '../front-door.js';
import type { Destination } from './destination.js';
import type { ReplayPlace, ReplayProgress } from './replay-progress.js';
import type { RetainedEvent } from './retained-reading.js';

/** At most this many refused events are named. */
const NAMED_MAX = 20;

/** An event to send, and where it is. */
export interface Item extends RetainedEvent {
  readonly dir: string;
  readonly file: RetainedName;
}

/** Sends events in requests, and keeps how far it has come after each. */
export class Sending {
  readonly #destination: Destination;
  readonly #progress: ReplayProgress;
  readonly #failures: string[];
  #waiting: Item[] = [];
  #bytes = 0;
  /** By this run, and by all runs of the replay. */
  #sent = 0;
  #sentBefore: number;
  #refused = 0;
  #duplicates = 0;

  constructor(destination: Destination, progress: ReplayProgress, { sent }: ReplayPlace, failures: string[]) {
    this.#destination = destination;
    this.#progress = progress;
    this.#failures = failures;
    this.#sentBefore = sent;
  }

  /** @returns how many events this run has sent */
  async add(item: Item): Promise<number> {
    this.#waiting.push(item);
    this.#bytes += item.event.length;
    if (fillBody(this.#waiting.length, this.#bytes)) await this.#send();
    return this.#sent;
  }

  async end(): Promise<number> {
    while (this.#waiting.length > 0) await this.#send();
    const more = this.#refused - NAMED_MAX;
    if (more > 0) this.#failures.push(`${count(more, 'other event was', 'other events were')} refused`);
    if (this.#duplicates > 0)
      this.#failures.push(
        `${count(this.#duplicates, 'event was', 'events were')} not stored, as an id window knows the ids: --id-window pass stores them`,
      );
    return this.#sent;
  }

  async #send(): Promise<void> {
    const body = nextBody(this.#waiting);
    const last = body.at(-1);
    if (last === undefined) return;
    const outcome: Outcome<Item> = { taken: new Set(), refused: new Map(), duplicates: 0 };
    await this.#destination.send(body, outcome);
    this.#waiting = this.#waiting.slice(body.length);
    this.#bytes = this.#waiting.reduce((sum, { event }) => sum + event.length, 0);
    this.#sent += outcome.taken.size - outcome.duplicates;
    this.#duplicates += outcome.duplicates;
    for (const [{ dir, file, index }, answer] of outcome.refused)
      if (++this.#refused <= NAMED_MAX)
        this.#failures.push(`${join(dir, RETAINED, file.file)}, event ${index + 1}: ${answer}`);
    const sent = this.#sentBefore + this.#sent;
    await this.#progress.reached({ dir: last.dir, file: last.file.file, index: last.index + 1, sent });
  }
}
