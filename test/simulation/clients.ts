import type { Forebay } from '../../lib/forebay.js';
import { eventLine } from '../../lib/event/event.js';
import type { EventContext } from '../../lib/event/event-context.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { fromKeys } from '../../lib/settings/option-table.js';
import { webhookSettings } from '../../lib/sources/webhook/webhook-settings.js';
import { webhookSource } from '../../lib/sources/webhook/webhook-source.js';
import { eventText, expectedLine, invalidText } from './event-texts.js';
import type { Ledger, SentEvent } from './ledger.js';
import type { Client } from '../../lib/seams/client.js';
import { UNLIMITED } from '../../lib/seams/client.js';
import type { Surroundings } from './simulated-disk.js';

/** The codes that a client may get, and what was not said to be one. */
const REFUSALS =
  /^(EVENT_\w+|BODY_TOO_LARGE|QUEUE_FULL|BACKLOG_FULL|CLIENT_SHARE|LOG_FAILED|LOG_DIR_LOST|IN_DOUBT|NOT_RUNNING)$/;

/** The codes that everybody may get: the others are about one request. */
const CLOSED = /^(QUEUE_FULL|BACKLOG_FULL|LOG_FAILED|LOG_DIR_LOST|IN_DOUBT|NOT_RUNNING)$/;
const DISK = /^(LOG_FAILED|IN_DOUBT)$/;
/** Addresses that events come from; without one, from the program itself. */
const ADDRESSES: readonly (Client | undefined)[] = [
  undefined,
  ...['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((id) => ({ id, limits: UNLIMITED })),
];
const SERVERS = /\breplicas?\b|No server/;
const HANGS = /has not answered/;
/** One event in this many of those that come together is a webhook. */
const WEBHOOKS_EVERY = 4;
const WEBHOOK = webhookSource(
  { name: 'webhook', path: '/in/webhook', limits: { eventBytesMax: null, bodyBytesMax: null } },
  fromKeys(webhookSettings(), { id: 'header:x-id' }, 'the simulation'),
);

/** Clients of one Forebay: some wait for each answer, some send many events at once. */
export class Clients {
  /** Events that were sent and have no answer yet. */
  readonly waiting = new Set<SentEvent>();
  readonly #around: Surroundings;
  readonly #ledger: Ledger;
  readonly #forebay: Forebay;
  readonly #names: string;
  readonly #isOpen: () => boolean;
  readonly #slowness: number;

  /**
   * @param names what the name of each begins with
   * @param isOpen whether events are taken: before, few are sent, and all are refused
   * @param slowness how much longer than usual they pause
   */
  constructor(
    around: Surroundings,
    ledger: Ledger,
    forebay: Forebay,
    names: string,
    isOpen: () => boolean,
    slowness: number = 1,
  ) {
    this.#slowness = slowness;
    this.#around = around;
    this.#ledger = ledger;
    this.#forebay = forebay;
    this.#names = names;
    this.#isOpen = isOpen;
  }

  get unanswered(): number {
    return this.waiting.size;
  }

  begin(): void {
    const { random } = this.#around;
    for (let client = random.whole(0, 5); client > 0; client--) {
      void this.#oneAfterTheOther(`${this.#names} ${client}`, random.spread(0.1, 60));
    }
    if (random.chance(0.7)) void this.#bursts(random.spread(2, 300));
    if (random.chance(0.5)) void this.#probes(random.spread(5, 5000));
  }

  /** A load balancer that asks whether the door is open. */
  async #probes(pauseMs: number): Promise<void> {
    for (;;) {
      await this.#pause(pauseMs);
      const refusal = this.#forebay.unready();
      this.#around.trace.add(`  ready: ${refusal?.code ?? 'yes'}`);
      if (refusal !== null && !CLOSED.test(refusal.code))
        this.#ledger.violated(`the door is shut to everybody with ${refusal.code}`);
    }
  }

  /** Sends some events and waits for their answers: all must be acknowledged. */
  async probe(events: number): Promise<void> {
    for (let left = events; left > 0; left--) {
      const event = await this.#send(null);
      if (event.answer !== 'acknowledged') {
        this.#ledger.violated(`${event.id} was answered with ${event.code}, and nothing is wrong`);
      }
    }
  }

  async #oneAfterTheOther(client: string, pauseMs: number): Promise<void> {
    for (let refusals = 0; ;) {
      await this.#pause(pauseMs * 2 ** Math.min(refusals, 12));
      const event = await this.#send(client);
      refusals = event.answer === 'refused' ? refusals + 1 : 0;
    }
  }

  async #bursts(pauseMs: number): Promise<void> {
    const { random } = this.#around;
    let refusals = 0;
    for (;;) {
      await this.#pause(pauseMs * 2 ** Math.min(refusals, 12));
      const answers: Promise<SentEvent>[] = [];
      for (let left = this.#isOpen() ? random.whole(2, 25) : 1; left > 0; left--) {
        if (random.chance(0.03)) void this.#sendInvalid();
        else if (random.chance(0.1)) answers.push(this.#sendMany(random.whole(2, 30)));
        else answers.push(this.#send(null));
      }
      // the first answer may take long; who is refused is refused at once
      void answers.at(-1)?.then(({ answer }) => {
        refusals = answer === 'refused' ? refusals + 1 : 0;
      });
    }
  }

  async #send(client: string | null): Promise<SentEvent> {
    const { time, random, trace } = this.#around;
    const number = this.#ledger.nextNumber();
    const id = `${client === null ? 'burst' : client.replace(' ', '')}-${number}`;
    const text = eventText(random, id, this.#around.areEventsLarge);
    const event = this.#ledger.sent(id, expectedLine(text, Math.floor(time.wallMs)), client, number);
    trace.add(`  write ${id}, ${text.length} characters`);
    this.waiting.add(event);
    try {
      await this.#write(text, addressOf(number), this.#ledger.contexts.next([event]));
      trace.add(`  acknowledged ${id}`);
      this.#ledger.acknowledged(event);
      const refusal = this.#forebay.unready();
      // messages of one group go to servers side by side, and each has an outcome of its own
      const isOfServers = SERVERS.test(refusal?.message ?? '');
      if (refusal !== null && DISK.test(refusal.code) && !HANGS.test(refusal.message) && !isOfServers)
        this.#ledger.violated(`${id} was acknowledged, and the disk is said to take no events`);
    } catch (error) {
      const code = codeOf(error);
      trace.add(`  refused ${id}: ${code}`);
      if (!REFUSALS.test(code)) this.#ledger.violated(`${id} was refused with ${String(error)}`);
      this.#ledger.refused(event, code);
    } finally {
      this.waiting.delete(event);
    }
    return event;
  }

  /** One request with many events: one answer for all. Gives the first of them. */
  async #sendMany(count: number): Promise<SentEvent> {
    const { time, random, trace } = this.#around;
    const events = Array.from({ length: count }, () => {
      const number = this.#ledger.nextNumber();
      const id = `bulk-${number}`;
      const text = eventText(random, id, this.#around.areEventsLarge);
      const line =
        number % WEBHOOKS_EVERY === 0 ? webhookLine(id, text) : expectedLine(text, Math.floor(time.wallMs));
      return this.#ledger.sent(id, line, null, number);
    });
    trace.add(`  write ${count} events from ${events[0]?.id} on`);
    for (const event of events) this.waiting.add(event);
    const error = await new Promise<Error | null>((answer) => {
      const block = EventBlock.of(...events.map(({ line }) => line));
      block.context = this.#ledger.contexts.next(events);
      this.#forebay.take(block, answer, addressOf(count));
    });
    for (const event of events) this.waiting.delete(event);
    const code = error === null ? '' : codeOf(error);
    trace.add(`  ${error === null ? 'acknowledged' : `refused with ${code}`}: ${count} events`);
    if (error !== null && !REFUSALS.test(code))
      this.#ledger.violated(`bulk was refused with ${String(error)}`);
    for (const event of events) {
      if (error === null) this.#ledger.acknowledged(event);
      else this.#ledger.refused(event, code);
    }
    return events[0] as SentEvent;
  }

  /** As `Forebay.write` does it, but from an address. */
  async #write(text: string, address: Client | undefined, context: EventContext | null): Promise<void> {
    if (address === undefined) {
      await this.#forebay.write(text, context ?? {});
      return;
    }
    const block = EventBlock.of(eventLine(text, Date.now(), this.#forebay.settings.depthMax));
    block.context = context;
    return new Promise<void>((resolve, reject) => {
      const answer = (error: Error | null): void => {
        if (error === null) resolve();
        else reject(error);
      };
      this.#forebay.take(block, answer, address);
    });
  }

  async #sendInvalid(): Promise<void> {
    const { random } = this.#around;
    const id = `invalid-${this.#ledger.nextNumber()}`;
    const text = invalidText(random, id);
    try {
      await this.#forebay.write(text);
      this.#ledger.violated(`this is no event and was acknowledged: ${text}`);
    } catch (error) {
      if (!codeOf(error).startsWith('EVENT_'))
        this.#ledger.violated(`${text} was refused with ${String(error)}`);
      this.#ledger.refusedInvalid(codeOf(error));
    }
  }

  #pause(aboutMs: number): Promise<void> {
    const { time, random } = this.#around;
    return new Promise((resolve) => {
      time.after(aboutMs * this.#slowness * 2 * random.next(), 'a client goes on', resolve);
    });
  }
}

/** The line of a webhook with this body. */
function webhookLine(id: string, body: string): string {
  const header = (name: string): string | undefined => (name === 'x-id' ? id : undefined);
  const head = { target: WEBHOOK.path, header, headersWith: () => new Map<string, string>() };
  const reader = WEBHOOK.readerFor(head, { eventBytesMax: 2 ** 20, depthMax: 100, eventsMax: 1 })(0);
  reader.append(Buffer.from(body));
  reader.end();
  const { block } = reader;
  return block.lineOf(0).toString();
}

function addressOf(number: number): Client | undefined {
  return ADDRESSES[number % ADDRESSES.length];
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'no code';
}
