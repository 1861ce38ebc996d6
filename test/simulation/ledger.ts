import type { EventContext } from '../../lib/event/event-context.js';
import type { IdFinding } from '../../lib/event/event-ids.js';
import type { Batch } from '../../lib/seams/batch.js';
import { SentContexts, textOf } from './sent-contexts.js';
import { SentIds } from './id-clients.js';
import { KnownIds } from './known-ids.js';
import type { KnownId } from './known-ids.js';
import { batchIn, validTexts } from './surviving-log.js';
import type { DiskTree } from './disk-tree.js';
import type { SurvivingLog } from './surviving-log.js';
import type { Tally } from './tally.js';

export type Answer = 'none' | 'acknowledged' | 'refused' | 'in doubt';

/** An event that was sent to Forebay, and what became of it. */
export interface SentEvent {
  readonly id: string;
  /** Set where the client sends one event after the other: its number. */
  readonly client: string | null;
  readonly number: number;
  /** Whether the sink refuses it for good. */
  readonly poison: boolean;
  /** The line that must come out. */
  readonly line: string;
  answer: Answer;
  /** The code of the error it was answered with. */
  code: string;
  /** How often it came to the sink, whatever the sink then said. */
  appearances: number;
  /**
   * The key of the batch that it came in, without what names its content; '' before the first time. It has a range if its
   * file is for several batches.
   */
  key: string;
  /** Whether the sink has it. */
  taken: boolean;
  /** Whether someone has removed its file: then nobody owes it any more. */
  removed: boolean;
  /** Its line, or the member of its line, with a bit flipped on purpose, and the batch file that holds it. */
  damaged: { readonly file: string; readonly bytes: Buffer } | null;
  /** Its id, if that is remembered: then the event is sent several times. */
  readonly known: KnownId | null;
  /** How often it was sent and has no answer yet. */
  pending: number;
  /** Whether someone has dropped its dead letter. */
  dropped: boolean;
}

const RANGE = /(?:#\d+-\d+)+$/;
/** A batch of several in a file, by where it starts: how it ends is not certain if an append has failed. */
const START = /(?<=#\d+)-.*$/;
/** No life has a larger batch. */
const BATCH_SIZE_MAX = 10;
/** The end of a key, which names what is in it. */
const CONTENT = /(?:#\d+-\d+)*@[0-9a-f]{16}$/;
const DIGEST = /@[0-9a-f]{16}$/;
/** One event in this many is refused by the sink for good. */
const POISON_EVERY = 40;

/** What was promised about each event, and whether it is kept. */
export class Ledger {
  /** What was violated first, in words. */
  violation: string | null = null;
  /** Files that let others go first: they could not be read, or the sink failed at them. What of them was not offered yet comes late. */
  readonly steppedAside: Set<string>;
  /** Log directories that were moved away, and the files that were in them then. */
  readonly moved: { readonly dir: string; readonly names: readonly string[] }[] = [];
  readonly #events = new Map<string, SentEvent>();
  readonly #unanswered = new Set<SentEvent>();
  /** Acknowledged, and not at the sink yet. */
  readonly #owed = new Set<SentEvent>();
  /** The highest number of each client that has come to the sink. */
  readonly #reached = new Map<string, number>();
  readonly ids: KnownIds;
  readonly contexts = new SentContexts();
  readonly sentIds = new SentIds();
  /** Events with remembered ids that had no answer when the last process ended. */
  cutOff: readonly SentEvent[] = [];
  /** Whether a line is on a disk. */
  isOnDisk: (line: string) => boolean = () => false;
  /** Whether an event may be at the sink and a dead letter as well. */
  mayBeBoth: (line: string) => boolean = () => false;
  /** The ids of the events that came under each key. */
  readonly #keys = new Map<string, ReadonlySet<string>>();
  /** One flipped bit a file is enough. */
  readonly #damagedBatches = new Set<string>();
  #numbers = 1;
  readonly #logFailedIsInDoubt: boolean;
  readonly #hasOneKey: boolean;
  readonly #tally: Tally;

  /**
   * @param logFailedIsInDoubt whether LOG_FAILED does not promise that the event is gone
   * @param hasOneKey whether an event comes under one key only, beside those of parts
   * @param steppedAside knows the names of batches
   */
  constructor(
    tally: Tally,
    logFailedIsInDoubt: boolean,
    hasOneKey: boolean = true,
    steppedAside: Set<string> = new Set(),
  ) {
    this.#tally = tally;
    this.steppedAside = steppedAside;
    this.#hasOneKey = hasOneKey;
    this.ids = new KnownIds(tally, (what) => {
      this.violated(what);
    });
    this.#logFailedIsInDoubt = logFailedIsInDoubt;
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  /** Whether an acknowledged event, not counting damaged ones and those it refuses, has not come to the sink. */
  get owes(): boolean {
    return this.owesBut(() => false);
  }

  /** The same, not counting some more. */
  owesBut(isLeftOut: (event: SentEvent) => boolean): boolean {
    for (const event of this.#owed)
      if (event.damaged === null && !event.poison && !isLeftOut(event)) return true;
    return false;
  }

  violated(what: string): void {
    this.violation ??= what;
  }

  /** Counts all events of a run: later ones have higher numbers. */
  nextNumber(): number {
    return this.#numbers++;
  }

  refusedInvalid(code: string): void {
    this.#tally.count('events', 'refused');
    this.#tally.count('refusals', code);
  }

  sent(id: string, line: string, client: string | null, number: number): SentEvent {
    const event = this.#event({ id, line, client, number, known: null });
    this.#unanswered.add(event);
    return event;
  }

  #event(about: Pick<SentEvent, 'id' | 'line' | 'client' | 'number' | 'known'>): SentEvent {
    const untaken = { appearances: 0, key: '', taken: false, removed: false, damaged: null } as const;
    const fresh = { answer: 'none', code: '', pending: 0, dropped: false, ...untaken } as const;
    const event: SentEvent = Object.assign({ poison: about.number % POISON_EVERY === 0 }, about, fresh);
    this.#events.set(event.id, event);
    return event;
  }

  /** An event with an id that is remembered. It will be sent, and sent again. */
  idSent(known: KnownId, line: string): SentEvent {
    const event = this.#event({ id: idOf(line) ?? '', line, client: null, number: this.nextNumber(), known });
    known.events.push(event);
    return event;
  }

  idSends(event: SentEvent, nowMs: number): void {
    if (event.known !== null) {
      event.known.lastSentMs = nowMs;
      event.known.sends++;
    }
    event.pending++;
    if (event.answer === 'refused') event.answer = 'none';
    this.#unanswered.add(event);
  }

  /** @param finding as the client was told */
  idAcknowledged(event: SentEvent, finding: IdFinding): void {
    const { known } = event;
    if (known === null) return;
    this.#idAnswered(event);
    this.#tally.count('ids', `acknowledged: ${finding}`);
    known.acknowledged = true;
    const mayBeOther = finding === 'conflict' || (this.ids.isShared && finding !== 'new');
    if (
      finding !== 'new' &&
      !known.events.some((each) => (mayBeOther || each === event) && this.#isStored(each))
    )
      this.violated(`${event.id} was answered as a ${finding}, and was not stored before`);
    if (finding !== 'new' && known.sends === 1)
      this.violated(`${event.id} came once, and was answered as a ${finding}`);
    if (finding === 'conflict' && known.events.length === 1)
      this.violated(`${event.id} was answered as a conflict, and has no other content`);
    // of other content nothing is owed but what was stored before
    if (mayBeOther && !this.#isStored(event)) event.answer = 'in doubt';
    else {
      event.answer = 'acknowledged';
      if (!event.taken && !event.removed && !event.dropped) this.#owed.add(event);
    }
  }

  idRefused(event: SentEvent, code: string): void {
    this.#idAnswered(event);
    const inDoubt = code === 'IN_DOUBT';
    this.#tally.count('ids', inDoubt ? 'answered "in doubt"' : 'refused');
    this.#tally.count('refusals', code);
    event.code = code;
    if (inDoubt && event.known !== null && !this.ids.isShared)
      event.known.excuse ||= 'an answer was in doubt';
    if (event.answer === 'acknowledged') return;
    if (inDoubt) event.answer = 'in doubt';
    if (event.answer !== 'none' || event.pending > 0) return;
    event.answer = 'refused';
    if (event.appearances > 0) this.violated(`${event.id} was refused with ${code} after the sink got it`);
  }

  /** An event is in a message of a stream. @returns whether its id is one that is remembered */
  idStored(line: string, message: string, nowMs: number): boolean {
    const known = this.#events.get(idOf(line) ?? '')?.known ?? null;
    if (known !== null) this.ids.storedIn(known, message, nowMs);
    return known !== null;
  }

  #idAnswered(event: SentEvent): void {
    event.pending--;
    if (event.pending === 0) this.#unanswered.delete(event);
  }

  #isStored({ line, appearances, removed, dropped, damaged }: SentEvent): boolean {
    return appearances > 0 || removed || dropped || damaged !== null || this.isOnDisk(line);
  }

  acknowledged(event: SentEvent): void {
    event.answer = 'acknowledged';
    this.#unanswered.delete(event);
    if (!event.taken && !event.removed) this.#owed.add(event);
    this.#tally.count('events', 'acknowledged');
  }

  refused(event: SentEvent, code: string): void {
    const inDoubt = code === 'IN_DOUBT' || (code === 'LOG_FAILED' && this.#logFailedIsInDoubt);
    event.answer = inDoubt ? 'in doubt' : 'refused';
    event.code = code;
    this.#unanswered.delete(event);
    this.#tally.count('events', inDoubt ? 'answered "in doubt"' : 'refused');
    this.#tally.count('refusals', code);
    if (!inDoubt && event.appearances > 0)
      this.violated(`${event.id} was refused with ${code} after the sink got it`);
  }

  /** A process is gone: who has no answer of it yet gets none. */
  processEnded(unanswered: Iterable<SentEvent> = [...this.#unanswered]): void {
    this.cutOff = [...this.#unanswered].filter(({ known }) => known !== null);
    for (const event of unanswered) {
      event.pending = 0;
      if (event.answer !== 'acknowledged') event.answer = 'in doubt';
      this.#tally.count('events', 'left without an answer');
      this.#unanswered.delete(event);
    }
  }

  /** A batch comes to the sink. Gives its events. */
  appeared({ name, key, bytes, events: count, contexts }: Batch, inOrder: boolean): SentEvent[] {
    const batch = fileOf(name);
    const lines = bytes.toString('utf8').split('\n');
    if (lines.pop() !== '') this.violated(`${batch} does not end with a line feed at the sink`);
    if (lines.length !== count) this.violated(`${batch} has ${lines.length} lines at the sink, not ${count}`);
    const events: SentEvent[] = [];
    for (const [index, line] of lines.entries()) {
      const event = this.#events.get(idOf(line) ?? '');
      if (event === undefined)
        this.violated(`the sink got a line that nobody sent, in ${batch}: ${short(line)}`);
      else if (event.line !== line) this.violated(`${event.id} came out changed in ${batch}: ${short(line)}`);
      else {
        events.push(event);
        this.#checkContext(event, contexts[index] ?? null, batch);
      }
    }
    const isDamaged = this.#damagedBatches.has(batch);
    if (this.#hasOneKey) this.ids.appeared(key, events, isDamaged);
    this.#checkKey(key, events, isDamaged);
    for (const event of events) this.#appears(event, batch, inOrder && !this.steppedAside.has(batch));
    return events;
  }

  took(events: readonly SentEvent[]): void {
    for (const event of events) {
      this.#tally.count('events', event.taken ? 'delivered again' : 'delivered');
      if (!event.taken && event.answer === 'in doubt') this.#tally.count('events', 'in doubt and delivered');
      event.taken = true;
      this.#owed.delete(event);
    }
  }

  /**
   * Whether the sink has the event of a line. Of one that was damaged after its dead letter was kept, whoever comes next cannot
   * know that: the letter may be all that is left of it, and stays.
   */
  isSeenAsTaken(line: string): boolean {
    const event = this.#events.get(idOf(line) ?? '');
    return event?.taken === true && event.damaged === null;
  }

  /** Someone has looked at these dead letters, and dropped them. */
  dropped(texts: readonly string[]): void {
    for (const text of texts) {
      const event = this.#events.get(idOf(text) ?? '');
      if (event?.poison !== true || event.line !== text) continue;
      event.dropped = true;
      this.#owed.delete(event);
    }
  }

  /** Someone has removed a batch file, with this in it. */
  removed(batch: string, bytes: Buffer): void {
    const texts = new Set(validTexts(bytes));
    for (const text of texts) {
      const event = this.#events.get(idOf(text) ?? '');
      if (event === undefined) continue;
      event.removed = true;
      if (event.known !== null) event.known.excuse ||= 'its file was removed';
      this.#owed.delete(event);
    }
    const isIn = ({ damaged }: SentEvent): boolean => damaged !== null && batchIn(damaged.file) === batch;
    for (const event of this.#owed) if (isIn(event)) this.#owed.delete(event);
    // it may be acknowledged again
    for (const event of this.#events.values()) if (event.known !== null && isIn(event)) event.removed = true;
  }

  /** Someone has moved the log directory: what was owed is theirs. */
  movedAway(dir: string, names: readonly string[]): void {
    this.moved.push({ dir, names });
    for (const event of this.#owed) event.removed = true;
    this.#owed.clear();
  }

  /**
   * Acknowledged into a file that was open when its directory was moved away, and nowhere else: with its directory it is with
   * whoever has moved that. No server knows where, so none can deliver it. That it is there was looked at after each end of a life.
   */
  isElsewhere(moved: ReadonlySet<string>, here: ReadonlySet<string>): void {
    for (const event of this.#owed) {
      if (!moved.has(event.line) || here.has(event.line)) continue;
      event.removed = true;
      this.#owed.delete(event);
      this.#tally.count('events', 'acknowledged into a directory that was moved away');
    }
  }

  /** A bit was flipped in these lines of a batch file; `bytes` is what stands there now. */
  damaged(texts: readonly string[], file: string, bytes: Buffer): void {
    this.#damagedBatches.add(batchIn(file));
    for (const text of texts) {
      const event = this.#events.get(idOf(text) ?? '');
      if (event === undefined) continue;
      event.damaged = { file, bytes };
      if (event.known !== null) event.known.excuse ||= 'its line was damaged';
    }
  }

  hasDamage(file: string): boolean {
    return this.#damagedBatches.has(batchIn(file));
  }

  /** Looks for ids that are on the disks twice. */
  checkIds(trees: readonly DiskTree[], dir: string): void {
    this.ids.checkSurvivors(trees, dir, (line) => this.#events.get(idOf(line) ?? ''));
  }

  /** Every acknowledged event is at the sink, or on the disk, or, where it was damaged on purpose, set aside. */
  checkSurvivors(log: SurvivingLog, when: string): void {
    for (const event of this.#owed) {
      if (log.texts.has(event.line) || log.deadLetters.has(event.line)) continue;
      const { damaged } = event;
      if (damaged === null) {
        this.violated(
          `${event.id} was acknowledged and is lost ${when}: neither at the sink nor on the disk`,
        );
      } else if (
        log.batches.get(damaged.file)?.includes(damaged.bytes) !== true &&
        log.quarantine.get(damaged.file)?.includes(damaged.bytes) !== true
      ) {
        const where = `neither in ${damaged.file} nor in the quarantine`;
        this.violated(`${event.id} was damaged, and its line is lost ${when}: ${where}`);
      }
    }
    for (const line of log.deadLetters) {
      const event = this.#events.get(idOf(line) ?? '');
      if (event?.line !== line) this.violated(`nobody sent this dead letter: ${short(line)}`);
      else if (!event.poison) this.violated(`${event.id} is a dead letter, and the sink did not refuse it`);
      else if (
        event.taken &&
        !event.removed &&
        event.damaged === null &&
        event.known?.isTwice !== true &&
        !log.texts.has(line) &&
        !this.mayBeBoth(line)
      )
        this.violated(`${event.id} is a dead letter, and the sink has it; its batch is gone ${when}`);
    }
    this.#tally.count('checks', 'dead letters looked at after a cut', log.deadLetters.size);
    this.#tally.count('checks', 'acknowledged events looked for on the disk after a cut', this.#owed.size);
  }

  #checkContext(event: SentEvent, context: EventContext | null, batch: string): void {
    const fault = this.contexts.fault(event, context);
    if (fault !== null) this.violated(`${event.id} came with ${textOf(context)}, in ${batch}: ${fault}`);
    if (context !== null) this.#tally.count('checks', 'contexts held against what was sent');
  }

  #appears(event: SentEvent, batch: string, inOrder: boolean): void {
    if (event.answer === 'refused') {
      this.violated(
        `${event.id} was refused with ${event.code} and came to the sink all the same, in ${batch}`,
      );
    }
    event.appearances++;
    if (event.appearances > 1 || event.client === null || event.answer !== 'acknowledged' || !inOrder) return;
    if (event.removed) return; // its file came back with a power cut
    const reached = this.#reached.get(event.client) ?? -1;
    if (event.number < reached) {
      const sent = `${event.client} sent number ${event.number} before number ${reached}`;
      this.violated(`${event.id} in ${batch} came out of order: ${sent}, and the sink got it later`);
    }
    this.#reached.set(event.client, Math.max(reached, event.number));
    this.#tally.count('checks', 'first deliveries held against the order of their client');
  }

  /** A sink may drop what comes again under a key. Damage may take the run from a file. */
  #checkKey(key: string, events: readonly SentEvent[], isDamaged: boolean): void {
    if (events.length === 0) return;
    const file = key.replace(CONTENT, '');
    const batch = key.replace(DIGEST, '').replace(START, '');
    for (const event of isDamaged || !this.#hasOneKey ? [] : events) {
      if (event.known !== null) continue; // it may be stored twice
      // a batch comes as a whole first: a range is its own then, and otherwise that of a part
      if (event.key === '') event.key = batch;
      // a line that nobody was answered for, and that a cut has left without the rest of its marks, names no run
      if (event.answer !== 'acknowledged' && event.key.endsWith(`-${file}`)) continue;
      if (event.key !== file && event.key !== batch)
        this.violated(`${event.id} came under two keys, ${event.key} and ${batch}`);
    }
    if (!isDamaged && events.length > BATCH_SIZE_MAX)
      this.violated(`the batch ${key} has ${events.length} events`);
    const now = new Set(events.map(({ id }) => id));
    const before = this.#keys.get(key) ?? now;
    this.#keys.set(key, before);
    const others = [...now].filter((id) => !before.has(id));
    if (others.length > 0 || now.size < before.size)
      this.violated(`the key ${key} was given twice, also for ${others.join(', ') || 'fewer events'}`);
  }
}

/** The file of a batch, by its name: one of several in a file, or a part, has its range behind that. */
export function fileOf(name: string): string {
  return name.replace(RANGE, '');
}

/** What an event is known by here. Other events may have the same id if it is one that is remembered. */
function idOf(line: string): string | null {
  try {
    const event = JSON.parse(line) as { id?: unknown; type?: unknown } | null;
    if (typeof event?.id !== 'string') return null;
    return String(event.type).startsWith('ids ') ? `${event.id} (${String(event.type)})` : event.id;
  } catch {
    return null;
  }
}

function short(line: string): string {
  return line.length > 160 ? `${line.slice(0, 160)}… (${line.length} characters)` : line;
}
