import { sourceTag } from '../../../lib/logs/file/ids/id-mark.js';
import type { EventLine } from './event-lines.js';

/** Which events are meant, by what they hold; an empty list: any. */
export interface WantedEvents {
  readonly types: readonly string[];
  readonly sources: readonly string[];
}

/** `unknown`: nobody knows from where it came. */
export type Verdict = 'wanted' | 'other' | 'unknown';

/** Selects events by what they hold. */
export class EventFilter {
  readonly #types: ReadonlySet<unknown>;
  readonly #sources: ReadonlySet<unknown>;
  readonly #tags: ReadonlySet<number>;

  constructor({ types, sources }: WantedEvents) {
    this.#types = new Set(types);
    this.#sources = new Set(sources);
    this.#tags = new Set(sources.map(sourceTag));
  }

  of({ event, tag }: EventLine): Verdict {
    if (this.#types.size === 0 && this.#sources.size === 0) return 'wanted';
    const { type, source } = JSON.parse(event.toString('utf8')) as { type?: unknown; source?: unknown };
    if (this.#types.size > 0 && !this.#types.has(type)) return 'other';
    if (this.#sources.size === 0 || this.#sources.has(source)) return 'wanted';
    if (tag !== null) return this.#tags.has(tag) ? 'wanted' : 'other';
    return source === undefined ? 'unknown' : 'other';
  }
}
