import { createHash } from 'node:crypto';
import type { Reporter } from '../base/reporter.js';
import { EventIds, ID_WORDS } from '../event/event-ids.js';
import { maskOf } from '../event/id-scope.js';
import { SipHash } from '../event/sip-hash.js';
import type { IdRule, IdStore } from '../seams/id-store.js';
import type { Intake } from '../seams/intake.js';
import { IdIntake } from './id-intake.js';
import { entryTime } from './entry-time.js';
import { IdsOfSource } from './ids-of-source.js';
import type { IdUsage } from './ids-of-source.js';

/** The ids of events that were taken lately, by source, so that an event that comes again is not stored twice. */
export class IdWindow {
  readonly #hash: SipHash;
  readonly #sources = new Map<string, IdsOfSource>();
  readonly #store: IdStore;

  private constructor(rules: readonly IdRule[], store: IdStore, max: number, reporter: Reporter) {
    this.#hash = new SipHash(store.secret);
    this.#store = store;
    for (const rule of rules) this.#sources.set(rule.source, new IdsOfSource(rule, max, reporter));
  }

  /** Reads what earlier runs left. @param max ids of each source, at most */
  static async open(
    rules: readonly IdRule[],
    store: IdStore,
    max: number,
    reporter: Reporter,
  ): Promise<IdWindow> {
    const window = new IdWindow(rules, store, max, reporter);
    const nowS = entryTime(Date.now());
    await store.recall((source, words, atMs) => {
      const table = window.#sources.get(source)?.table;
      if (table === undefined) return;
      const atS = entryTime(atMs);
      for (let at = 0; at < words.length; at += ID_WORDS) table.recall(words, at, atS, nowS);
    });
    return window;
  }

  /**
   * For the ids of a request; `null` if its source has no window.
   *
   * @param holder of the key it came with
   * @param key its `Idempotency-Key`
   */
  idsFor(source: string, holder: string | null, key: string | null): EventIds | null {
    const ofSource = this.#sources.get(source);
    if (ofSource === undefined) return null;
    let scope = ofSource.scopes.get(holder);
    if (scope === undefined) {
      const { windowMs, conflict } = ofSource.rule;
      const number = holder === null ? null : numberOf(holder);
      const mask = maskOf(this.#hash, number);
      const refusesConflicts = conflict === 'reject';
      scope = { source, hash: this.#hash, holder: number, mask, windowMs, refusesConflicts, lastEvents: 0 };
      ofSource.scopes.set(holder, scope);
    }
    return new EventIds(scope, key);
  }

  /** Puts the rule around an intake. */
  around(inner: Intake): Intake {
    return new IdIntake(inner, this.#sources);
  }

  /** Events of all sources that were not stored, as their ids were known. */
  get duplicates(): number {
    let duplicates = 0;
    for (const ofSource of this.#sources.values()) duplicates += ofSource.duplicates;
    return duplicates;
  }

  get usage(): readonly IdUsage[] {
    const keptSeconds = this.#store.keptSeconds ?? Infinity;
    return [...this.#sources.values()].map(({ usage }) => ({
      ...usage,
      effectiveSeconds: Math.min(usage.effectiveSeconds, keptSeconds),
    }));
  }
}

/** The number of a holder: 40 bits, as it is in each line. */
function numberOf(holder: string): number {
  return createHash('sha256').update(holder).digest().readUIntBE(0, 5);
}
