import { batchIn, isBatchFile, linesIn, validTexts } from './surviving-log.js';
import type { DiskTree } from './disk-tree.js';
import type { SentEvent } from './ledger.js';
import type { Tally } from './tally.js';

/** A source and the holder of a key, at one Forebay: the ids of one scope are not those of another. */
export interface Scope {
  /** What the names of that Forebay's clients begin with. */
  readonly instance: string;
  readonly source: string;
  readonly holder: string | null;
}

/**
 * Where an event is stored: a batch file, if known its run, and in a file of several batches where the batch starts; '': it
 * came as a whole file, so whatever comes of it is a part.
 */
interface Place {
  readonly name: string;
  readonly run: string | null;
  readonly start: string | null;
}

/** An id of a scope, and what is known of it. */
export interface KnownId {
  readonly scope: Scope;
  readonly id: string;
  /** Its events: the first, and others with the same id and other content. */
  readonly events: SentEvent[];
  /** When it was sent for the first and the last time, in milliseconds. */
  readonly firstSentMs: number;
  lastSentMs: number;
  /** How often it was sent. */
  sends: number;
  /** Whether it was acknowledged. */
  acknowledged: boolean;
  /** Why it may be stored twice; '': it may not. */
  excuse: string;
  /** Whether it is, and may be. */
  isTwice: boolean;
  place: Place | null;
  /** When it was first stored in a stream; `null`: it was not. */
  storedMs: number | null;
}

/** How the id windows of a world are set. */
export interface WindowSettings {
  readonly windowMs: number;
  readonly conflict: 'accept' | 'reject';
  readonly idsMax: number;
  /** Whether its files are harmed: only by flipped bits in segments, or in any way. */
  readonly harm: 'flips' | 'any' | null;
}

/** Ids go this much earlier than the window says: times are whole seconds, and after a crash those of the file's name. */
const SLACK_MS = 5000;
const OVER = 'the window is over';

const KEY = /^(?:(?<run>[0-9a-f]{16})-)?(?<name>batch_\d{8}_\d{6}_\d+\.jsonl)(?:#(?<start>\d+))?/;

/** What was promised about ids: each is stored once within the window, and never not at all once it is acknowledged. */
export class KnownIds {
  readonly #ids = new Map<string, KnownId>();
  readonly #tally: Tally;
  readonly #violated: (what: string) => void;
  /** Why any id may be stored twice in this world; '': it may not. */
  #excuseOfAll = '';
  #windowMs = Infinity;
  /**
   * Whether instances share the window: then a doubt excuses nothing. And what comes at the same time as an event that turns
   * out to have other content is the duplicate of that one.
   */
  isShared = false;

  constructor(tally: Tally, violated: (what: string) => void) {
    this.#tally = tally;
    this.#violated = violated;
  }

  set windowMs(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** The id, known from now on. */
  of(scope: Scope, id: string, nowMs: number): KnownId {
    const name = `${nameOf(scope)} ${id}`;
    let known = this.#ids.get(name);
    if (known === undefined) {
      known = {
        scope,
        id,
        events: [],
        firstSentMs: nowMs,
        lastSentMs: nowMs,
        sends: 0,
        acknowledged: false,
        excuse: this.#excuseOfAll,
        isTwice: false,
        place: null,
        storedMs: null,
      };
      this.#ids.set(name, known);
    }
    return known;
  }

  /** Ids of a Forebay that were acknowledged, newest last. */
  acknowledgedAt(instance: string): KnownId[] {
    return [...this.#ids.values()].filter(
      ({ acknowledged, scope }) => acknowledged && scope.instance === instance,
    );
  }

  /** From now on no id needs to be remembered. */
  excuseAll(why: string): void {
    this.#excuseOfAll = why;
    for (const known of this.#ids.values()) known.excuse ||= why;
  }

  /** The window of a Forebay may have forgotten all ids up to now. @param instance `null`: of each */
  mayBeForgotten(instance: string | null, why: string): void {
    for (const known of this.#ids.values())
      if (instance === null || known.scope.instance === instance) known.excuse ||= why;
  }

  /** A batch comes to the sink with these events. @param isDamaged its file: what names run and batch may be gone */
  appeared(key: string, events: readonly SentEvent[], isDamaged: boolean): void {
    const { name = '', run = null, start = '' } = KEY.exec(key)?.groups ?? {};
    const seen = new Set<KnownId>();
    for (const { known } of events) {
      if (known === null) continue;
      if (seen.has(known)) this.#twice(known, `twice in ${name}`);
      seen.add(known);
      this.#isAt(known, isDamaged ? { name, run: null, start: null } : { name, run, start });
    }
  }

  /** Looks at the batch files that are left on all disks. */
  checkSurvivors(
    trees: readonly DiskTree[],
    dir: string,
    eventOf: (line: string) => SentEvent | undefined,
  ): void {
    const there = new Set<KnownId>();
    for (const tree of trees) {
      for (const [name, file] of tree.files(dir)) {
        if (!isBatchFile(name)) continue;
        const seen = new Set<KnownId>();
        for (const text of validTexts(linesIn(name, file.content()))) {
          const known = eventOf(text)?.known ?? null;
          if (known === null) continue;
          if (seen.has(known)) this.#twice(known, `twice in ${name}`);
          seen.add(known);
          there.add(known);
          this.#isAt(known, { name: batchIn(name), run: null, start: null });
        }
      }
    }
    this.#forgetLost(there);
  }

  /**
   * A kill may leave a line that was not flushed, and a power cut in the next life, before a start has made it durable, may
   * take it. Nobody was answered for it (else the ledger says that it is lost), and the sink does not have it: if its event
   * comes again, it is stored once, in another place.
   */
  #forgetLost(there: ReadonlySet<KnownId>): void {
    for (const known of this.#ids.values()) {
      if (known.place === null || there.has(known)) continue;
      if (known.events.some(({ appearances }) => appearances > 0)) continue;
      known.place = null;
      this.#tally.count('ids', 'left by a kill, and lost before anyone was answered');
    }
  }

  /** An event is in a message of a stream. */
  storedIn(known: KnownId, message: string, nowMs: number): void {
    // it may have waited for long in an instance that was frozen
    if (nowMs - (known.storedMs ?? nowMs) > this.#windowMs) known.excuse ||= OVER;
    this.#isAt(known, { name: message, run: null, start: null });
    known.storedMs ??= nowMs;
  }

  #isAt(known: KnownId, place: Place): void {
    const { place: before } = known;
    if (before === null || isSame(before, place)) {
      const { run = null, start = null } = before ?? {};
      known.place = { name: place.name, run: run ?? place.run, start: start ?? place.start };
      this.#tally.count('checks', 'ids looked for in a second place');
    } else this.#twice(known, `in ${before.name} and in ${place.name}`);
  }

  #twice(known: KnownId, where: string): void {
    if (known.isTwice) return;
    const isOld = known.lastSentMs - known.firstSentMs > this.#windowMs - SLACK_MS;
    const excuse = isOld ? OVER : known.excuse;
    if (excuse === '')
      this.#violated(`the id ${known.id} of ${nameOf(known.scope)} is stored twice: ${where}`);
    known.isTwice = true;
    this.#tally.count('ids', `stored twice, as may be: ${excuse}`);
  }
}

export function nameOf({ instance, source, holder }: Scope): string {
  return `${instance}/${source}${holder === null ? '' : `/${holder}`}`;
}

function isSame(a: Place, b: Place): boolean {
  const isEqual = (left: string | null, right: string | null): boolean =>
    left === null || right === null || left === right;
  return a.name === b.name && isEqual(a.run, b.run) && (a.start === '' || isEqual(a.start, b.start));
}
