/**
 * The durable consumer that all instances share, as the servers keep it: who waits for messages, who was handed which, and
 * what comes again. It knows which messages an instance holds as it promised, and says so if it has to take one away.
 */
import { ACK_WAIT_MS } from '../../../lib/logs/jetstream/held-messages.js';
import type { ConsumerFacts } from '../../../lib/logs/jetstream/servers.js';
import { hasEvents } from '../../../lib/logs/jetstream/stream-names.js';
import type { Ledger } from '../ledger.js';
import type { Surroundings } from '../simulated-disk.js';
import type { Happening } from '../virtual-time.js';
import type { SimulatedStream, StoredMessage } from './simulated-stream.js';

/** Words of the protocol that are no messages (ADR-13 of NATS). */
export const HEARTBEAT = 100;
const NO_MESSAGES = 404;
const EXPIRED = 408;
const ENDED = 409;
const NOT_PINNED = 423;
const NANOSECONDS = 1_000_000;
/** PINNED_MS of stream-setup.ts. */
const PINNED_MS = ACK_WAIT_MS + 5000;

/** An instance, as the consumer knows it. */
export interface Holder {
  readonly name: string;
  /** When something last happened that may have kept its words or messages from arriving. */
  readonly troubleMs: number;
  takeMessage(inbox: string, message: StoredMessage, reply: string, pin: string | null): void;
  takeStatus(inbox: string, status: number): void;
  takeFound(inbox: string, found: readonly StoredMessage[]): void;
}

export interface PullRequest {
  readonly batch: number;
  readonly max_bytes: number;
  readonly no_wait?: boolean;
  readonly expires: number;
  readonly idle_heartbeat: number;
  readonly group?: string;
  readonly id?: string;
}

interface Pull {
  readonly holder: Holder;
  readonly inbox: string;
  pin: string | null;
  messages: number;
  bytes: number;
  /** Over with what is there. */
  readonly isOneShot: boolean;
  hasGot: boolean;
  readonly timers: Happening[];
}

/** A message that was handed out and not confirmed. */
interface HandedOut {
  readonly holder: Holder;
  readonly deliveries: number;
  /** When the servers last heard that it is held. */
  heardMs: number;
  timer: Happening;
}

export interface ConsumerOptions {
  readonly around: Surroundings;
  readonly ledger: Ledger;
  readonly stream: SimulatedStream;
  readonly inOrder: boolean;
  /** The most messages that may be handed out. */
  readonly handedOutMax: number;
  /** When the servers last had a trouble of their own. */
  readonly troubleMs: () => number;
}

export class SimulatedConsumer {
  /** Who was handed a message, of all messages. */
  readonly handedTo = new Map<number, Set<string>>();
  readonly #options: ConsumerOptions;
  readonly #handedOut = new Map<number, HandedOut>();
  readonly #deliveries = new Map<number, number>();
  /** When, by message and how often it had been handed out then. */
  readonly #handedOutAtMs = new Map<string, number>();
  /** What comes again, next one first. */
  #again: number[] = [];
  #nextSeq = 1;
  #pulls: Pull[] = [];
  #dealt = 0;
  #pin: string | null = null;
  #pins = 0;
  #pinTimer: Happening | null = null;

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  get facts(): ConsumerFacts {
    const { stream } = this.#options;
    const again = [...this.#handedOut.values()].filter(({ deliveries }) => deliveries > 1).length;
    const oldest = [...stream.messages.values()].find(({ subject }) => hasEvents(stream.name, subject));
    return {
      num_ack_pending: this.#handedOut.size,
      num_redelivered: again,
      delivered: { consumer_seq: this.#dealt },
      ack_floor: { stream_seq: (oldest?.seq ?? this.#nextSeq) - 1 },
    };
  }

  /** How many messages an instance was handed and has not confirmed. */
  heldBy(holder: Holder): number {
    return [...this.#handedOut.values()].filter((each) => each.holder === holder).length;
  }

  handedOutAtMs(seq: number, deliveries: number): number {
    return this.#handedOutAtMs.get(`${seq} ${deliveries}`) ?? -Infinity;
  }

  pull(holder: Holder, inbox: string, request: PullRequest): void {
    const { inOrder, around } = this.#options;
    const { time } = around;
    const { batch, max_bytes: bytes, no_wait: isOneShot = false, expires, idle_heartbeat: every } = request;
    const { id = null } = request;
    if (inOrder && id !== null && id !== this.#pin) {
      holder.takeStatus(inbox, NOT_PINNED);
      return;
    }
    if (id !== null) this.#keepPin();
    const there = this.#there;
    // `processNextMsgRequest` of nats-server: it does not look who of them may get something
    if (isOneShot && there > 0 && there < this.#pulls.reduce((sum, { messages }) => sum + messages, 0)) {
      around.tally.count('stream', 'pulls that were refused as others wait for more than there is');
      holder.takeStatus(inbox, EXPIRED);
      return;
    }
    const pull: Pull = {
      holder,
      inbox,
      pin: id,
      messages: batch,
      bytes,
      isOneShot,
      hasGot: false,
      timers: [],
    };
    const beat = (): void => {
      pull.timers[1] = time.after(every / NANOSECONDS, 'the servers show that they live', () => {
        holder.takeStatus(inbox, HEARTBEAT);
        beat();
      });
    };
    pull.timers[0] = time.after(expires / NANOSECONDS, 'a pull expires', () => {
      this.#end(pull, EXPIRED);
    });
    beat();
    this.#pulls.push(pull);
    this.deal();
  }

  /** The instance is gone, or cannot be reached. */
  forget(holder: Holder): void {
    for (const pull of this.#pulls.filter((each) => each.holder === holder)) this.#end(pull, null);
  }

  /** A leader takes over. It does not know who waits, whom the last one had pinned, and all that was handed out. */
  newLeader(): void {
    const { random } = this.#options.around;
    for (const pull of this.#pulls.slice()) this.#end(pull, random.chance(0.5) ? ENDED : null);
    this.unpin();
    for (const seq of this.#handedOut.keys()) if (random.chance(0.1)) this.#comesAgain(seq);
    this.deal();
  }

  unpin(): void {
    this.#pin = null;
    if (this.#pinTimer !== null) this.#pinTimer.run = null;
    this.deal();
  }

  confirmed(seq: number): void {
    this.#forget(seq);
    this.#again = this.#again.filter((each) => each !== seq);
    this.#options.stream.remove(seq);
    this.deal();
  }

  handedBack(seq: number): void {
    if (!this.#handedOut.has(seq)) return;
    this.#comesAgain(seq);
    this.deal();
  }

  /** @param deliveries how often it had been handed out when the one who says so got it */
  isWorkedOn(seq: number, deliveries: number): void {
    const handedOut = this.#handedOut.get(seq);
    if (handedOut === undefined) return;
    // one who had it before prolongs the time as well
    if (deliveries === handedOut.deliveries) handedOut.heardMs = this.#options.around.time.nowMs;
    handedOut.timer.run = null;
    handedOut.timer = this.#timer(seq);
  }

  /** Hands out what there is to who waits. */
  deal(): void {
    const { stream, handedOutMax } = this.#options;
    for (;;) {
      if (this.#handedOut.size >= handedOutMax) return;
      const pull = this.#nextPull();
      if (pull === null) break;
      const message = this.#nextMessage();
      if (message === null) break;
      if (message.data.length > pull.bytes) {
        this.#end(pull, ENDED);
        continue;
      }
      if (this.#again[0] === message.seq) this.#again.shift();
      else this.#nextSeq = message.seq + 1;
      this.#handOut(message, pull, stream.name);
    }
    for (const pull of this.#pulls.filter(({ isOneShot, hasGot }) => isOneShot && hasGot))
      this.#end(pull, NO_MESSAGES);
  }

  #handOut(message: StoredMessage, pull: Pull, stream: string): void {
    const { time } = this.#options.around;
    const { seq, atMs, data } = message;
    const { holder, inbox } = pull;
    const deliveries = (this.#deliveries.get(seq) ?? 0) + 1;
    this.#deliveries.set(seq, deliveries);
    this.#handedOutAtMs.set(`${seq} ${deliveries}`, time.nowMs);
    const timer = this.#timer(seq);
    this.#handedOut.set(seq, { holder, deliveries, heardMs: time.nowMs, timer });
    this.handedTo.set(seq, (this.handedTo.get(seq) ?? new Set()).add(holder.name));
    const at = `${BigInt(Math.floor(atMs)) * BigInt(NANOSECONDS)}`;
    const reply = `$JS.ACK.${stream}.delivery.${deliveries}.${seq}.${++this.#dealt}.${at}.0`;
    holder.takeMessage(inbox, message, reply, pull.pin);
    pull.hasGot = true;
    pull.messages--;
    pull.bytes -= data.length;
    if (pull.messages === 0) this.#end(pull, null);
    // those who wait take turns
    else this.#pulls = [...this.#pulls.filter((each) => each !== pull), pull];
    if (pull.pin !== null) this.#keepPin();
  }

  #timer(seq: number): Happening {
    const { time } = this.#options.around;
    return time.after(
      ACK_WAIT_MS,
      `the servers have not heard of message ${seq}`,
      () => {
        this.#checkHolder(seq);
        this.#comesAgain(seq);
        this.deal();
      },
      null,
    );
  }

  /** Nobody else gets what an instance says it works on. */
  #checkHolder(seq: number): void {
    const { ledger, troubleMs, around } = this.#options;
    const handedOut = this.#handedOut.get(seq);
    if (handedOut === undefined) return;
    const { holder, heardMs } = handedOut;
    around.tally.count('stream', 'messages that were not confirmed in time');
    around.tally.count('checks', 'messages that were taken from an instance in trouble only');
    if (Math.max(holder.troubleMs, troubleMs()) < heardMs)
      ledger.violated(`message ${seq} was taken from ${holder.name}, which lives and holds it`);
  }

  #comesAgain(seq: number): void {
    this.#forget(seq);
    if (!this.#again.includes(seq)) this.#again.push(seq);
    this.#again.sort((a, b) => a - b);
  }

  #forget(seq: number): void {
    const handedOut = this.#handedOut.get(seq);
    if (handedOut !== undefined) handedOut.timer.run = null;
    this.#handedOut.delete(seq);
  }

  #nextMessage(): StoredMessage | null {
    const { stream } = this.#options;
    for (;;) {
      const [again] = this.#again;
      if (again === undefined) break;
      const message = stream.messages.get(again);
      if (message !== undefined) return message;
      this.#again.shift();
    }
    for (; this.#nextSeq <= stream.lastSeq; this.#nextSeq++) {
      const message = stream.messages.get(this.#nextSeq);
      if (message !== undefined && hasEvents(stream.name, message.subject)) return message;
    }
    return null;
  }

  /** How many messages could be handed out. */
  get #there(): number {
    const { messages } = this.#options.stream;
    const again = this.#again.filter((seq) => messages.has(seq)).length;
    return again + [...messages.keys()].filter((seq) => seq >= this.#nextSeq).length;
  }

  #nextPull(): Pull | null {
    const { inOrder } = this.#options;
    const [first] = this.#pulls;
    if (!inOrder || first === undefined) return first ?? null;
    if (this.#pin !== null) return this.#pulls.find(({ pin }) => pin === this.#pin) ?? null;
    if (this.#nextMessage() === null) return null;
    this.#pin = `pin-${++this.#pins}`;
    first.pin = this.#pin;
    this.#keepPin();
    return first;
  }

  #keepPin(): void {
    const { time } = this.#options.around;
    if (this.#pinTimer !== null) this.#pinTimer.run = null;
    this.#pinTimer = time.after(PINNED_MS, 'the pinned instance is silent', () => this.unpin(), null);
  }

  #end(pull: Pull, status: number | null): void {
    for (const timer of pull.timers) timer.run = null;
    this.#pulls = this.#pulls.filter((each) => each !== pull);
    if (status !== null) pull.holder.takeStatus(pull.inbox, status);
  }
}
