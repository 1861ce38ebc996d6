import { EventBlock } from '../../lib/event/event-block.js';
import { contentOfText } from '../../lib/event/event-ids.js';
import type { IdFinding } from '../../lib/event/event-ids.js';
import type { Forebay } from '../../lib/forebay.js';
import { EVENTS_SOURCE } from '../../lib/seams/id-store.js';
import type { IdRule } from '../../lib/seams/id-store.js';
import { codeOf } from './clients.js';
import type { Scope, WindowSettings } from './known-ids.js';
import { nameOf } from './known-ids.js';
import type { Ledger, SentEvent } from './ledger.js';
import type { Random } from './random.js';
import type { Surroundings } from './simulated-disk.js';

const WEBHOOKS = 'webhook';
const SCOPES: readonly Omit<Scope, 'instance'>[] = [
  { source: EVENTS_SOURCE, holder: null },
  { source: EVENTS_SOURCE, holder: 'ann' },
  { source: WEBHOOKS, holder: null },
];
/** The codes that a client with ids may get. */
const REFUSALS =
  /^(BODY_TOO_LARGE|QUEUE_FULL|BACKLOG_FULL|CLIENT_SHARE|LOG_FAILED|LOG_DIR_LOST|IN_DOUBT|NOT_RUNNING)$/;
/** What is sent again gets the same answer. */
const IN_VAIN = /^(ID_CONFLICT|BODY_TOO_LARGE|NOT_RUNNING)$/;
const DAY_MS = 24 * 3_600_000;
/** Ids that come again are mostly among the last ones. */
const LATELY = 30;
/** Other content of the same id, at most. */
const CONTENTS_MAX = 3;

export function drawWindow(random: Random): WindowSettings {
  return {
    windowMs: random.chance(0.8) ? DAY_MS : random.whole(10, 60) * 1000,
    conflict: random.chance(0.7) ? 'accept' : 'reject',
    idsMax: random.chance(0.9) ? 1_000_000 : random.whole(1, 30),
    harm: random.pick(['flips', 'any', null, null]),
  };
}

export function rulesOf({ windowMs, conflict }: WindowSettings): IdRule[] {
  return [EVENTS_SOURCE, WEBHOOKS].map((source) => ({ source, windowMs, conflict }));
}

/** What every client with ids of all lives knows: the ids that were sent. */
export class SentIds {
  #last = 0;

  next(): string {
    return `same-${++this.#last}`;
  }

  /** One that was sent before, mostly lately. */
  again(random: Random): string {
    const first = random.chance(0.8) ? Math.max(1, this.#last - LATELY) : 1;
    return this.#last === 0 ? this.next() : `same-${random.whole(first, this.#last)}`;
  }
}

/** Clients of one Forebay whose events have ids of their own, and who send them again. */
export class IdClients {
  /** Events that were sent and have no answer yet. */
  unanswered = 0;
  /** The same, one by one. */
  readonly waiting = new Set<SentEvent>();
  readonly #around: Surroundings;
  readonly #ledger: Ledger;
  readonly #forebay: Forebay;
  readonly #window: WindowSettings;
  readonly #instance: string;
  readonly #isOpen: () => boolean;

  constructor(
    around: Surroundings,
    ledger: Ledger,
    forebay: Forebay,
    window: WindowSettings,
    instance: string,
    isOpen: () => boolean,
  ) {
    this.#around = around;
    this.#ledger = ledger;
    this.#forebay = forebay;
    this.#window = window;
    this.#instance = instance;
    this.#isOpen = isOpen;
  }

  begin(): void {
    const { random } = this.#around;
    for (let client = random.whole(1, 3); client > 0; client--) void this.#client(random.spread(2, 300));
  }

  /** Sends what was acknowledged once more: all must be acknowledged, and nothing stored that is known. */
  async sendAgain(): Promise<void> {
    for (const known of this.#ledger.ids.acknowledgedAt(this.#instance).slice(-200)) {
      const event = known.events.find(({ answer }) => answer === 'acknowledged');
      if (event === undefined) continue;
      const error = await this.#send(known.scope, [event]);
      // with other content than what is remembered
      const isConflict = error === 'ID_CONFLICT' && known.events.length > 1;
      // a small stream may be full of what others send again, whose ids were too many
      const isFull = error === 'BACKLOG_FULL' && this.#ledger.ids.isShared;
      if (error !== null && !isConflict && !isFull)
        this.#ledger.violated(`${event.id} was answered with ${error}, and nothing is wrong`);
    }
  }

  async #client(pauseMs: number): Promise<void> {
    const { random } = this.#around;
    for (let refusals = 0; ;) {
      await this.#pause(pauseMs * 2 ** Math.min(refusals, 10));
      if (!this.#isOpen() && !random.chance(0.1)) continue;
      const cutOff = this.#ledger.cutOff.filter(({ known }) => known?.scope.instance === this.#instance);
      const again = cutOff.length > 0 && random.chance(0.4) ? random.pick(cutOff) : null;
      const scope = again?.known?.scope ?? { instance: this.#instance, ...random.pick(SCOPES) };
      const events =
        again === null
          ? Array.from({ length: random.chance(0.8) ? 1 : random.whole(2, 6) }, () => this.#event(scope))
          : [again];
      const answers = [this.#send(scope, events)];
      if (random.chance(0.3)) {
        // the first may be under way
        if (random.chance(0.5)) await this.#pause(2);
        const some = random.chance(0.7) ? events : [random.pick(events), this.#event(scope)];
        answers.push(this.#send(scope, some));
      }
      void this.#sendUntilTaken(scope, events, answers[0]);
      void answers.at(-1)?.then((error) => {
        refusals = error === null ? 0 : refusals + 1;
      });
    }
  }

  /** As a client does that got an error, for a while. */
  async #sendUntilTaken(
    scope: Scope,
    events: readonly SentEvent[],
    first: Promise<string | null> | undefined,
  ): Promise<void> {
    let error = (await first) ?? null;
    for (let tries = 0; error !== null && !IN_VAIN.test(error) && tries < 4; tries++) {
      await this.#pause(20 * 4 ** tries);
      error = await this.#send(scope, events);
    }
  }

  #event(scope: Scope): SentEvent {
    const { random, time } = this.#around;
    const { ids, sentIds } = this.#ledger;
    const known = ids.of(scope, random.chance(0.4) ? sentIds.next() : sentIds.again(random), time.nowMs);
    const hasRoom = known.events.length < CONTENTS_MAX;
    if (known.events.length > 0 && !(hasRoom && random.chance(0.05))) return random.pick(known.events);
    const data = random.pick(['x', 'é ', '\t']).repeat(Math.floor(random.spread(1, 200)));
    const type = `ids ${nameOf(scope)} ${known.events.length}`;
    const timestamp = Math.floor(time.wallMs);
    return this.#ledger.idSent(known, JSON.stringify({ id: known.id, type, data, timestamp }));
  }

  /** @returns the code of the error */
  async #send(scope: Scope, events: readonly SentEvent[]): Promise<string | null> {
    const { time, trace } = this.#around;
    const ledger = this.#ledger;
    for (const event of events) ledger.idSends(event, time.nowMs);
    const names = events.map(({ id }) => id).join(', ');
    trace.add(`  write ${names}`);
    this.unanswered += events.length;
    for (const event of events) this.waiting.add(event);
    let findings: readonly IdFinding[] = [];
    let error: string | null = null;
    try {
      findings = await this.#take(scope, events);
    } catch (thrown) {
      error = codeOf(thrown);
      if (!REFUSALS.test(error) && !(error === 'ID_CONFLICT' && this.#mayConflict(events)))
        ledger.violated(`${names} was refused with ${String(thrown)}`);
    }
    this.unanswered -= events.length;
    for (const event of events) this.waiting.delete(event);
    trace.add(
      `  ${error === null ? `acknowledged, ${findings.join(', ')}` : `refused with ${error}`}: ${names}`,
    );
    for (const [index, event] of events.entries()) {
      if (error === null) ledger.idAcknowledged(event, findings[index] ?? 'new');
      else ledger.idRefused(event, error);
    }
    return error;
  }

  #mayConflict(events: readonly SentEvent[]): boolean {
    return this.#window.conflict === 'reject' && events.some(({ known }) => (known?.events.length ?? 0) > 1);
  }

  async #take({ source, holder }: Scope, events: readonly SentEvent[]): Promise<readonly IdFinding[]> {
    const [first] = events;
    const context = this.#ledger.contexts.next(events);
    if (events.length === 1 && first !== undefined && source === EVENTS_SOURCE && holder === null) {
      const { duplicate } = await this.#forebay.write(first.line, context ?? {});
      // it does not say whether the content is another
      if (!duplicate) return ['new'];
      return [first.known !== null && first.known.events.length > 1 ? 'conflict' : 'duplicate'];
    }
    const ids = this.#forebay.idsFor(source, holder, null);
    const block = EventBlock.of(...events.map(({ line }) => line));
    for (const { known, line } of events) ids?.addText(known?.id ?? '', contentOfText(line));
    block.ids = ids;
    block.context = context;
    await new Promise<void>((resolve, reject) => {
      this.#forebay.take(block, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return events.map((_event, index) => ids?.findingOf(index) ?? 'new');
  }

  #pause(aboutMs: number): Promise<void> {
    const { time, random } = this.#around;
    return new Promise((resolve) => {
      time.after(aboutMs * 2 * random.next(), 'a client with ids goes on', resolve);
    });
  }
}
