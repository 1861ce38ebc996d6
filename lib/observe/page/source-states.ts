import { ERRORS } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import type { IdUsage, ObservedDoor, ObservedForebay, ObservedSource } from './observed.js';
import { NEWEST_MAX } from '../../door/newest-events.js';
import type { EventHead } from '../../door/newest-events.js';
import { NO_SOURCE } from '../../door/request-counts.js';
import { readHead } from './event-head.js';
import type { CodeWords, NewestEvent, Refusals, SourceState, SourceStates, WindowState } from './messages.js';

/** Rates are means over this many looks, a second apart. */
const RATE_LOOKS = 5;
const LATELY_SECONDS = 60;
const SOURCES_MAX = 50;
const CODES_MAX = 6;
const NAME_LENGTH_MAX = 80;
const DATA_LENGTH_MAX = 200;
/** What the newest events of all sources may take of a message, in bytes of JSON. */
const EVENTS_BYTES_MAX = 24_576;

/** The error table has what clients hear, and to them too many connections are a full queue. */
const WORDS: Partial<Record<ErrorCode, string>> = { CONNECTIONS_MAX: 'Too many connections were open' };

/** A count, and when it last grew, on the clock of `performance.now()`. */
interface Growing {
  value: number;
  grownMs: number;
}

type Refused = Refusals & { readonly code: ErrorCode };

/** Looks at what came to each source, what came again and what was refused, once a second. */
export class SourceWatch {
  readonly #door: Pick<ObservedDoor, 'counts' | 'sources'>;
  readonly #forebay: Pick<ObservedForebay, 'idUsage'>;
  readonly #showsData: boolean;
  /** The newest looks: accepted events by source. */
  readonly #looks: { readonly atMs: number; readonly accepted: ReadonlyMap<string, number> }[] = [];
  readonly #accepted = new Map<string, Growing>();
  readonly #refused = new Map<string, Map<ErrorCode, Growing>>();
  readonly #duplicates = new Map<string, Growing>();
  #windows: ReadonlyMap<string, IdUsage> = new Map();
  readonly #stray = new Map<ErrorCode, Growing>();
  #nowMs = 0;

  constructor(
    door: Pick<ObservedDoor, 'counts' | 'sources'>,
    forebay: Pick<ObservedForebay, 'idUsage'>,
    showsData: boolean,
  ) {
    this.#door = door;
    this.#forebay = forebay;
    this.#showsData = showsData;
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    const { acceptedEvents, refusedEvents, strayRequests } = this.#door.counts;
    this.#looks.push({ atMs: nowMs, accepted: new Map(acceptedEvents) });
    if (this.#looks.length > RATE_LOOKS + 1) this.#looks.shift();
    grow(this.#accepted, acceptedEvents, nowMs);
    grow(this.#stray, strayRequests, nowMs);
    this.#windows = new Map(this.#forebay.idUsage().map((usage) => [usage.source, usage]));
    grow(this.#duplicates, new Map([...this.#windows].map(([name, of]) => [name, of.duplicates])), nowMs);
    for (const [source, codes] of refusedEvents) {
      let seen = this.#refused.get(source);
      if (seen === undefined) this.#refused.set(source, (seen = new Map()));
      grow(seen, codes, nowMs);
    }
  }

  /** As of the last look. */
  states(): SourceStates {
    const { sources } = this.#door;
    const states = sources.map((source) => ({ source, state: this.#state(source) }));
    const shown = [
      ...states.filter(({ state }) => state.isRefusing),
      ...states.filter(({ state }) => !state.isRefusing),
    ].slice(0, SOURCES_MAX);
    const newest = this.#newestOf(shown.map(({ source }) => source));
    const stray = [...this.#refusals(this.#refused.get(NO_SOURCE)), ...this.#refusals(this.#stray)];
    return {
      shown: shown.map(({ source, state }) => ({ ...state, newest: newest.get(source) ?? [] })),
      more: states.length - shown.length,
      stray,
      codes: wordsOf([...stray, ...shown.flatMap(({ state }) => state.refusals)]),
    };
  }

  #state({
    name,
    path,
  }: ObservedSource): Omit<SourceState, 'newest'> & { readonly refusals: readonly Refused[] } {
    const [first, last] = [this.#looks[0], this.#looks.at(-1)];
    const now = last?.accepted.get(name) ?? 0;
    const seconds = ((last?.atMs ?? 0) - (first?.atMs ?? 0)) / 1000;
    const accepted = this.#accepted.get(name);
    const all = this.#refusals(this.#refused.get(name));
    return {
      name,
      path: shortened(path, NAME_LENGTH_MAX),
      inPerSecond: seconds === 0 ? 0 : rounded((now - (first?.accepted.get(name) ?? 0)) / seconds),
      accepted: now,
      acceptedAgoSeconds: accepted === undefined || now === 0 ? null : this.#ago(accepted),
      refused: all.reduce((sum, { number }) => sum + number, 0),
      isRefusing: all.some(isLately),
      refusals: all.slice(0, CODES_MAX),
      window: this.#window(name),
    };
  }

  #window(name: string): WindowState | null {
    const usage = this.#windows.get(name);
    if (usage === undefined) return null;
    const { duplicates, conflicts, ids, windowSeconds, effectiveSeconds } = usage;
    const grown = this.#duplicates.get(name);
    return {
      duplicates,
      conflicts,
      duplicateAgoSeconds: grown === undefined || duplicates === 0 ? null : this.#ago(grown),
      ids,
      setSeconds: windowSeconds,
      effectiveSeconds,
    };
  }

  #refusals(codes: ReadonlyMap<ErrorCode, Growing> = new Map()): Refused[] {
    return [...codes]
      .filter(([, { value }]) => value > 0)
      .map(([code, seen]) => ({ code, number: seen.value, agoSeconds: this.#ago(seen) }))
      .toSorted((a, b) => Number(isLately(b)) - Number(isLately(a)) || b.number - a.number);
  }

  #ago({ grownMs }: Growing): number {
    return Math.round((this.#nowMs - grownMs) / 1000);
  }

  /** The newest of each, then the one before it of each, and on until there is no room for more. */
  #newestOf(sources: readonly ObservedSource[]): ReadonlyMap<ObservedSource, readonly NewestEvent[]> {
    const shown = new Map<ObservedSource, NewestEvent[]>(sources.map((source) => [source, []]));
    const heads = sources.map((source) => [source, source.newest.heads()] as const);
    let room = EVENTS_BYTES_MAX;
    for (let age = 0; age < NEWEST_MAX; age++) {
      for (const [source, ofSource] of heads) {
        const head = ofSource[age];
        if (head === undefined) continue;
        const event = this.#event(head);
        room -= Buffer.byteLength(JSON.stringify(event));
        if (room < 0) return shown;
        shown.get(source)?.push(event);
      }
    }
    return shown;
  }

  #event({ head, bytes, atMs }: EventHead): NewestEvent {
    const { id, type, data } = readHead(head);
    return {
      id: shortened(id, NAME_LENGTH_MAX),
      type: shortened(type, NAME_LENGTH_MAX),
      bytes,
      atSeconds: Math.round(atMs / 1000),
      data: this.#showsData ? shortened(data, DATA_LENGTH_MAX) : '',
    };
  }
}

function isLately({ agoSeconds }: Refusals): boolean {
  return agoSeconds < LATELY_SECONDS;
}

/** Notes which of these counts have grown since the last look. */
function grow<Key>(seen: Map<Key, Growing>, counts: ReadonlyMap<Key, number>, nowMs: number): void {
  for (const [key, value] of counts) {
    const before = seen.get(key);
    if (before === undefined) seen.set(key, { value, grownMs: nowMs });
    else if (value > before.value) Object.assign(before, { value, grownMs: nowMs });
  }
}

function wordsOf(refusals: readonly Refused[]): Record<string, CodeWords> {
  return Object.fromEntries(
    refusals.map(({ code }) => {
      const { message, retry } = ERRORS[code];
      return [code, { text: WORDS[code] ?? message, retry }];
    }),
  );
}

function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** To three decimals. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
