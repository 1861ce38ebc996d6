import { ForebayError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import { count } from '../base/words.js';
import type { EventBlock } from '../event/event-block.js';
import { idOfLine } from '../event/event.js';
import type { EventIds } from '../event/event-ids.js';
import type { IdScope } from '../event/id-scope.js';
import type { IdRule } from '../seams/id-store.js';
import { entryTime } from './entry-time.js';
import { IdTable } from './id-table.js';

/** How often the log repeats what it says of a source, in milliseconds. */
const SAY_MS = 60_000;
/** At most this many ids that are too old go when someone looks: nothing else ages them if no event comes. */
const DROPS_AT_LOOK = 10_000;
/** At most this much of an id is shown, in characters. */
const SHOWN_MAX = 200;

/** What the window knows of a source, as of now. */
export interface IdUsage {
  readonly source: string;
  /** As set, in seconds. */
  readonly windowSeconds: number;
  /** The same, or how long ids are kept in fact if --id-window-max is the shorter bound. */
  readonly effectiveSeconds: number;
  readonly ids: number;
  /** Events that were not stored because their ids were known. A refused conflict is not among them. */
  readonly duplicates: number;
  /** Duplicates whose content differs from the first. */
  readonly conflicts: number;
}

/** The ids of a source, and what was found in them. */
export class IdsOfSource {
  readonly rule: IdRule;
  readonly table: IdTable;
  readonly scopes = new Map<string | null, IdScope>();
  duplicates = 0;
  #conflicts = 0;
  readonly #reporter: Reporter;
  #saidConflictMs = -Infinity;
  #saidShortMs = -Infinity;

  constructor(rule: IdRule, max: number, reporter: Reporter) {
    this.rule = rule;
    this.table = new IdTable(rule.windowMs, max);
    this.#reporter = reporter;
  }

  /** Why a request with conflicts is refused as a whole; `null`: it is not. */
  refusalOf(ids: EventIds, events: number): ForebayError | null {
    if (ids.isKeyed) {
      const message = 'This Idempotency-Key came with another body before: use a new key for new events';
      return new ForebayError('IDEMPOTENCY_KEY_REUSED', { message });
    }
    if (this.rule.conflict === 'accept' || ids.refusesAlone) return null;
    const index = ids.firstConflict;
    const detail = events > 1 ? { index } : {};
    const one = events > 1 ? `Event ${index}` : 'The event';
    const message = `${one} has the id of another event that came within ${this.rule.windowMs / 1000} s (--id-conflict reject)`;
    return new ForebayError('ID_CONFLICT', { message, field: 'id', ...detail });
  }

  /** Called with the ids of a request that is answered. */
  count(ids: EventIds, block: EventBlock): void {
    const conflicts = ids.refusesConflictsAlone ? 0 : ids.conflicts;
    this.duplicates += ids.duplicates - ids.conflicts + conflicts;
    this.#conflicts += conflicts;
    const nowMs = performance.now();
    if (conflicts === 0 || nowMs - this.#saidConflictMs < SAY_MS) return;
    this.#saidConflictMs = nowMs;
    const all = count(this.#conflicts, 'event');
    const at = ids.firstConflict;
    const { id } = idOfLine(block.lineOf(at).toString());
    const shown = id.length > SHOWN_MAX ? `${id.slice(0, SHOWN_MAX)}…` : id;
    const text = `${this.rule.source}: ${all} so far came with the id of another event, and other content; the last one had ${JSON.stringify(shown)}`;
    this.#reporter.warn('ID_CONFLICT', text);
  }

  get usage(): IdUsage {
    const { source, windowMs } = this.rule;
    this.table.age(entryTime(Date.now()), DROPS_AT_LOOK);
    return {
      source,
      windowSeconds: windowMs / 1000,
      effectiveSeconds: this.#effectiveSeconds,
      ids: this.table.size,
      duplicates: this.duplicates,
      conflicts: this.#conflicts,
    };
  }

  get #effectiveSeconds(): number {
    const { windowMs, source } = this.rule;
    const seconds = Math.min(windowMs / 1000, this.table.droppedAgeS ?? Infinity);
    const nowMs = performance.now();
    if (seconds < windowMs / 1000 && nowMs - this.#saidShortMs >= SAY_MS) {
      this.#saidShortMs = nowMs;
      const text = `${source}: ids are kept for ${seconds} s, not ${windowMs / 1000} s: there are more than --id-window-max`;
      this.#reporter.warn('ID_WINDOW_SHORT', text);
    }
    return seconds;
  }
}
